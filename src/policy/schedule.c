// SPDX-License-Identifier: Apache-2.0
// Is a rule's time window open now? Pure; any thread.
#include "policy/schedule.h"

#include "snap/zone.h"

#define DAY_MINUTES 1440
#define EPOCH_WEEKDAY 4 // 1970-01-01 was a Thursday

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

bool schedule_open(const struct snap_window *window, int64_t wall_seconds)
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
