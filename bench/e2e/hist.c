// SPDX-License-Identifier: Apache-2.0
// A log-linear histogram: 128 steps in each power of two.
#include "hist.h"

static unsigned slot_of(uint64_t value)
{
	unsigned shift;

	if (value < HIST_SUB)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned)((value >> shift) & (HIST_SUB - 1));
}

static uint64_t value_of(unsigned slot)
{
	unsigned shift;

	if (slot < HIST_SUB)
		return slot;
	shift = slot / HIST_SUB - 1;
	return ((uint64_t)HIST_SUB + slot % HIST_SUB) << shift;
}

void hist_add(struct hist *hist, uint64_t value)
{
	hist->slots[slot_of(value)]++;
	hist->count++;
}

uint64_t hist_quantile(const struct hist *hist, double q)
{
	uint64_t want = (uint64_t)((double)hist->count * q);
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_SLOTS; i++) {
		seen += hist->slots[i];
		if (hist->slots[i] && seen > want)
			return value_of(i);
	}
	return 0;
}
