// SPDX-License-Identifier: Apache-2.0
// Pools: objects apart, limits, memory given back, no memory, poison.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/pool.h"
#include "base/rng.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

// Random allocs and frees; each object is filled with its own pattern and must keep it.
static void objects_keep_apart(size_t size)
{
	enum { MOST = 700 };
	struct pool p;
	struct rng r;
	unsigned char *live[MOST] = {0};
	size_t count = 0;
	pool_init(&p, "test", size, 0);
	rng_init(&r, size);
	for (int i = 0; i < 20000; i++) {
		// Grows in the first half of a round, shrinks in the second.
		bool grow = rng_below(&r, 100) < (i / 2500 % 2 ? 35u : 65u);
		size_t slot = (size_t)rng_below(&r, MOST);
		if (grow && !live[slot]) {
			live[slot] = pool_alloc(&p);
			assert_non_null(live[slot]);
			assert_int_equal((uintptr_t)live[slot] % (size % 64 == 0 ? 64 : 16), 0);
			memset(live[slot], (int)slot, size);
			count++;
		} else if (!grow && live[slot]) {
			for (size_t b = 0; b < size; b += 1 + size / 16)
				assert_int_equal(live[slot][b], (unsigned char)slot);
			pool_free(&p, live[slot]);
			live[slot] = NULL;
			count--;
		}
		assert_int_equal(p.object_count, count);
	}
	for (size_t i = 0; i < MOST; i++)
		pool_free(&p, live[i]);
	assert_int_equal(p.object_count, 0);
	assert_true(p.slab_count <= 1);
	pool_trim(&p);
	assert_int_equal(pool_bytes(&p), 0);
	assert_int_equal(pool_release(&p), 0);
}

static void sizes(void **state)
{
	static const size_t all[] = {1,   16,   24,   64,    100,    128,
				     333, 1000, 4096, 20000, 100000, 2000000};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i] > 4096) {
			struct pool p;
			pool_init(&p, "large", all[i], 0);
			char *a = pool_alloc(&p), *b = pool_alloc_zero(&p);
			assert_non_null(a);
			assert_non_null(b);
			memset(a, 1, all[i]);
			assert_int_equal(b[all[i] - 1], 0);
			memset(b, 2, all[i]);
			assert_int_equal(a[all[i] - 1], 1);
			pool_free(&p, a);
			pool_free(&p, b);
			assert_int_equal(pool_release(&p), 0);
		} else {
			objects_keep_apart(all[i]);
		}
	}
}

static void limit_is_kept(void **state)
{
	struct pool p;
	void *o[10];
	pool_init(&p, "test", 64, 10);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++) {
			o[i] = pool_alloc(&p);
			assert_non_null(o[i]);
		}
		assert_null(pool_alloc(&p));
		pool_free(&p, o[4]);
		o[4] = pool_alloc_zero(&p);
		assert_non_null(o[4]);
		assert_null(pool_alloc_zero(&p));
		for (int i = 0; i < 10; i++)
			pool_free(&p, o[i]);
	}
	pool_free(&p, NULL);
	assert_int_equal(pool_release(&p), 0);
}

// After a peak the memory goes, but for a little; and a few objects do not hold all of it.
static void memory_goes_back(void **state)
{
	enum { MOST = 20000 };
	struct pool p;
	void **o = malloc(MOST * sizeof(*o));
	pool_init(&p, "test", 200, 0);
	for (int i = 0; i < MOST; i++)
		o[i] = pool_alloc(&p);
	size_t peak = pool_bytes(&p);
	assert_true(peak >= MOST * 200 && peak < MOST * 220);
	for (int i = 10; i < MOST; i++)
		pool_free(&p, o[i]);
	assert_true(pool_bytes(&p) <= 3 * p.slab_bytes);
	// An object to and fro does not make slabs come and go.
	size_t slabs = p.slab_count;
	for (int i = 0; i < 1000; i++) {
		void *one = pool_alloc(&p);
		assert_int_equal(p.slab_count, slabs);
		pool_free(&p, one);
	}
	for (int i = 0; i < 10; i++)
		pool_free(&p, o[i]);
	assert_true(p.slab_count <= 1);
	assert_int_equal(pool_release(&p), 0);
	free(o);
}

static void release_with_live_objects(void **state)
{
	struct pool p;
	pool_init(&p, "test", 48, 0);
	for (int i = 0; i < 1000; i++)
		assert_non_null(pool_alloc(&p));
	assert_int_equal(pool_release(&p), 1000); // and the leak checker is content
	assert_int_equal(pool_bytes(&p), 0);
	void *again = pool_alloc(&p);
	assert_non_null(again);
	pool_free(&p, again);
	assert_int_equal(pool_release(&p), 0);
}

static void no_memory(void **state)
{
	struct pool p;
	pool_init(&p, "test", 48, 0);
	alloc_fail_at(1);
	assert_null(pool_alloc(&p));
	assert_true(alloc_fail_hit());
	alloc_fail_at(0);
	assert_int_equal(p.object_count, 0);
	void *o = pool_alloc(&p);
	assert_non_null(o);
	pool_free(&p, o);
	assert_int_equal(pool_release(&p), 0);
}

static void free_objects_are_poisoned(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
	struct pool p;
	pool_init(&p, "test", 48, 0);
	char *a = pool_alloc(&p), *b = pool_alloc(&p);
	assert_false(__asan_address_is_poisoned(a));
	assert_false(__asan_address_is_poisoned(b + 47));
	pool_free(&p, a);
	assert_true(__asan_address_is_poisoned(a));
	assert_true(__asan_address_is_poisoned(a + 47));
	assert_false(__asan_address_is_poisoned(b));
	a = pool_alloc(&p);
	assert_false(__asan_address_is_poisoned(a));
	pool_free(&p, a);
	pool_free(&p, b);
	pool_release(&p);
#else
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(limit_is_kept),
		cmocka_unit_test(memory_goes_back),
		cmocka_unit_test(release_with_live_objects),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(free_objects_are_poisoned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
