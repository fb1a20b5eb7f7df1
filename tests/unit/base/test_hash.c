// SPDX-License-Identifier: Apache-2.0
// Keyed hashing: stable in a process, spread, seeded; the MAC's pieces; from many threads.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

static void *first_use(void *arg)
{
	*(uint64_t *)arg = hash_u64(42);
	return NULL;
}

// Runs first: the secret is drawn once, whoever comes.
static void first_use_by_many(void **state)
{
	pthread_t threads[4];
	uint64_t seen[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, first_use, &seen[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i], hash_u64(42));
}

static void spreads(void **state)
{
	unsigned low[256] = {0}, high[256] = {0};
	for (uint64_t i = 0; i < 256 * 100; i++) {
		uint64_t h = hash_u64(i);
		low[h & 255]++;
		high[h >> 56]++;
	}
	for (int i = 0; i < 256; i++) {
		assert_in_range(low[i], 40, 180);
		assert_in_range(high[i], 40, 180);
	}
	assert_int_equal(hash_bytes("", 0), hash_bytes("x", 0));
	assert_int_not_equal(hash_bytes("", 0), hash_bytes("\0", 1));
}

static void seed_decides(void **state)
{
	uint8_t a[HASH_MAC_BYTES], b[HASH_MAC_BYTES];
	struct hash_piece piece = {"x", 1};
	uint64_t random = hash_u64(1);
	hash_seed(1);
	uint64_t one = hash_u64(1);
	hash_mac(&piece, 1, a);
	hash_seed(2);
	assert_int_not_equal(hash_u64(1), one);
	hash_mac(&piece, 1, b);
	assert_memory_not_equal(a, b, sizeof(a));
	hash_seed(1);
	assert_int_equal(hash_u64(1), one);
	hash_mac(&piece, 1, b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_not_equal(one, random);
}

static void pieces_do_not_mix(void **state)
{
	struct hash_piece one[] = {{"ab", 2}, {"c", 1}}, two[] = {{"a", 1}, {"bc", 2}},
			  three[] = {{"ab", 2}, {"c", 1}, {NULL, 0}};
	uint8_t a[HASH_MAC_BYTES], b[HASH_MAC_BYTES], c[HASH_MAC_BYTES];
	hash_mac(one, 2, a);
	hash_mac(two, 2, b);
	hash_mac(three, 3, c);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	hash_mac(one, 2, b);
	assert_memory_equal(a, b, sizeof(a));
	assert_true(hash_secret_equal(a, b, sizeof(a)));
	b[31] ^= 1;
	assert_false(hash_secret_equal(a, b, sizeof(a)));
	assert_true(hash_secret_equal(a, b, 31));
	assert_true(hash_secret_equal(a, b, 0));
}

static void keyed_password(void **state)
{
	char a[HASH_KEYED_TEXT], b[HASH_KEYED_TEXT];
	hash_keyed_password("secret", 6, a);
	hash_keyed_password("secret", 6, b);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), HASH_KEYED_TEXT - 1);
	assert_memory_equal(a, "$keyed$", 7);
	hash_keyed_password("secre", 5, b);
	assert_string_not_equal(a, b);
	assert_null(strstr(a, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_use_by_many), cmocka_unit_test(spreads),
		cmocka_unit_test(seed_decides),      cmocka_unit_test(pieces_do_not_mix),
		cmocka_unit_test(keyed_password),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
