// SPDX-License-Identifier: Apache-2.0
// A token bucket for bytes or events that all workers share without a lock.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The generic cell rate algorithm (as ITU-T I.371): the whole state is one moment, the theoretical
// arrival time, at which the bucket will be full again. Rate and burst are arguments, so a reload
// changes them without touching the bucket.
//
// Common arguments: rate is units (bytes, events) per second, 0 means no limit; burst is the
// bucket's size in units (0 counts as 1). now is monotonic ns; workers may pass slightly different
// clocks (a late one is granted less, never too much). All functions: any thread, lock-free.
//
// Exactness: over any time t no more than burst + rate * t is granted, and a caller that waits as
// told gets all of it; the arithmetic error is below 0.1 % where a take is worth half a
// nanosecond or more (5 bytes at 10 GB/s).
// A bucket left alone for over 104 days counts as full; on a change to a much smaller burst a debt
// of over 140 s beyond the new burst is forgiven.
struct bucket {
	_Atomic uint64_t tat_atomic; // theoretical arrival time, 2^-10 ns, wrapping
};

// Full at `now`.
void bucket_init(struct bucket *b, uint64_t now);

// Takes up to want units and returns how many (0..want).
uint64_t bucket_take_upto(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t want,
			  uint64_t now);

// Gives back n units of an earlier grant that were not used.
void bucket_refund(struct bucket *b, uint64_t rate, uint64_t n);

// The ns until at least n units (at most burst) will be there if nobody takes any meanwhile; 0 when
// they are now. Takes nothing, promises nothing: good for a hint (Retry-After), while a transfer that
// must go on takes turns by bucket_turn_take.
uint64_t bucket_wait(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t n, uint64_t now);

// Whether the bucket is full, at whatever rate and burst it was used: if so, a new one is the same.
bool bucket_full(struct bucket *b, uint64_t now);

// Units available at now, for display.
uint64_t bucket_available(struct bucket *b, uint64_t rate, uint64_t burst, uint64_t now);

// One of the buckets that a transfer is charged to. bucket NULL or rate 0: no limit.
struct bucket_claim {
	struct bucket *bucket;
	uint64_t rate;
	uint64_t burst;
};

// The same over several buckets at once (user and address): what is granted was taken from each;
// what one gave beyond another's grant goes back. The wait is the longest of all.
uint64_t bucket_take_upto_all(const struct bucket_claim *claims, size_t count, uint64_t want,
			      uint64_t now);
void bucket_refund_all(const struct bucket_claim *claims, size_t count, uint64_t n);
uint64_t bucket_wait_all(const struct bucket_claim *claims, size_t count, uint64_t n, uint64_t now);

// Turns: how takers that must wait get their share. Who finds too little takes a place in the queue, by
// taking the missing units in advance: the bucket goes into debt, and the moment when the debt is
// covered is when the units are his. So the order is first come, first served over all workers, those
// who come later find the bucket empty, and nobody is passed over. When others give up their places
// the queue gets shorter for all who wait, at the latest after BUCKET_LOOK_NS. The queue is at most
// BUCKET_AHEAD_NS long: who comes then is told a time to try again, and gets a place by chance.
#define BUCKET_AHEAD_NS (120 * 1000000000ull)
#define BUCKET_LOOK_NS (1000000000ull)

// All zero at first. Belongs to one taker of one direction, and to one thread.
struct bucket_turn {
	uint64_t credit; // units taken in advance
	uint64_t due;    // ns: when these are there
	uint64_t wake;   // ns: when to call again, due or earlier
};

// Takes up to want units, but no fewer than need if want is as much: returns how many, or 0: then
// turn->wake is when to call again (earlier calls give 0 too). need at most the burst of each bucket.
// What was granted and not used goes back by bucket_refund_all.
uint64_t bucket_turn_take(struct bucket_turn *turn, const struct bucket_claim *claims, size_t count,
			  uint64_t need, uint64_t want, uint64_t now);

// Gives back what was taken in advance: when the taker ends, or before its claims change.
void bucket_turn_cancel(struct bucket_turn *turn, const struct bucket_claim *claims, size_t count);

// The burst for a rate when none is configured: an eighth of a second, at least 64 KiB.
static inline uint64_t bucket_default_burst(uint64_t rate_Bps)
{
	uint64_t burst = rate_Bps / 8;
	return burst < 65536 ? 65536 : burst;
}
