// SPDX-License-Identifier: Apache-2.0
// Zone files of any bytes: what is taken has its shifts in order.
#include "base/arena.h"
#include "config/zoneinfo.h"
#include "fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct snap_zone zone = {0};

	if (zoneinfo_parse(data, size, INT64_C(1700000000), &arena, &zone) == 0) {
		for (uint32_t i = 1; i < zone.shift_count; i++)
			fuzz_require(zone.shifts[i - 1].from_wall <= zone.shifts[i].from_wall);
		snap_zone_offset(&zone, 0);
		snap_zone_offset(&zone, INT64_MAX);
		snap_zone_offset(&zone, INT64_MIN);
	}
	arena_release(&arena);
	return 0;
}
