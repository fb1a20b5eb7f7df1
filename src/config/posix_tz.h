// SPDX-License-Identifier: Apache-2.0
// The rule at the end of a TZif file: a POSIX TZ string with the extensions of RFC 8536. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum posix_tz_day {
	POSIX_TZ_JULIAN,   // Jn: 1 to 365, 29 February is never counted
	POSIX_TZ_YEAR_DAY, // n: 0 to 365, 29 February counts
	POSIX_TZ_MONTH,    // Mm.w.d
};

struct posix_tz_change {
	enum posix_tz_day kind;
	int day;         // the number, or d (0 = Sunday)
	int month, week; // week 5 is the last
	int32_t seconds; // after midnight of the clock before the change, -167 h to 167 h
};

struct posix_tz {
	int32_t standard; // seconds east of UTC
	int32_t daylight;
	bool has_daylight;
	struct posix_tz_change start, end; // of daylight time
};

// -EINVAL when it is none, or has daylight time without saying when.
int posix_tz_parse(const char *text, size_t len, struct posix_tz *ret_tz);

// Unix seconds at which daylight time starts and ends in that year.
void posix_tz_changes(const struct posix_tz *tz, int year, int64_t *ret_start, int64_t *ret_end);

// The year of a moment, in UTC.
int posix_tz_year(int64_t wall_seconds);
