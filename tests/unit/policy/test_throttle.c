// SPDX-License-Identifier: Apache-2.0
// Throttling: growing waits, fading, no lock-out of a user, parallel guesses, full table, threads.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/rng.h"
#include "policy/throttle.h"

#define SECOND 1000000000ull

static const struct throttle_policy policy = {.failures = 5, .window_ns = 60 * SECOND};

static struct throttle *throttle_of(size_t limit)
{
	struct throttle *t = NULL;
	assert_int_equal(throttle_new(limit, &t), 0);
	return t;
}

// The wait that is asked for, 0 when the attempt may go on.
static uint64_t begin(struct throttle *t, uint32_t ip, const char *user, uint64_t now)
{
	struct endpoint ep = endpoint_v4(ip, 99);
	uint64_t retry = 0;
	int r = throttle_begin(t, &policy, &ep, user, strlen(user), now, &retry);
	assert_int_equal(r, retry ? -EAGAIN : 0);
	return retry;
}

static void end(struct throttle *t, uint32_t ip, const char *user, enum throttle_outcome outcome,
		uint64_t now)
{
	struct endpoint ep = endpoint_v4(ip, 7);
	throttle_end(t, &policy, &ep, user, strlen(user), outcome, now);
}

// Tries and fails as often as it may, asking every second; returns how often.
static unsigned guess(struct throttle *t, uint32_t ip, const char *user, uint64_t from, uint64_t to)
{
	unsigned n = 0;
	for (uint64_t now = from; now < to; now += SECOND) {
		while (!begin(t, ip, user, now)) {
			end(t, ip, user, THROTTLE_FAILURE, now);
			n++;
		}
	}
	return n;
}

static void waits_grow(void **state)
{
	struct throttle *t = throttle_of(1000);
	uint64_t now = 100 * SECOND;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(begin(t, 1, "a", now), 0);
		end(t, 1, "a", THROTTLE_FAILURE, now);
	}
	assert_int_equal(begin(t, 1, "a", now), SECOND);
	assert_int_equal(begin(t, 1, "another", now), SECOND);
	assert_int_equal(begin(t, 2, "a", now), 0); // another address
	end(t, 2, "a", THROTTLE_ABANDONED, now);
	// Refused attempts do not lengthen it; each failure doubles it.
	for (uint64_t wait = 1; wait < 60; wait *= 2) {
		now += wait * SECOND;
		assert_int_equal(begin(t, 1, "a", now - 1), 1);
		assert_int_equal(begin(t, 1, "a", now), 0);
		end(t, 1, "a", THROTTLE_FAILURE, now);
		uint64_t next = wait * 2 < 60 ? wait * 2 : 60;
		assert_int_equal(begin(t, 1, "a", now), next * SECOND);
	}
	throttle_free(t);
	throttle_free(NULL);
}

static void a_day_of_guessing(void **state)
{
	struct throttle *t = throttle_of(1000);
	// About one guess a window after the first few, at the very most what fades.
	unsigned n = guess(t, 1, "a", 0, 86400 * SECOND);
	assert_true(n >= 5 && n < 86400 / 60 + 30);
	throttle_free(t);
}

static void fades(void **state)
{
	struct throttle *t = throttle_of(1000);
	uint64_t now = SECOND;
	// One failure each 15 s is slower than 5 a minute: never made to wait.
	for (int i = 0; i < 100; i++, now += 15 * SECOND) {
		assert_int_equal(begin(t, 1, "a", now), 0);
		end(t, 1, "a", THROTTLE_FAILURE, now);
	}
	assert_true(guess(t, 1, "a", now, now + 300 * SECOND) > 5);
	// After all has faded it is as a new one.
	now += 3600 * SECOND;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(begin(t, 1, "a", now), 0);
		end(t, 1, "a", THROTTLE_FAILURE, now);
	}
	assert_int_equal(begin(t, 1, "a", now), SECOND);
	throttle_free(t);
}

static void successes_cost_nothing(void **state)
{
	struct throttle *t = throttle_of(1000);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(begin(t, 1, "a", SECOND), 0);
		end(t, 1, "a", i % 2 ? THROTTLE_SUCCESS : THROTTLE_ABANDONED, SECOND);
	}
	// Nor do they buy guesses: log-ins to one's own account in between change nothing.
	unsigned n = 0;
	for (uint64_t now = SECOND; now < 3600 * SECOND; now += SECOND) {
		if (!begin(t, 2, "mine", now))
			end(t, 2, "mine", THROTTLE_SUCCESS, now);
		if (!begin(t, 2, "b", now)) {
			end(t, 2, "b", THROTTLE_FAILURE, now);
			n++;
		}
	}
	assert_true(n < 100);
	throttle_free(t);
}

static void parallel_guesses_are_bounded(void **state)
{
	struct throttle *t = throttle_of(1000);
	unsigned under_way = 0;
	for (int i = 0; i < 1000; i++)
		under_way += begin(t, 1, "a", SECOND) == 0;
	assert_int_equal(under_way, 64);
	for (unsigned i = 0; i < under_way; i++)
		end(t, 1, "a", THROTTLE_FAILURE, 2 * SECOND);
	// From now on one at a time.
	uint64_t now = 2 * SECOND + 60 * SECOND;
	assert_int_equal(begin(t, 1, "a", now), 0);
	assert_int_equal(begin(t, 1, "a", now), SECOND);
	end(t, 1, "a", THROTTLE_ABANDONED, now);
	assert_int_equal(begin(t, 1, "a", now), 0);
	// One that never ends does not lock the address for ever.
	assert_int_equal(begin(t, 1, "a", now + 61 * SECOND), 0);
	throttle_free(t);
}

static void attacked_user_is_not_locked_out(void **state)
{
	struct throttle *t = throttle_of(100000);
	uint64_t now = SECOND;
	for (uint32_t ip = 1000; ip < 3000; ip++) {
		if (!begin(t, ip, "victim", now))
			end(t, ip, "victim", THROTTLE_FAILURE, now);
	}
	// The user, from elsewhere: always a first try, some connections at once too.
	for (uint32_t ip = 5000; ip < 5100; ip++) {
		for (int i = 0; i < 6; i++)
			assert_int_equal(begin(t, ip, "victim", now), 0);
		for (int i = 0; i < 6; i++)
			end(t, ip, "victim", THROTTLE_SUCCESS, now);
	}
	// But who fails once there must wait at once, for this user only.
	assert_int_equal(begin(t, 6000, "victim", now), 0);
	end(t, 6000, "victim", THROTTLE_FAILURE, now);
	assert_true(begin(t, 6000, "victim", now) > 0);
	throttle_free(t);
}

static void ipv6_counts_by_64(void **state)
{
	struct throttle *t = throttle_of(1000);
	uint8_t ip[16] = {0x20, 1, 0xd, 0xb8};
	uint64_t retry = 0;
	for (uint8_t i = 0; i < 5; i++) {
		ip[15] = i;
		struct endpoint ep = endpoint_v6(ip, 1, 0);
		assert_int_equal(throttle_begin(t, &policy, &ep, "a", 1, SECOND, &retry), 0);
		throttle_end(t, &policy, &ep, "a", 1, THROTTLE_FAILURE, SECOND);
	}
	ip[8] = 77;
	struct endpoint ep = endpoint_v6(ip, 1, 0);
	assert_int_equal(throttle_begin(t, &policy, &ep, "a", 1, SECOND, &retry), -EAGAIN);
	assert_int_equal(retry, SECOND);
	ip[7] = 1;
	ep = endpoint_v6(ip, 1, 0);
	assert_int_equal(throttle_begin(t, &policy, &ep, "a", 1, SECOND, &retry), 0);
	throttle_free(t);
}

static void off(void **state)
{
	struct throttle *t = throttle_of(1000);
	const struct throttle_policy none = {0};
	struct endpoint ep = endpoint_v4(1, 1);
	uint64_t retry = 77;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(throttle_begin(t, &none, &ep, "a", 1, SECOND, &retry), 0);
		if (i % 2) // with the policy of before a reload
			throttle_end(t, i % 4 == 1 ? &none : &policy, &ep, "a", 1, THROTTLE_FAILURE,
				     SECOND);
	}
	assert_int_equal(retry, 77);
	throttle_free(t);
}

// More addresses than fit: those that must wait are kept longest.
static void full_table(void **state)
{
	struct throttle *t = throttle_of(64);
	for (int i = 0; i < 30; i++) {
		if (!begin(t, 1, "a", SECOND))
			end(t, 1, "a", THROTTLE_FAILURE, SECOND);
	}
	assert_true(begin(t, 1, "a", SECOND) > 0);
	for (uint32_t ip = 10; ip < 5010; ip++) {
		assert_int_equal(begin(t, ip, "b", SECOND), 0);
		end(t, ip, "b", THROTTLE_SUCCESS, SECOND);
	}
	assert_true(begin(t, 1, "a", SECOND) > 0);
	throttle_free(t);
}

static void no_memory(void **state)
{
	struct throttle *t = NULL;
	alloc_fail_at(1);
	assert_int_equal(throttle_new(100, &t), -ENOMEM);
	assert_true(alloc_fail_hit());
	alloc_fail_at(0);
	assert_null(t);
}

struct guesser {
	struct throttle *throttle;
	unsigned tries;
};

static void *guess_main(void *arg)
{
	struct guesser *g = arg;
	struct endpoint ep = endpoint_v4(1, 1);
	for (int i = 0; i < 20000; i++) {
		uint64_t retry;
		if (throttle_begin(g->throttle, &policy, &ep, "a", 1, SECOND, &retry) == 0) {
			g->tries++;
			throttle_end(g->throttle, &policy, &ep, "a", 1, THROTTLE_FAILURE, SECOND);
		}
	}
	return NULL;
}

static void many_threads(void **state)
{
	struct throttle *t = throttle_of(64);
	struct guesser g[4];
	pthread_t threads[4];
	unsigned tries = 0;
	for (int i = 0; i < 4; i++) {
		g[i] = (struct guesser){.throttle = t};
		assert_int_equal(pthread_create(&threads[i], NULL, guess_main, &g[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		tries += g[i].tries;
	}
	assert_true(tries >= 5 && tries < 5 + 4); // those that were under way together
	throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_grow),
		cmocka_unit_test(a_day_of_guessing),
		cmocka_unit_test(fades),
		cmocka_unit_test(successes_cost_nothing),
		cmocka_unit_test(parallel_guesses_are_bounded),
		cmocka_unit_test(attacked_user_is_not_locked_out),
		cmocka_unit_test(ipv6_counts_by_64),
		cmocka_unit_test(off),
		cmocka_unit_test(full_table),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
