// SPDX-License-Identifier: Apache-2.0
// The cache of password checks: keys, ages, who gives way when it is full, many threads.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/rng.h"
#include "policy/authcache.h"

#define SECOND 1000000000ull

static struct authcache_key key(const char *name, const char *password, const char *hash)
{
	struct authcache_key k;
	authcache_key_init(&k, 1, name, strlen(name), password, strlen(password), hash);
	return k;
}

static struct authcache_key numbered(unsigned n)
{
	char name[16];
	snprintf(name, sizeof(name), "%u", n);
	return key(name, "p", "h");
}

static struct authcache *cache_of(size_t limit)
{
	struct authcache *c = NULL;
	assert_int_equal(authcache_new(limit, &c), 0);
	return c;
}

static void finds_what_was_stored(void **state)
{
	struct authcache *c = cache_of(100);
	struct authcache_key k = key("alice", "secret", "$6$x");
	assert_int_equal(authcache_find(c, &k, 0), AUTHCACHE_UNKNOWN);
	authcache_store(c, &k, AUTHCACHE_GRANTED, 60 * SECOND, SECOND);
	assert_int_equal(authcache_find(c, &k, SECOND), AUTHCACHE_GRANTED);
	assert_int_equal(authcache_find(c, &k, 61 * SECOND - 1), AUTHCACHE_GRANTED);
	assert_int_equal(authcache_find(c, &k, 61 * SECOND), AUTHCACHE_UNKNOWN);
	struct authcache_key wrong = key("alice", "Secret", "$6$x");
	authcache_store(c, &wrong, AUTHCACHE_DENIED, SECOND, SECOND);
	assert_int_equal(authcache_find(c, &wrong, SECOND), AUTHCACHE_DENIED);
	assert_int_equal(authcache_find(c, &k, SECOND), AUTHCACHE_GRANTED);
	// The newest word counts.
	authcache_store(c, &k, AUTHCACHE_DENIED, SECOND, SECOND);
	assert_int_equal(authcache_find(c, &k, SECOND), AUTHCACHE_DENIED);
	// For ever, and not at all.
	authcache_store(c, &k, AUTHCACHE_GRANTED, UINT64_MAX, SECOND);
	assert_int_equal(authcache_find(c, &k, UINT64_MAX - 1), AUTHCACHE_GRANTED);
	struct authcache_key other = key("bob", "secret", "$6$x");
	authcache_store(c, &other, AUTHCACHE_GRANTED, 0, SECOND);
	assert_int_equal(authcache_find(c, &other, SECOND), AUTHCACHE_UNKNOWN);
	authcache_clear(c);
	assert_int_equal(authcache_find(c, &k, SECOND), AUTHCACHE_UNKNOWN);
	authcache_free(c);
	authcache_free(NULL);
}

// Whatever differs is another key, and nothing moves from one piece into the next.
static void keys_differ(void **state)
{
	struct authcache_key k[] = {
		key("ab", "cd", "ef"), key("a", "bcd", "ef"), key("abc", "d", "ef"),
		key("ab", "cde", "f"), key("ab", "cd", "eg"), key("ab", "cd", ""),
		key("", "abcd", "ef"), key("abcdef", "", ""), {{0}}};
	size_t count = sizeof(k) / sizeof(k[0]);
	authcache_key_init(&k[count - 1], 2, "ab", 2, "cd", 2, "ef"); // another scope
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(&k[i], &k[j], sizeof(k[i]));
	}
	struct authcache_key again = key("ab", "cd", "ef");
	assert_memory_equal(&k[0], &again, sizeof(again));
}

static unsigned granted(struct authcache *c, unsigned from, unsigned to, uint64_t now)
{
	unsigned n = 0;
	for (unsigned i = from; i < to; i++) {
		struct authcache_key k = numbered(i);
		n += authcache_find(c, &k, now) == AUTHCACHE_GRANTED;
	}
	return n;
}

static void full_cache(void **state)
{
	struct authcache *c = cache_of(256);
	for (unsigned i = 0; i < 100; i++) {
		struct authcache_key k = numbered(i);
		authcache_store(c, &k, AUTHCACHE_GRANTED, 1000 * SECOND, SECOND);
	}
	unsigned before = granted(c, 0, 100, SECOND);
	assert_true(before >= 90); // a set of eight may overflow by chance
	// A flood of wrong guesses displaces none.
	for (unsigned i = 1000; i < 11000; i++) {
		struct authcache_key k = numbered(i);
		authcache_store(c, &k, AUTHCACHE_DENIED, 2000 * SECOND, SECOND);
	}
	assert_int_equal(granted(c, 0, 100, SECOND), before);
	// New grants displace denials first: still all there.
	for (unsigned i = 100; i < 150; i++) {
		struct authcache_key k = numbered(i);
		authcache_store(c, &k, AUTHCACHE_GRANTED, 1000 * SECOND, 2 * SECOND);
	}
	assert_true(granted(c, 0, 150, 2 * SECOND) >= 135);
	// Many more than fit: the cache stays bounded and useful.
	for (unsigned i = 200; i < 5000; i++) {
		struct authcache_key k = numbered(i);
		authcache_store(c, &k, AUTHCACHE_GRANTED, 1000 * SECOND, (3 + i) * SECOND / 100);
		assert_int_equal(authcache_find(c, &k, (3 + i) * SECOND / 100), AUTHCACHE_GRANTED);
	}
	assert_true(granted(c, 0, 5000, 100 * SECOND) <= 256);
	authcache_free(c);
}

static void no_memory(void **state)
{
	struct authcache *c = NULL;
	alloc_fail_at(1);
	assert_int_equal(authcache_new(100, &c), -ENOMEM);
	assert_true(alloc_fail_hit());
	alloc_fail_at(0);
	assert_null(c);
}

// Odd keys are granted, even ones denied: no thread ever sees another word.
static void *use_main(void *arg)
{
	struct authcache *c = arg;
	struct rng r;
	rng_init_random(&r);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = (unsigned)rng_below(&r, 200);
		struct authcache_key k = numbered(n);
		enum authcache_result mine = n & 1 ? AUTHCACHE_GRANTED : AUTHCACHE_DENIED;
		enum authcache_result found = authcache_find(c, &k, i);
		if (found != AUTHCACHE_UNKNOWN && found != mine)
			return c;
		authcache_store(c, &k, mine, 1 + rng_below(&r, 1000), i);
	}
	return NULL;
}

static void many_threads(void **state)
{
	struct authcache *c = cache_of(64);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_main, c), 0);
	for (int i = 0; i < 10; i++)
		authcache_clear(c);
	for (int i = 0; i < 4; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	authcache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_stored),
		cmocka_unit_test(keys_differ),
		cmocka_unit_test(full_cache),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
