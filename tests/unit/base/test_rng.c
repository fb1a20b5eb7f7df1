// SPDX-License-Identifier: Apache-2.0
// Random numbers: the published sequence, replay, bounds, threads apart.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static void known_sequence(void **state)
{
	// The first outputs of xoshiro256** from the state 1, 2, 3, 4.
	struct rng r = {{1, 2, 3, 4}};
	static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(rng_next(&r), expected[i]);
}

static void replays(void **state)
{
	struct rng a, b, c;
	rng_init(&a, 7);
	rng_init(&b, 7);
	rng_init(&c, 8);
	unsigned same = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t x = rng_next(&a);
		assert_int_equal(x, rng_next(&b));
		same += x == rng_next(&c);
	}
	assert_int_equal(same, 0);
	rng_init_random(&a);
	rng_init_random(&b);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void bounds(void **state)
{
	struct rng r;
	unsigned seen[7] = {0};
	rng_init(&r, 1);
	assert_int_equal(rng_below(&r, 0), 0);
	assert_int_equal(rng_below(&r, 1), 0);
	for (int i = 0; i < 70000; i++)
		seen[rng_below(&r, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9500, 10500);
	// Where a plain modulus would favour the lower half two to one.
	uint64_t bound = UINT64_MAX / 3 * 2;
	unsigned low = 0;
	for (int i = 0; i < 10000; i++) {
		uint64_t x = rng_below(&r, bound);
		assert_true(x < bound);
		low += x < bound / 2;
	}
	assert_in_range(low, 4800, 5200);
}

static void *thread_main(void *arg)
{
	*(uint64_t *)arg = rng_next(rng_thread());
	return NULL;
}

static void threads_apart(void **state)
{
	uint64_t other;
	pthread_t thread;
	rng_init(rng_thread(), 5);
	struct rng here = *rng_thread();
	assert_int_equal(pthread_create(&thread, NULL, thread_main, &other), 0);
	pthread_join(thread, NULL);
	assert_int_equal(rng_next(rng_thread()), rng_next(&here));
	assert_int_not_equal(other, rng_next(&here));
}

static void secrets(void **state)
{
	uint8_t a[1000], b[1000];
	memset(a, 0, sizeof(a));
	rng_secret(a, sizeof(a));
	rng_secret(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	unsigned zeros = 0;
	for (size_t i = 0; i < sizeof(a); i++)
		zeros += a[i] == 0;
	assert_in_range(zeros, 0, 30);
	rng_secret(a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_sequence), cmocka_unit_test(replays),
		cmocka_unit_test(bounds),         cmocka_unit_test(threads_apart),
		cmocka_unit_test(secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
