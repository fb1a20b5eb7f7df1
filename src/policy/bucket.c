// SPDX-License-Identifier: Apache-2.0
// Token buckets as one atomic moment: see bucket.h.
//
// Moments are u64 in 2^-10 ns and wrap every 208 days; they are compared by signed difference.
// Conversions use double: its 53 bits are far finer than the unit for every burst that makes sense.
#include "policy/bucket.h"

#define UNITS_PER_NS 1024ull
#define UNITS_PER_S (1e9 * (double)UNITS_PER_NS)
// No debt reaches further ahead than a burst, but for clocks of workers that differ a little: what
// is further is a moment from 208 days ago, or from before a reload that shrank the burst.
#define STALE_AFTER ((int64_t)(10 * 1000000000ull * UNITS_PER_NS))
// A bucket that takes longer than a day to fill would fill in a day: keeps differences far from
// wrapping.
#define SPAN_MOST ((double)(86400 * 1000000000ull * UNITS_PER_NS))

static int64_t cost_of(uint64_t n, uint64_t rate)
{
	double cost = (double)n * (UNITS_PER_S / (double)rate) + 0.5;
	return cost < SPAN_MOST ? (int64_t)cost : (int64_t)SPAN_MOST;
}

static int64_t span_of(uint64_t burst, uint64_t rate)
{
	return cost_of(burst ? burst : 1, rate);
}

// How far the arrival time lies ahead of now: 0 (full) to span (empty), or a little more.
static int64_t debt_at(uint64_t tat, uint64_t now_units, int64_t span)
{
	int64_t debt = (int64_t)(tat - now_units);
	return debt < 0 || debt > span + STALE_AFTER ? 0 : debt;
}

void bucket_init(struct bucket *b, uint64_t now)
{
	atomic_init(&b->tat_atomic, now * UNITS_PER_NS);
	atomic_init(&b->slot_atomic, now * UNITS_PER_NS);
}

uint64_t bucket_take_upto(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t want,
			  uint64_t now)
{
	if (!rate || !want)
		return want;
	uint64_t now_units = now * UNITS_PER_NS;
	int64_t span = span_of(burst, rate);
	uint64_t tat = atomic_load_explicit(&b->tat_atomic, memory_order_relaxed);
	for (;;) {
		int64_t debt = debt_at(tat, now_units, span);
		int64_t room = span - debt;
		if (room <= 0)
			return 0;
		int64_t cost = cost_of(want, rate);
		uint64_t granted = want;
		if (cost > room) {
			// Half a unit of tolerance: what cost_of rounded up must fit again. And a
			// grain for the division, lest who waited for n be granted n - 1.
			granted = (uint64_t)(((double)room + 0.5) * (double)rate / UNITS_PER_S +
					     1e-6);
			if (granted > want)
				granted = want;
			if (!granted)
				return 0;
			cost = cost_of(granted, rate);
		}
		uint64_t next = now_units + (uint64_t)(debt + cost);
		if (atomic_compare_exchange_weak_explicit(
			    &b->tat_atomic, &tat, next, memory_order_relaxed, memory_order_relaxed))
			return granted;
	}
}

void bucket_refund(struct bucket *b, uint64_t rate, uint64_t n)
{
	// May move the moment before now: that reads as full.
	if (rate && n)
		atomic_fetch_sub_explicit(&b->tat_atomic, (uint64_t)cost_of(n, rate),
					  memory_order_relaxed);
}

uint64_t bucket_wait(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t n, uint64_t now)
{
	if (!rate || !n)
		return 0;
	uint64_t now_units = now * UNITS_PER_NS;
	int64_t span = span_of(burst, rate);
	int64_t cost = cost_of(n, rate);
	if (cost > span)
		cost = span;
	int64_t debt = debt_at(atomic_load_explicit(&b->tat_atomic, memory_order_relaxed),
			       now_units, span);
	int64_t least = debt - (span - cost); // until n are there
	if (least <= 0)
		return 0;
	int64_t most = debt - span / 4; // until three quarters full
	if (most < least)
		most = least;
	uint64_t slot = atomic_load_explicit(&b->slot_atomic, memory_order_relaxed);
	int64_t wait;
	uint64_t next;
	do {
		// Behind those who already wait, one cost after the other.
		wait = (int64_t)(slot - now_units);
		if (wait < least || wait > most + STALE_AFTER)
			wait = least;
		if (wait > most)
			wait = most;
		next = now_units + (uint64_t)(wait + cost);
	} while (!atomic_compare_exchange_weak_explicit(
		&b->slot_atomic, &slot, next, memory_order_relaxed, memory_order_relaxed));
	return ((uint64_t)wait + UNITS_PER_NS - 1) / UNITS_PER_NS;
}

bool bucket_full(struct bucket *b, uint64_t now)
{
	uint64_t tat = atomic_load_explicit(&b->tat_atomic, memory_order_relaxed);
	return debt_at(tat, now * UNITS_PER_NS, (int64_t)SPAN_MOST) == 0;
}

uint64_t bucket_available(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t now)
{
	if (!rate)
		return burst;
	int64_t span = span_of(burst, rate);
	uint64_t tat = atomic_load_explicit(&b->tat_atomic, memory_order_relaxed);
	int64_t debt = debt_at(tat, now * UNITS_PER_NS, span);
	if (!debt)
		return burst ? burst : 1;
	return debt >= span
		       ? 0
		       : (uint64_t)(((double)(span - debt) + 0.5) * (double)rate / UNITS_PER_S);
}

static bool claim_limits(const struct bucket_claim *c)
{
	return c->bucket && c->rate;
}

uint64_t bucket_take_upto_all(const struct bucket_claim *claims, size_t count, uint64_t want,
			      uint64_t now)
{
	uint64_t granted = want;
	size_t i;
	// Each is asked for what the ones before gave; those before then get the difference back.
	for (i = 0; i < count && granted; i++) {
		const struct bucket_claim *c = &claims[i];
		if (!claim_limits(c))
			continue;
		uint64_t got = bucket_take_upto(c->bucket, c->rate, c->burst, granted, now);
		if (got < granted)
			bucket_refund_all(claims, i, granted - got);
		granted = got;
	}
	return granted;
}

void bucket_refund_all(const struct bucket_claim *claims, size_t count, uint64_t n)
{
	for (size_t i = 0; i < count; i++) {
		if (claim_limits(&claims[i]))
			bucket_refund(claims[i].bucket, claims[i].rate, n);
	}
}

uint64_t bucket_wait_all(const struct bucket_claim *claims, size_t count, uint64_t n, uint64_t now)
{
	uint64_t longest = 0;
	for (size_t i = 0; i < count; i++) {
		const struct bucket_claim *c = &claims[i];
		uint64_t wait =
			claim_limits(c) ? bucket_wait(c->bucket, c->rate, c->burst, n, now) : 0;
		if (wait > longest)
			longest = wait;
	}
	return longest;
}
