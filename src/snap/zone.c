// SPDX-License-Identifier: Apache-2.0
// Time windows of rules: weekdays and hours on the wall clock of a zone.
#include "snap/zone.h"

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
