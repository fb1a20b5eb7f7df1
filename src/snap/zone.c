// SPDX-License-Identifier: Apache-2.0
// Time windows of rules: weekdays and hours on the wall clock of a zone.
#include "snap/zone.h"

#define DAY_MINUTES 1440
#define EPOCH_WEEKDAY 4 // 1970-01-01 was a Thursday

int32_t snap_zone_offset(const struct snap_zone *zone, int64_t wall_seconds)
{
	uint32_t low = 0, high = zone->shift_count;

	// The first shift that is still to come; the one before it holds.
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (zone->shifts[mid].from_wall <= wall_seconds)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? zone->shifts[low - 1].offset : zone->first_offset;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

bool snap_window_open(const struct snap_window *window, int64_t wall_seconds)
{
	int64_t local = wall_seconds + snap_zone_offset(window->zone, wall_seconds);
	int64_t minutes = floor_div(local, 60);
	int64_t day = floor_div(minutes, DAY_MINUTES);
	int minute = (int)(minutes - day * DAY_MINUTES);
	int weekday = (int)(((day + EPOCH_WEEKDAY) % 7 + 7) % 7);
	int yesterday = (weekday + 6) % 7;

	if (window->from_minutes < window->to_minutes)
		return (window->days >> weekday & 1) && minute >= window->from_minutes &&
		       minute < window->to_minutes;
	return ((window->days >> weekday & 1) && minute >= window->from_minutes) ||
	       ((window->days >> yesterday & 1) && minute < window->to_minutes);
}
