// SPDX-License-Identifier: Apache-2.0
// Time windows: days, hours, midnight, zones and their changes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/schedule.h"
#include "snap/zone.h"

#define SUN 1u
#define MON 2u
#define FRI 32u
#define SAT 64u

// 2023-11-13 was a Monday.
#define MONDAY INT64_C(1699833600)
#define HOUR 3600
#define DAY 86400

static const struct snap_zone UTC = {.name = "UTC"};

static void hours_of_a_day(void **state)
{
	struct snap_window w = {&UTC, MON, 8 * 60, 18 * 60};

	assert_false(schedule_open(&w, MONDAY + 8 * HOUR - 1));
	assert_true(schedule_open(&w, MONDAY + 8 * HOUR));
	assert_true(schedule_open(&w, MONDAY + 18 * HOUR - 1));
	assert_false(schedule_open(&w, MONDAY + 18 * HOUR));
	assert_false(schedule_open(&w, MONDAY + DAY + 9 * HOUR));
	assert_false(schedule_open(&w, MONDAY - DAY + 9 * HOUR));
	assert_true(schedule_open(&w, MONDAY + 7 * DAY + 9 * HOUR));
}

static void whole_day(void **state)
{
	struct snap_window w = {&UTC, SUN, 0, 24 * 60};

	assert_false(schedule_open(&w, MONDAY - DAY - 1));
	assert_true(schedule_open(&w, MONDAY - DAY));
	assert_true(schedule_open(&w, MONDAY - 1));
	assert_false(schedule_open(&w, MONDAY));
}

static void over_midnight(void **state)
{
	struct snap_window w = {&UTC, FRI, 22 * 60, 6 * 60};
	int64_t friday = MONDAY + 4 * DAY;

	assert_false(schedule_open(&w, friday + 5 * HOUR));
	assert_false(schedule_open(&w, friday + 22 * HOUR - 1));
	assert_true(schedule_open(&w, friday + 22 * HOUR));
	assert_true(schedule_open(&w, friday + DAY + 6 * HOUR - 1));
	assert_false(schedule_open(&w, friday + DAY + 6 * HOUR));
	assert_false(schedule_open(&w, friday + DAY + 23 * HOUR));
}

static void over_the_end_of_the_week(void **state)
{
	struct snap_window w = {&UTC, SAT, 23 * 60, 60};

	assert_true(schedule_open(&w, MONDAY - DAY + HOUR / 2));      // Sunday 00:30
	assert_false(schedule_open(&w, MONDAY - 2 * DAY + HOUR / 2)); // Saturday 00:30
}

static void zone_shifts_the_day(void **state)
{
	static const struct snap_zone_shift shifts[] = {{MONDAY + 12 * HOUR, 7200}};
	struct snap_zone zone = {"x", shifts, 1, 3600};
	struct snap_window w = {&zone, MON, 0, 24 * 60};

	assert_true(schedule_open(&w, MONDAY - HOUR)); // Sunday 23:00 in UTC
	assert_false(schedule_open(&w, MONDAY - HOUR - 1));
	assert_true(schedule_open(&w, MONDAY + 22 * HOUR - 1)); // by then it is 2 hours ahead
	assert_false(schedule_open(&w, MONDAY + 22 * HOUR));
}

static void before_1970(void **state)
{
	struct snap_window w = {&UTC, MON, 0, 60};

	assert_true(schedule_open(&w, MONDAY - 3000 * 7 * INT64_C(86400)));
	assert_false(schedule_open(&w, MONDAY - 3000 * 7 * INT64_C(86400) - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hours_of_a_day),      cmocka_unit_test(whole_day),
		cmocka_unit_test(over_midnight),       cmocka_unit_test(over_the_end_of_the_week),
		cmocka_unit_test(zone_shifts_the_day), cmocka_unit_test(before_1970),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
