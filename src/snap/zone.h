// SPDX-License-Identifier: Apache-2.0
// Time windows of rules: weekdays and hours on the wall clock of a zone.
//
// A zone is a table of offsets that the loader made from the tz database, so that a look-up needs
// no lock, no environment and no libc state. Read-only after loading: any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct snap_zone_shift {
	int64_t from_wall; // unix seconds from which the offset holds
	int32_t offset;    // seconds east of UTC
};

struct snap_zone {
	const char *name;                     // "UTC", "Europe/Vienna"
	const struct snap_zone_shift *shifts; // ascending
	uint32_t shift_count;
	int32_t first_offset; // before the first shift
};

struct snap_window {
	const struct snap_zone *zone;
	uint8_t days;          // bit 0 = Sunday … bit 6 = Saturday: the days on which it opens
	uint16_t from_minutes; // minutes after midnight, 0 … 1439
	uint16_t to_minutes;   // 1 … 1440; not later than `from`: it ends on the next day
};

// Seconds east of UTC at that time.
int32_t snap_zone_offset(const struct snap_zone *zone, int64_t wall_seconds);
