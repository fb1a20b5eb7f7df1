// SPDX-License-Identifier: Apache-2.0
// Keyed hashing: see hash.h.
#include "base/hash.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/rng.h"

enum { SECRET_BYTES = 192 };
_Static_assert((int)SECRET_BYTES >= (int)XXH3_SECRET_SIZE_MIN, "XXH3 needs a longer secret");

static unsigned char secret[SECRET_BYTES];
static unsigned char mac_key[crypto_generichash_KEYBYTES];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void secret_draw(void)
{
	if (sodium_init() < 0)
		abort();
	rng_secret(secret, sizeof(secret));
	rng_secret(mac_key, sizeof(mac_key));
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
	for (size_t i = 0; i < sizeof(mac_key); i++)
		mac_key[i] = (unsigned char)(rng_next(&r) >> 56);
}

void hash_mac(const struct hash_piece *pieces, size_t count, uint8_t ret_mac[HASH_MAC_BYTES])
{
	pthread_once(&secret_once, secret_draw);
	crypto_generichash_state state;
	crypto_generichash_init(&state, mac_key, sizeof(mac_key), HASH_MAC_BYTES);
	for (size_t i = 0; i < count; i++) {
		uint64_t len = pieces[i].len;
		crypto_generichash_update(&state, (const unsigned char *)&len, sizeof(len));
		if (len)
			crypto_generichash_update(&state, pieces[i].data, len);
	}
	crypto_generichash_final(&state, ret_mac, HASH_MAC_BYTES);
	sodium_memzero(&state, sizeof(state)); // it holds the last block of input
}

void hash_keyed_password(const void *password, size_t len, char ret_text[HASH_KEYED_TEXT])
{
	static const char label[] = "password";
	struct hash_piece pieces[] = {{label, sizeof(label) - 1}, {password, len}};
	uint8_t mac[HASH_MAC_BYTES];
	hash_mac(pieces, 2, mac);
	memcpy(ret_text, "$keyed$", 7);
	sodium_bin2hex(ret_text + 7, HASH_KEYED_TEXT - 7, mac, sizeof(mac));
}

bool hash_secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
