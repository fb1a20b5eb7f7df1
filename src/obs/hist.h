// SPDX-License-Identifier: Apache-2.0
// A histogram of times with fixed logarithmic buckets, written by one thread and read by any.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Four buckets an octave from 4 microseconds to 2^26 microseconds (67 s). Bucket i holds
// hist_bound(i - 1) < v <= hist_bound(i); the last one holds the rest.
enum {
	HIST_FIRST_LOG2 = 2, // the first bound is 4 microseconds
	HIST_LAST_LOG2 = 26, // the last one 67.1 s
	HIST_SUB_LOG2 = 2,   // buckets an octave, as a power of two
	HIST_OCTAVES = HIST_LAST_LOG2 - HIST_FIRST_LOG2,
	HIST_BUCKETS = (HIST_OCTAVES << HIST_SUB_LOG2) + 2,
};

struct hist {
	uint64_t sum_ns;
	uint64_t bucket[HIST_BUCKETS];
};

// The bucket of a time in microseconds (rounded up by the caller, so that bounds stay exact).
static inline unsigned hist_index(uint64_t us)
{
	// Bounds are inclusive as Prometheus wants: (4, 5], (5, 6], (6, 7], (7, 8], (8, 10] ...
	uint64_t v = us - (us != 0);
	if (v < 1u << HIST_FIRST_LOG2)
		return 0;
	if (v >= 1u << HIST_LAST_LOG2)
		return HIST_BUCKETS - 1;
	unsigned log2 = 63u - (unsigned)__builtin_clzll(v);
	unsigned sub = (unsigned)(v >> (log2 - HIST_SUB_LOG2)) & ((1u << HIST_SUB_LOG2) - 1);
	return 1 + ((log2 - HIST_FIRST_LOG2) << HIST_SUB_LOG2) + sub;
}

// Upper bound of a bucket in microseconds; UINT64_MAX for the last one.
static inline uint64_t hist_bound(unsigned i)
{
	if (i == 0)
		return 1u << HIST_FIRST_LOG2;
	if (i >= HIST_BUCKETS - 1)
		return UINT64_MAX;
	unsigned log2 = HIST_FIRST_LOG2 + ((i - 1) >> HIST_SUB_LOG2);
	uint64_t sub = ((i - 1) & ((1u << HIST_SUB_LOG2) - 1)) + 1;
	return (UINT64_C(1) << log2) + (sub << (log2 - HIST_SUB_LOG2));
}

// Counts one time. Only the owner's thread.
static inline void hist_record(struct hist *h, uint64_t ns)
{
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	uint64_t *cell = &h->bucket[hist_index(us)];
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&h->sum_ns, __atomic_load_n(&h->sum_ns, __ATOMIC_RELAXED) + ns,
			 __ATOMIC_RELAXED);
}

// Adds `from` (being written by its owner) to `to` (owned by the caller).
void hist_add(struct hist *to, const struct hist *from);

// What was counted in `now` and not yet in `before`: for rates and quantiles over an interval.
void hist_subtract(struct hist *now, const struct hist *before);

// These three read a histogram that the caller owns (a sum made by hist_add).
uint64_t hist_count(const struct hist *h);
// Mean in nanoseconds; 0 when empty.
uint64_t hist_mean(const struct hist *h);
// Estimate of the q-quantile (0 <= q <= 1) in nanoseconds, linear inside its bucket, so at most 25
// % off above 4 microseconds; 0 when empty; the last bound when it lies above that.
uint64_t hist_quantile(const struct hist *h, double q);
