// SPDX-License-Identifier: Apache-2.0
// Token buckets: exactness at every rate, fairness of waits, refunds, changes of rate, contention.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/bucket.h"

#define SECOND 1000000000ull

static void assert_close(double got, double expected, double tolerance)
{
	if (got < expected * (1 - tolerance) || got > expected * (1 + tolerance))
		fail_msg("got %.1f, expected %.1f within %g", got, expected, tolerance);
}

// A caller that takes what there is and waits as told gets rate * time + burst, whatever the rate.
static void run_alone(uint64_t rate, uint64_t burst, uint64_t want, uint64_t start)
{
	struct bucket b;
	bucket_init(&b, start);
	uint64_t now = start;
	uint64_t got = 0;
	for (int i = 0; i < 20000; i++) {
		got += bucket_take_upto(&b, rate, burst, want, now);
		now += bucket_wait(&b, rate, burst, want, now);
	}
	double seconds = (double)(now - start) / 1e9;
	double allowed = (double)rate * seconds + (double)burst;
	assert_true((double)got <= allowed * 1.0001 + 1);
	// The last wait has not been used yet: at most one burst is missing.
	assert_close((double)got, allowed, 0.001 + 2.0 * (double)burst / allowed);
}

static void exact_at_every_rate(void **state)
{
	static const uint64_t rates[] = {1,        7,         1000,       65536,      999983,
					 12500000, 125000000, 1250000000, 12500000000};
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		uint64_t burst = bucket_default_burst(rates[i]);
		run_alone(rates[i], burst, burst / 3 + 1, 5 * SECOND);
		run_alone(rates[i], burst, burst, UINT64_MAX / 1024 - 3); // the moment wraps
	}
	run_alone(100, 100, 1, 0);
	run_alone(1, 1, 1, 0);
}

// A few bytes at 100 Gbit/s: a cost of half a nanosecond, and the clock hardly moves.
static void exact_for_small_takes(void **state)
{
	struct bucket b;
	bucket_init(&b, 0);
	uint64_t rate = 12500000000ull, got = 0, now = 0;
	assert_int_equal(bucket_take_upto(&b, rate, 100000, 100000, 0), 100000);
	for (now = 0; now < 200000; now += 7) {
		for (int i = 0; i < 100; i++)
			got += bucket_take_upto(&b, rate, 100000, 7, now);
	}
	assert_close((double)got, 12.5 * (double)(now - 7), 0.001);
}

static void takes_what_is_there(void **state)
{
	struct bucket b;
	bucket_init(&b, SECOND);
	assert_true(bucket_full(&b, SECOND));
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 400, SECOND), 400);
	assert_false(bucket_full(&b, SECOND));
	assert_int_equal(bucket_available(&b, 1000, 500, SECOND), 100);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 400, SECOND), 100);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 400, SECOND), 0);
	// The same clock again and again gives nothing more.
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bucket_take_upto(&b, 1000, 500, 1, SECOND), 0);
	assert_int_equal(bucket_wait(&b, 1000, 500, 10, SECOND), SECOND / 100);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 400, SECOND + SECOND / 100), 10);
	// It fills up to the burst, not beyond.
	assert_int_equal(bucket_available(&b, 1000, 500, 100 * SECOND), 500);
	assert_true(bucket_full(&b, 100 * SECOND));
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 10000, 100 * SECOND), 500);
	// No limit.
	assert_int_equal(bucket_take_upto(&b, 0, 0, 10000, SECOND), 10000);
	assert_int_equal(bucket_wait(&b, 0, 0, 10000, SECOND), 0);
	// A burst of 0 is one of 1, and a wait for more than the burst is one for the burst.
	bucket_init(&b, SECOND);
	assert_int_equal(bucket_take_upto(&b, 10, 0, 5, SECOND), 1);
	assert_int_equal(bucket_wait(&b, 10, 0, 5, SECOND), SECOND / 10);
}

// Who waits for n, alone, is granted n, to the byte.
static void wait_is_enough(void **state)
{
	struct rng r;
	rng_init(&r, 21);
	for (int i = 0; i < 200000; i++) {
		struct bucket b;
		uint64_t rate = 1 + (rng_next(&r) >> (30 + rng_below(&r, 33)));
		uint64_t burst = 1 + (rng_next(&r) >> (34 + rng_below(&r, 29)));
		uint64_t n = 1 + rng_below(&r, burst), now = rng_next(&r) >> 20;
		if (burst / rate > 86000)
			continue; // longer than a day: a bucket takes no longer
		bucket_init(&b, now);
		bucket_take_upto(&b, rate, burst, 1 + rng_below(&r, burst), now);
		bucket_take_upto(&b, rate, burst, burst, now);
		uint64_t wait = bucket_wait(&b, rate, burst, n, now);
		uint64_t got = bucket_take_upto(&b, rate, burst, burst, now + wait);
		if (got < n || got > n + rate / 1000000000 + 1)
			fail_msg("rate %llu burst %llu: waited for %llu, got %llu",
				 (unsigned long long)rate, (unsigned long long)burst,
				 (unsigned long long)n, (unsigned long long)got);
	}
}

static void refund_gives_back(void **state)
{
	struct bucket b;
	bucket_init(&b, SECOND);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 500, SECOND), 500);
	bucket_refund(&b, 1000, 123);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 500, SECOND), 123);
	bucket_refund(&b, 1000, 500);
	bucket_refund(&b, 1000, 500); // too much: full is full
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 9999, SECOND), 500);
	// Odd rates: what is given back comes again to the byte.
	for (uint64_t rate = 3; rate < 10000000000ull; rate = rate * 7 + 1) {
		bucket_init(&b, SECOND);
		for (uint64_t n = 1; n < 60000; n = n * 3 + 1) {
			assert_int_equal(bucket_take_upto(&b, rate, 65536, n, SECOND), n);
			bucket_refund(&b, rate, n);
		}
		assert_int_equal(bucket_available(&b, rate, 65536, SECOND), 65536);
	}
}

static void late_clock_gets_less(void **state)
{
	struct bucket b;
	bucket_init(&b, 10 * SECOND);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 500, 10 * SECOND), 500);
	// Another worker's clock is 100 ms behind: the debt looks larger, nothing is granted.
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 500, 10 * SECOND - SECOND / 10), 0);
	assert_int_equal(bucket_take_upto(&b, 1000, 500, 500, 10 * SECOND + SECOND / 10), 100);
}

static void rate_changes_on_the_way(void **state)
{
	struct bucket b;
	bucket_init(&b, SECOND);
	assert_int_equal(bucket_take_upto(&b, 1000, 1000, 1000, SECOND), 1000);
	// Ten times faster: the debt is time, so the bucket is full after the same second.
	assert_int_equal(bucket_take_upto(&b, 10000, 10000, 20000, 2 * SECOND), 10000);
	// Far slower with a small burst: the wait is bounded by the old debt and the new burst.
	uint64_t wait = bucket_wait(&b, 100, 10, 10, 2 * SECOND);
	assert_true(wait > 0 && wait <= SECOND);
	assert_int_equal(bucket_take_upto(&b, 100, 10, 100, 2 * SECOND + wait), 10);
	// A debt far beyond the new burst is forgiven.
	bucket_init(&b, SECOND);
	assert_int_equal(bucket_take_upto(&b, 1, 3600, 3600, SECOND), 3600);
	assert_int_equal(bucket_take_upto(&b, 1000, 100, 100, SECOND), 100);
}

static void forgets_after_long_idle(void **state)
{
	static const uint64_t days[] = {1, 100, 104, 105, 150, 207, 250, 1000};
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		struct bucket b;
		bucket_init(&b, SECOND);
		bucket_take_upto(&b, 1000, 1000, 1000, SECOND);
		assert_int_equal(bucket_available(&b, 1000, 1000, (1 + days[i] * 86400) * SECOND),
				 1000);
	}
}

// Takers on virtual time, each woken as late as its timer is; returns how much all got.
struct taker {
	struct bucket_turn turn;
	uint64_t at;   // when it looks again
	uint64_t late; // ns, its timer
	uint64_t got;
};

static uint64_t run_takers(struct bucket *b, uint64_t rate, struct taker *takers, size_t count,
			   uint64_t need, uint64_t want, uint64_t from, uint64_t to)
{
	struct bucket_claim claim = {b, rate, bucket_default_burst(rate)};
	uint64_t total = 0;
	for (size_t i = 0; i < count; i++)
		takers[i].at = from;
	for (;;) {
		struct taker *next = &takers[0];
		for (size_t i = 1; i < count; i++) {
			if (takers[i].at < next->at)
				next = &takers[i]; // ties: always the same one first
		}
		uint64_t now = next->at;
		if (now >= to)
			return total;
		uint64_t n = bucket_turn_take(&next->turn, &claim, 1, need, want, now);
		assert_true(n == 0 || (n >= need && n <= want));
		next->got += n;
		total += n;
		next->at = n ? now + 1000 : next->turn.wake + next->late;
		assert_true(next->at > now);
	}
}

static void turns_are_even(void **state)
{
	enum { MOST = 300 };
	static const size_t counts[] = {1, 2, 7, 50, MOST};
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		static struct taker takers[MOST];
		struct bucket b;
		uint64_t rate = 10000000;
		memset(takers, 0, sizeof(takers));
		bucket_init(&b, SECOND);
		for (size_t i = 0; i < counts[c]; i++)
			takers[i].late = i % 2 ? 0 : 100000; // half of them have slower timers
		uint64_t total = run_takers(&b, rate, takers, counts[c], 16384, 262144, SECOND,
					    101 * SECOND);
		assert_close((double)total, 100.0 * (double)rate,
			     0.006); // but for the queue at the end
		for (size_t i = 0; i < counts[c]; i++)
			assert_close((double)takers[i].got, (double)total / (double)counts[c],
				     0.08);
	}
}

// A timer that is late by more than a turn costs share, but does not starve.
static void slow_timer(void **state)
{
	struct taker takers[2] = {{.late = 0}, {.late = 3000000}};
	struct bucket b;
	bucket_init(&b, SECOND);
	uint64_t total = run_takers(&b, 10000000, takers, 2, 16384, 262144, SECOND, 61 * SECOND);
	assert_close((double)total, 600000000, 0.006);
	assert_true(takers[1].got * 4 > takers[0].got);
}

// A thousand on a slow line: a long queue, still even. Then most leave, and the rest need not wait for
// the turns that those had.
static void long_queue(void **state)
{
	enum { TAKERS = 1000 };
	static struct taker takers[TAKERS];
	struct bucket b;
	uint64_t rate = 1000000, now = 301 * SECOND;
	memset(takers, 0, sizeof(takers));
	bucket_init(&b, SECOND);
	uint64_t total = run_takers(&b, rate, takers, TAKERS, 16384, 16384, SECOND, now);
	assert_close((double)total, 300.0 * (double)rate, 0.06);
	for (int i = 0; i < TAKERS; i++)
		assert_close((double)takers[i].got, (double)total / TAKERS, 0.1);
	struct bucket_claim claim = {&b, rate, bucket_default_burst(rate)};
	for (int i = 1; i < TAKERS; i++)
		bucket_turn_cancel(&takers[i].turn, &claim, 1);
	takers[0].got = 0;
	run_takers(&b, rate, takers, 1, 16384, 16384, now + BUCKET_LOOK_NS, now + 11 * SECOND);
	assert_close((double)takers[0].got, 10.0 * (double)rate, 0.05);
}

// Longer than the queue may be: the rate holds all the same.
static void full_queue(void **state)
{
	enum { TAKERS = 1000 };
	static struct taker takers[TAKERS];
	struct bucket b;
	uint64_t rate = 50000;
	memset(takers, 0, sizeof(takers));
	bucket_init(&b, SECOND);
	uint64_t total = run_takers(&b, rate, takers, TAKERS, 16384, 16384, SECOND, 1001 * SECOND);
	assert_close((double)total, 1000.0 * (double)rate, 0.13);
	struct bucket_claim claim = {&b, rate, bucket_default_burst(rate)};
	assert_true(bucket_wait(&b, rate, claim.burst, 16384, 1001 * SECOND) <=
		    BUCKET_AHEAD_NS + SECOND);
	for (int i = 0; i < TAKERS; i++)
		bucket_turn_cancel(&takers[i].turn, &claim, 1);
	assert_true(bucket_wait(&b, rate, claim.burst, 16384, 1001 * SECOND) <=
		    SECOND * 16384 / rate);
}

static void a_turn(void **state)
{
	struct bucket user, address;
	bucket_init(&user, SECOND);
	bucket_init(&address, SECOND);
	struct bucket_claim claims[] = {{&user, 1000, 1000}, {&address, 500, 300}};
	struct bucket_turn turn = {0};
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 0, SECOND), 0);
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 250, SECOND), 250);
	// 50 are there, 50 more come in a tenth of a second.
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 250, SECOND), 0);
	assert_int_equal(turn.wake, SECOND + SECOND / 10);
	assert_int_equal(turn.credit, 100);
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 250, turn.wake - 1), 0);
	// Another one is behind it.
	struct bucket_turn other = {0};
	assert_int_equal(bucket_take_upto_all(claims, 2, 100, SECOND + SECOND / 10), 0);
	assert_int_equal(bucket_turn_take(&other, claims, 2, 100, 250, SECOND + SECOND / 20), 0);
	assert_int_equal(other.wake, SECOND + 3 * (SECOND / 10));
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 250, turn.wake), 100);
	// It leaves: what it had taken is there for the next.
	bucket_turn_cancel(&other, claims, 2);
	assert_int_equal(other.credit, 0);
	assert_int_equal(bucket_turn_take(&turn, claims, 2, 100, 250, 2 * SECOND), 250);
	// What was credited and is more than wanted now stays credited.
	struct bucket_turn rich = {.credit = 80};
	assert_int_equal(bucket_turn_take(&rich, claims, 2, 100, 30, 2 * SECOND), 30);
	assert_int_equal(rich.credit, 50);
	// Nothing limits.
	struct bucket_claim none[] = {{NULL, 0, 0}, {&user, 0, 0}};
	struct bucket_turn free_turn = {0};
	assert_int_equal(bucket_turn_take(&free_turn, none, 2, 100, 77777, SECOND), 77777);
	bucket_turn_cancel(&free_turn, none, 2);
	// The second bucket's queue is full: the first keeps its own.
	uint64_t now = 9 * SECOND;
	bucket_init(&user, now);
	bucket_init(&address, now);
	struct bucket_claim slow[] = {{&user, 1000, 1000}, {&address, 1, 100}};
	struct bucket_turn turns[4] = {{0}};
	assert_int_equal(bucket_turn_take(&turns[0], slow, 2, 100, 100, now), 100);
	for (int i = 1; i < 4; i++) // 50 s, 100 s, and 150 s is too long
		assert_int_equal(bucket_turn_take(&turns[i], slow, 2, 50, 100, now), 0);
	assert_int_equal(turns[2].credit, 50);
	assert_int_equal(turns[2].due, now + 100 * SECOND);
	assert_int_equal(turns[2].wake, now + SECOND); // looks whether the others are still there
	assert_int_equal(turns[3].credit, 0);
	assert_true(turns[3].due > now + 30 * SECOND && turns[3].due < now + 32 * SECOND);
	assert_int_equal(bucket_available(&user, 1000, 1000, now), 800);
	bucket_turn_cancel(&turns[1], slow, 2);
	now += SECOND;
	assert_int_equal(bucket_turn_take(&turns[2], slow, 2, 50, 100, now), 0);
	bucket_refund(&address, 1, 60);
	now += SECOND;
	assert_int_equal(bucket_turn_take(&turns[2], slow, 2, 50, 100, now), 62);
}

static void several_at_once(void **state)
{
	struct bucket user, address;
	bucket_init(&user, SECOND);
	bucket_init(&address, SECOND);
	struct bucket_claim claims[] = {{&user, 1000, 1000}, {&address, 500, 300}, {NULL, 5, 5}};
	assert_int_equal(bucket_take_upto_all(claims, 3, 800, SECOND), 300);
	assert_int_equal(bucket_available(&user, 1000, 1000, SECOND), 700);
	assert_int_equal(bucket_available(&address, 500, 300, SECOND), 0);
	assert_int_equal(bucket_take_upto_all(claims, 3, 800, SECOND), 0);
	assert_int_equal(bucket_available(&user, 1000, 1000, SECOND), 700);
	assert_int_equal(bucket_wait_all(claims, 3, 100, SECOND), SECOND / 5);
	bucket_refund_all(claims, 3, 300);
	assert_true(bucket_full(&user, SECOND));
	assert_true(bucket_full(&address, SECOND));
	// The second is the wider one: nothing to give back.
	struct bucket_claim other[] = {{&address, 500, 300}, {&user, 1000, 1000}};
	assert_int_equal(bucket_take_upto_all(other, 2, 800, SECOND), 300);
	assert_int_equal(bucket_available(&user, 1000, 1000, SECOND), 700);
	struct bucket_claim none[] = {{NULL, 0, 0}, {&user, 0, 0}};
	assert_int_equal(bucket_take_upto_all(none, 2, 800, SECOND), 800);
	assert_int_equal(bucket_wait_all(none, 2, 800, SECOND), 0);
}

struct contender {
	struct bucket *bucket;
	const _Atomic uint64_t *clock;
	_Atomic uint64_t *drained; // the clock at which somebody got less than asked for
	uint64_t seed;
	uint64_t got;
};

enum { THREADS = 4 };
static const uint64_t contend_rate = 50000000, contend_burst = 1000000, contend_end = 2 * SECOND;

static void *contend(void *arg)
{
	struct contender *c = arg;
	struct rng r;
	rng_init(&r, c->seed);
	uint64_t now;
	struct bucket_turn turn = {0};
	struct bucket_claim claim = {c->bucket, contend_rate, contend_burst};
	while ((now = atomic_load(c->clock)) < contend_end) {
		c->got += bucket_turn_take(&turn, &claim, 1, 5000, 20000, now);
		uint64_t want = 1 + rng_below(&r, 20000);
		uint64_t n = bucket_take_upto(c->bucket, contend_rate, contend_burst, want, now);
		if (n < want)
			atomic_store(c->drained, now);
		uint64_t unused = n ? rng_below(&r, n) : 0;
		bucket_refund(c->bucket, contend_rate, unused);
		c->got += n - unused;
		if (rng_below(&r, 10) == 0)
			bucket_turn_cancel(&turn, &claim, 1);
	}
	bucket_turn_cancel(&turn, &claim, 1);
	return NULL;
}

// Threads that take and give back while the clock runs: the sum is exact.
static void exact_under_contention(void **state)
{
	struct bucket b;
	_Atomic uint64_t clock = 0, drained = 0;
	struct contender c[THREADS];
	pthread_t threads[THREADS];
	bucket_init(&b, 0);
	for (int i = 0; i < THREADS; i++) {
		c[i] = (struct contender){
			.bucket = &b, .clock = &clock, .drained = &drained, .seed = (uint64_t)i};
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &c[i]), 0);
	}
	uint64_t now = 0;
	while (now < contend_end) {
		now += 10000000;
		atomic_store(&clock, now);
		// However the threads are scheduled, the clock waits for what it gave to be taken.
		while (now < contend_end && atomic_load(&drained) < now)
			sched_yield();
	}
	uint64_t total = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		total += c[i].got;
	}
	double allowed = (double)contend_rate * 2 + (double)contend_burst;
	assert_true((double)total <= allowed * 1.0005);
	// Full at the end by at most what was not asked for.
	uint64_t left = bucket_available(&b, contend_rate, contend_burst, contend_end);
	assert_close((double)(total + left), allowed, 0.05);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_there),
		cmocka_unit_test(exact_at_every_rate),
		cmocka_unit_test(exact_for_small_takes),
		cmocka_unit_test(refund_gives_back),
		cmocka_unit_test(wait_is_enough),
		cmocka_unit_test(late_clock_gets_less),
		cmocka_unit_test(rate_changes_on_the_way),
		cmocka_unit_test(forgets_after_long_idle),
		cmocka_unit_test(turns_are_even),
		cmocka_unit_test(slow_timer),
		cmocka_unit_test(long_queue),
		cmocka_unit_test(full_queue),
		cmocka_unit_test(a_turn),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(exact_under_contention),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
