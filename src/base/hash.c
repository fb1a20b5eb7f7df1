// SPDX-License-Identifier: Apache-2.0
// Keyed hashing: see hash.h.
#include "base/hash.h"

#include <pthread.h>
#include <sodium.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/rng.h"

enum { SECRET_BYTES = 192 };
_Static_assert((int)SECRET_BYTES >= (int)XXH3_SECRET_SIZE_MIN, "XXH3 needs a longer secret");

static unsigned char secret[SECRET_BYTES];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void secret_draw(void)
{
	rng_secret(secret, sizeof(secret));
}

uint64_t hash_bytes(const void *data, size_t len)
{
	pthread_once(&secret_once, secret_draw);
	return XXH3_64bits_withSecret(data, len, secret, sizeof(secret));
}

uint64_t hash_u64(uint64_t value)
{
	return hash_bytes(&value, sizeof(value));
}

void hash_seed(uint64_t seed)
{
	pthread_once(&secret_once, secret_draw);
	struct rng r;
	rng_init(&r, seed);
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (unsigned char)(rng_next(&r) >> 56);
}

bool hash_secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
