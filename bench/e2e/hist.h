// SPDX-License-Identifier: Apache-2.0
// A histogram of nanoseconds with a relative error under 1 %.
#pragma once

#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_SLOTS ((64 - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count;
	uint32_t slots[HIST_SLOTS];
};

void hist_add(struct hist *hist, uint64_t value);

// The value below which the part q (0..1) of what was added lies; 0 for an empty histogram.
uint64_t hist_quantile(const struct hist *hist, double q);
