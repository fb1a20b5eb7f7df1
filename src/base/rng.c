// SPDX-License-Identifier: Apache-2.0
// Random numbers: see rng.h. xoshiro256** after Blackman and Vigna, seeded through splitmix64.
#include "base/rng.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void rng_init(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		seed += 0x9e3779b97f4a7c15u;
		uint64_t z = seed;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		r->state[i] = z ^ (z >> 31);
	}
}

void rng_init_random(struct rng *r)
{
	uint64_t seed;
	rng_secret(&seed, sizeof(seed));
	rng_init(r, seed);
}

uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
	if (!bound)
		return 0;
	// Values below 2^64 mod bound would make the small results likelier: draw again.
	uint64_t reject = -bound % bound;
	uint64_t x;
	do {
		x = rng_next(r);
	} while (x < reject);
	return x % bound;
}

struct rng *rng_thread(void)
{
	static _Thread_local struct rng rng;
	static _Thread_local bool seeded;
	if (!seeded) {
		rng_init_random(&rng);
		seeded = true;
	}
	return &rng;
}

void rng_secret(void *ret_bytes, size_t len)
{
	uint8_t *p = ret_bytes;
	while (len) {
		ssize_t n = getrandom(p, len, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			abort(); // going on with guessable secrets would be worse
		}
		p += n;
		len -= (size_t)n;
	}
}
