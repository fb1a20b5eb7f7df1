// SPDX-License-Identifier: Apache-2.0
// Token buckets as one atomic moment: see bucket.h.
//
// Moments are u64 in 2^-10 ns and wrap every 208 days; they are compared by signed difference.
// Conversions use double: its 53 bits are far finer than the unit for every burst that makes sense.
#include "policy/bucket.h"

#define UNITS_PER_NS 1024ull
#define UNITS_PER_S (1e9 * (double)UNITS_PER_NS)
#define AHEAD ((int64_t)(BUCKET_AHEAD_NS * UNITS_PER_NS))
// No debt reaches further ahead than a burst, the queue of turns, and what workers' clocks differ by:
// what is further is a moment from 208 days ago, or from before a reload that shrank the burst.
#define STALE_AFTER (AHEAD + (int64_t)(20 * 1000000000ull * UNITS_PER_NS))
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

// How far the arrival time lies ahead of now: 0 (full) to span (empty), more when units were taken in
// advance.
static int64_t debt_at(uint64_t tat, uint64_t now_units, int64_t span)
{
	int64_t debt = (int64_t)(tat - now_units);
	return debt < 0 || debt > span + STALE_AFTER ? 0 : debt;
}

void bucket_init(struct bucket *b, uint64_t now)
{
	atomic_init(&b->tat_atomic, now * UNITS_PER_NS);
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
	return ((uint64_t)least + UNITS_PER_NS - 1) / UNITS_PER_NS;
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

// Takes n units (at most the burst) now that will be there in *ret_wait ns, or returns false when the
// queue is full; *ret_wait is then when to try again.
static bool bucket_reserve(const struct bucket_claim *c, uint64_t n, uint64_t now,
			   uint64_t *ret_wait)
{
	uint64_t now_units = now * UNITS_PER_NS;
	int64_t span = span_of(c->burst, c->rate);
	int64_t cost = cost_of(n, c->rate);
	if (cost > span)
		cost = span;
	uint64_t tat = atomic_load_explicit(&c->bucket->tat_atomic, memory_order_relaxed);
	int64_t wait;
	uint64_t next;
	do {
		int64_t debt = debt_at(tat, now_units, span);
		wait = debt + cost - span;
		if (wait > AHEAD) {
			// When there is room again, and then at some moment within the next second, lest
			// all come at once; bits of the arrival time serve as chance.
			uint64_t spread = (tat * 0x9e3779b97f4a7c15u) >> 34;
			*ret_wait =
				(uint64_t)(wait - AHEAD) / UNITS_PER_NS + 1 + spread % 1000000000u;
			return false;
		}
		next = now_units + (uint64_t)(debt + cost);
	} while (!atomic_compare_exchange_weak_explicit(
		&c->bucket->tat_atomic, &tat, next, memory_order_relaxed, memory_order_relaxed));
	*ret_wait = wait > 0 ? ((uint64_t)wait + UNITS_PER_NS - 1) / UNITS_PER_NS : 0;
	return true;
}

// The same of all; false takes nothing.
static bool bucket_reserve_all(const struct bucket_claim *claims, size_t count, uint64_t n,
			       uint64_t now, uint64_t *ret_wait)
{
	uint64_t longest = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t wait;
		if (!claim_limits(&claims[i]))
			continue;
		if (!bucket_reserve(&claims[i], n, now, &wait)) {
			bucket_refund_all(claims, i, n);
			*ret_wait = wait;
			return false;
		}
		if (wait > longest)
			longest = wait;
	}
	*ret_wait = longest;
	return true;
}

// Whether no bucket is in debt: then whatever was taken in advance is there.
static bool bucket_covered_all(const struct bucket_claim *claims, size_t count, uint64_t now)
{
	for (size_t i = 0; i < count; i++) {
		const struct bucket_claim *c = &claims[i];
		if (!claim_limits(c))
			continue;
		int64_t span = span_of(c->burst, c->rate);
		uint64_t tat = atomic_load_explicit(&c->bucket->tat_atomic, memory_order_relaxed);
		if (debt_at(tat, now * UNITS_PER_NS, span) > span)
			return false;
	}
	return true;
}

static void turn_wait(struct bucket_turn *turn, uint64_t now)
{
	turn->wake = turn->due < now + BUCKET_LOOK_NS ? turn->due : now + BUCKET_LOOK_NS;
}

uint64_t bucket_turn_take(struct bucket_turn *turn, const struct bucket_claim *claims, size_t count,
			  uint64_t need, uint64_t want, uint64_t now)
{
	if (now < turn->wake || !want)
		return 0;
	if (now < turn->due && !bucket_covered_all(claims, count, now)) {
		turn_wait(turn, now);
		return 0;
	}
	if (need > want)
		need = want;
	uint64_t granted = turn->credit < want ? turn->credit : want;
	turn->credit -= granted;
	granted += bucket_take_upto_all(claims, count, want - granted, now);
	if (granted >= need)
		return granted;
	uint64_t wait;
	if (bucket_reserve_all(claims, count, need - granted, now, &wait))
		granted = need;
	if (!wait)
		return granted; // they came between the two looks
	turn->credit = granted;
	turn->due = now + wait;
	turn_wait(turn, now);
	return 0;
}

void bucket_turn_cancel(struct bucket_turn *turn, const struct bucket_claim *claims, size_t count)
{
	bucket_refund_all(claims, count, turn->credit);
	*turn = (struct bucket_turn){0};
}
