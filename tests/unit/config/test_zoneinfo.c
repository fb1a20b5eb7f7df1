// SPDX-License-Identifier: Apache-2.0
// Zone files against libc's own view of them, and broken ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "config/posix_tz.h"
#include "config/zoneinfo.h"

#define NOW INT64_C(1700000000)
#define HOUR 3600

static const char *const ZONES[] = {
	"Europe/Vienna", "America/New_York",     "Australia/Lord_Howe", "Asia/Kolkata",
	"Europe/Dublin", "America/Sao_Paulo",    "Africa/Casablanca",   "Asia/Tehran",
	"Pacific/Apia",  "America/Scoresbysund", "Antarctica/Troll",    "Etc/GMT+5",
};

static void same_as_libc(void **state)
{
	int compared = 0;

	for (size_t i = 0; i < sizeof(ZONES) / sizeof(ZONES[0]); i++) {
		struct arena a = {0};
		struct snap_zone zone = {.name = ZONES[i]};
		int r = zoneinfo_load(ZONES[i], NOW, &a, &zone);

		if (r == -ENOENT)
			continue; // no tz database here
		assert_int_equal(r, 0);
		setenv("TZ", ZONES[i], 1);
		tzset();
		// Odd steps, so that hours and days vary; from a year back to some 40 years ahead.
		for (int64_t t = NOW - 300 * 24 * HOUR; t < NOW + INT64_C(40) * 366 * 24 * HOUR;
		     t += 5 * HOUR + 1801) {
			time_t when = (time_t)t;
			struct tm tm;

			localtime_r(&when, &tm);
			if (snap_zone_offset(&zone, t) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, libc says %ld", ZONES[i], (long long)t,
					 snap_zone_offset(&zone, t), tm.tm_gmtoff);
			compared++;
		}
		arena_release(&a);
	}
	if (!compared)
		skip();
}

static void posix_strings(void **state)
{
	struct posix_tz tz;
	int64_t start, end;

	assert_int_equal(posix_tz_parse("CET-1CEST,M3.5.0,M10.5.0/3", 26, &tz), 0);
	assert_int_equal(tz.standard, HOUR);
	assert_int_equal(tz.daylight, 2 * HOUR);
	posix_tz_changes(&tz, 2024, &start, &end);
	assert_int_equal(start, 1711846800); // 2024-03-31 01:00 UTC
	assert_int_equal(end, 1729990800);   // 2024-10-27 01:00 UTC
	assert_int_equal(posix_tz_parse("<+0330>-3:30", 12, &tz), 0);
	assert_int_equal(tz.standard, 3 * HOUR + 1800);
	assert_false(tz.has_daylight);
	assert_int_equal(posix_tz_parse("XXX3YYY,J60/0,300", 17, &tz), 0);
	posix_tz_changes(&tz, 2024, &start, &end);
	assert_int_equal(start, 1709251200 + 3 * HOUR); // J60 is 1 March, leap year or not
	posix_tz_changes(&tz, 2023, &start, &end);
	assert_int_equal(start, 1677628800 + 3 * HOUR);
	assert_int_equal(posix_tz_year(-1), 1969);
	assert_int_equal(posix_tz_year(0), 1970);
	assert_int_equal(posix_tz_year(1735689599), 2024);
	assert_int_equal(posix_tz_year(1735689600), 2025);
}

static void broken_posix_strings(void **state)
{
	static const char *const bad[] = {"",
					  "CET",
					  "CE-1",
					  "CET-25",
					  "CET-1CEST",
					  "CET-1CEST,M3.5.0",
					  "CET-1CEST,M13.5.0,M1.1.1",
					  "CET-1CEST,M3.6.0,M1.1.1",
					  "CET-1CEST,M3.5.7,M1.1.1",
					  "CET-1CEST,J0,J1",
					  "CET-1CEST,366,1",
					  "<CET-1",
					  "CET-1x",
					  "CET-1CEST,M3.5.0/168,M10.5.0",
					  "CET-1:60"};
	struct posix_tz tz;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(posix_tz_parse(bad[i], strlen(bad[i]), &tz), -EINVAL);
}

static void names(void **state)
{
	static const char *const bad[] = {"",        "/etc/passwd", "../x", "a/../b",
					  "Europe/", "a//b",        "a b",  "x.y"};

	assert_true(zoneinfo_name_is_valid("Europe/Vienna", 13));
	assert_true(zoneinfo_name_is_valid("Etc/GMT+5", 9));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(zoneinfo_name_is_valid(bad[i], strlen(bad[i])));
}

static void utc_and_missing(void **state)
{
	struct arena a = {0};
	struct snap_zone zone = {0};

	assert_int_equal(zoneinfo_load("UTC", NOW, &a, &zone), 0);
	assert_int_equal(snap_zone_offset(&zone, NOW), 0);
	assert_int_equal(zoneinfo_load("No/Such", NOW, &a, &zone), -ENOENT);
	assert_int_equal(zoneinfo_load("Europe", NOW, &a, &zone), -EISDIR);
	arena_release(&a);
}

static void broken_files(void **state)
{
	// A version 2 file: an empty first block, one type (UTC+1), a footer.
	uint8_t file[200] = {0};
	size_t len = 0;
	struct arena a = {0};
	struct snap_zone zone = {0};

	memcpy(file, "TZif2", 5);
	len = 44;
	memcpy(file + len, "TZif2", 5);
	file[len + 39] = 1; // types
	file[len + 43] = 4; // characters
	len += 44;
	file[len + 2] = 0x0e;
	file[len + 3] = 0x10;
	len += 6 + 4;
	memcpy(file + len, "\nCET-1\n", 7);
	len += 7;
	assert_int_equal(zoneinfo_parse(file, len, NOW, &a, &zone), 0);
	assert_int_equal(snap_zone_offset(&zone, NOW), HOUR);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(zoneinfo_parse(file, cut, NOW, &a, &zone), -EINVAL);
	file[44 + 39] = 0; // no type at all
	assert_int_equal(zoneinfo_parse(file, len, NOW, &a, &zone), -EINVAL);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_libc),         cmocka_unit_test(posix_strings),
		cmocka_unit_test(broken_posix_strings), cmocka_unit_test(names),
		cmocka_unit_test(utc_and_missing),      cmocka_unit_test(broken_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
