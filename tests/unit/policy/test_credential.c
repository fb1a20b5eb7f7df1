// SPDX-License-Identifier: Apache-2.0
// One log-in attempt: verdicts, what reaches cache and throttle, equal attempts, no memory.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "policy/credential.h"
#include "policy/password.h"

#define SECOND 1000000000ull

// The cheapest there is, for "secret".
static const char bcrypt[] = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

static int setup(void **state)
{
	static struct credential_rules rules;
	rules = (struct credential_rules){
		.policy = {.failures = 3, .window_ns = 60 * SECOND},
		.granted_ttl_ns = 60 * SECOND,
		.denied_ttl_ns = 10 * SECOND,
	};
	if (authcache_new(64, &rules.cache) < 0 || throttle_new(64, &rules.throttle) < 0)
		return -1;
	*state = &rules;
	return 0;
}

static int teardown(void **state)
{
	struct credential_rules *rules = *state;
	authcache_free(rules->cache);
	throttle_free(rules->throttle);
	return 0;
}

static struct credential *attempt(const char *password, const char *hash)
{
	struct endpoint ep = endpoint_v4(0x0a000001, 5);
	struct credential *c = NULL;
	assert_int_equal(credential_new(&ep, "alice", 5, password, strlen(password), hash ? 9 : 0,
					hash, bcrypt, &c),
			 0);
	return c;
}

// The verdict, and whether it took a helper.
static int verdict(const struct credential_rules *rules, const char *password, const char *hash,
		   uint64_t now, int *ret_slow)
{
	uint64_t retry = 0;
	struct credential *c = attempt(password, hash);
	int r = credential_begin(c, rules, now, &retry);
	*ret_slow = r == -EINPROGRESS;
	if (*ret_slow) {
		credential_run(c, rules, now);
		r = credential_end(c, rules, now);
	}
	assert_int_equal(r == -EAGAIN, retry > 0);
	credential_free(c);
	return r;
}

static void success_is_remembered(void **state)
{
	int slow;
	assert_int_equal(verdict(*state, "secret", bcrypt, SECOND, &slow), 0);
	assert_true(slow);
	assert_int_equal(verdict(*state, "secret", bcrypt, SECOND, &slow), 0);
	assert_false(slow);
	// Not with another stored hash, nor after its time.
	assert_int_equal(verdict(*state, "secret",
				 "$2b$04$Abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
				 SECOND, &slow),
			 -EACCES);
	assert_true(slow);
	assert_int_equal(verdict(*state, "secret", bcrypt, 70 * SECOND, &slow), 0);
	assert_true(slow);
}

static void what_was_checked(void **state)
{
	struct credential *c = attempt("secret", bcrypt);
	assert_true(credential_is_checked(c, bcrypt));
	assert_false(credential_is_checked(c, "$2b$04$another"));
	credential_free(c);
	// The hash of somebody else, checked for the time it takes, lets nobody in.
	c = attempt("secret", NULL);
	assert_false(credential_is_checked(c, bcrypt));
	credential_free(c);
}

static void failures_are_throttled(void **state)
{
	int slow;
	// The same wrong password again and again is one failure, and costs one hash.
	for (int i = 0; i < 20; i++) {
		assert_int_equal(verdict(*state, "wrong", bcrypt, SECOND, &slow), -EACCES);
		assert_int_equal(slow, i == 0);
	}
	assert_int_equal(verdict(*state, "wrong2", bcrypt, SECOND, &slow), -EACCES);
	assert_int_equal(verdict(*state, "wrong3", bcrypt, SECOND, &slow), -EACCES);
	assert_int_equal(verdict(*state, "wrong4", bcrypt, SECOND, &slow), -EAGAIN);
	assert_int_equal(verdict(*state, "secret", bcrypt, SECOND, &slow), -EAGAIN);
	assert_int_equal(verdict(*state, "secret", bcrypt, 2 * SECOND, &slow), 0);
}

static void unknown_user_is_like_a_wrong_password(void **state)
{
	int slow;
	assert_int_equal(verdict(*state, "secret", NULL, SECOND, &slow), -EACCES);
	assert_true(slow);
	assert_int_equal(verdict(*state, "secret", NULL, SECOND, &slow), -EACCES);
	assert_false(slow);
	// And then he is made: the remembered denial is not his.
	assert_int_equal(verdict(*state, "secret", bcrypt, SECOND, &slow), 0);
}

static void without_users(void **state)
{
	struct endpoint ep = endpoint_v4(0x0a000001, 5);
	struct credential *c;
	uint64_t retry;
	assert_int_equal(credential_new(&ep, "a", 1, "b", 1, 0, NULL, NULL, &c), 0);
	assert_int_equal(credential_begin(c, *state, SECOND, &retry), -EACCES);
	credential_free(c);
}

static void keyed_needs_no_helper(void **state)
{
	char hash[HASH_KEYED_TEXT];
	int slow;
	hash_keyed_password("secret", 6, hash);
	assert_int_equal(verdict(*state, "secret", hash, SECOND, &slow), 0);
	assert_false(slow);
	assert_int_equal(verdict(*state, "Secret", hash, SECOND, &slow), -EACCES);
	assert_false(slow);
}

static void over_long(void **state)
{
	char text[PASSWORD_MAX + 2];
	struct endpoint ep = endpoint_v4(0x0a000001, 5);
	struct credential *c;
	uint64_t retry;
	memset(text, 'x', sizeof(text));
	assert_int_equal(
		credential_new(&ep, "alice", 5, text, PASSWORD_MAX + 1, 9, bcrypt, bcrypt, &c), 0);
	assert_int_equal(credential_begin(c, *state, SECOND, &retry), -EACCES);
	credential_free(c);
	assert_int_equal(
		credential_new(&ep, text, SNAP_USER_NAME_MAX + 1, "b", 1, 0, NULL, bcrypt, &c), 0);
	assert_int_equal(credential_begin(c, *state, SECOND, &retry), -EACCES);
	credential_free(c);
}

static void damaged_hash_denies(void **state)
{
	int slow;
	assert_int_equal(verdict(*state, "secret", "$2b$04$short", SECOND, &slow), -EACCES);
}

// Many come at once before the first is checked: the others find its outcome.
static void equal_attempts_are_hashed_once(void **state)
{
	enum { COUNT = 20 };
	struct credential_rules *rules = *state;
	struct credential *c[COUNT];
	uint64_t retry;
	for (int i = 0; i < COUNT; i++) {
		c[i] = attempt("secret", bcrypt);
		assert_int_equal(credential_begin(c[i], rules, SECOND, &retry), -EINPROGRESS);
	}
	credential_run(c[0], rules, SECOND);
	for (int i = 1; i < COUNT; i++) {
		alloc_fail_at(1); // a hash would allocate
		credential_run(c[i], rules, SECOND);
		assert_false(alloc_fail_hit());
		alloc_fail_at(0);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(credential_end(c[i], rules, SECOND), 0);
		credential_free(c[i]);
	}
}

static void not_run_is_no_failure(void **state)
{
	struct credential_rules *rules = *state;
	uint64_t retry;
	for (int i = 0; i < 100; i++) {
		struct credential *c = attempt("wrong", bcrypt);
		assert_int_equal(credential_begin(c, rules, SECOND, &retry), -EINPROGRESS);
		assert_int_equal(credential_end(c, rules, SECOND), -ECANCELED);
		credential_free(c);
	}
	credential_free(NULL);
	credential_free(attempt("wrong", bcrypt)); // never begun
}

static void no_memory(void **state)
{
	struct credential_rules *rules = *state;
	struct endpoint ep = endpoint_v4(0x0a000001, 5);
	struct credential *c = NULL;
	alloc_fail_at(1);
	assert_int_equal(credential_new(&ep, "a", 1, "b", 1, 0, NULL, NULL, &c), -ENOMEM);
	alloc_fail_at(0);
	assert_null(c);
	uint64_t retry;
	c = attempt("secret", bcrypt);
	assert_int_equal(credential_begin(c, rules, SECOND, &retry), -EINPROGRESS);
	alloc_fail_at(1);
	credential_run(c, rules, SECOND);
	alloc_fail_at(0);
	assert_int_equal(credential_end(c, rules, SECOND), -ENOMEM);
	credential_free(c);
	int slow; // neither remembered nor counted
	assert_int_equal(verdict(rules, "secret", bcrypt, SECOND, &slow), 0);
	assert_true(slow);
}

#define with_rules(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rules(success_is_remembered),
		with_rules(what_was_checked),
		with_rules(failures_are_throttled),
		with_rules(unknown_user_is_like_a_wrong_password),
		with_rules(without_users),
		with_rules(keyed_needs_no_helper),
		with_rules(over_long),
		with_rules(damaged_hash_denies),
		with_rules(equal_attempts_are_hashed_once),
		with_rules(not_run_is_no_failure),
		with_rules(no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
