// SPDX-License-Identifier: Apache-2.0
// Random numbers: a fast generator per owner or thread (jitter, choices), and secrets from the
// kernel.
#pragma once

#include <stddef.h>
#include <stdint.h>

// xoshiro256**: fast, not for secrets. One owner at a time; copyable; replays from one seed.
struct rng {
	uint64_t state[4];
};

// Seeds deterministically: the same seed gives the same numbers on every machine.
void rng_init(struct rng *r, uint64_t seed);

// Seeds from the kernel.
void rng_init_random(struct rng *r);

uint64_t rng_next(struct rng *r);

// An unbiased number in [0, bound); 0 when bound is 0.
uint64_t rng_below(struct rng *r, uint64_t bound);

// The calling thread's own generator, seeded from the kernel at its first use. A simulation calls
// rng_init(rng_thread(), seed) in the thread that it runs in.
struct rng *rng_thread(void);

// Fills with bytes fit for keys and tokens (getrandom(2), waiting only before the kernel's pool was
// first seeded). Cannot fail: aborts when the kernel has no random numbers at all. Any thread.
void rng_secret(void *ret_bytes, size_t len);
