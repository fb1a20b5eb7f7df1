// SPDX-License-Identifier: Apache-2.0
// The timing wheel against a plain list of deadlines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <urcu/compiler.h>

#include "io/timer.h"

enum { MS = 1000000 };

struct probe {
	struct timer timer;
	uint64_t deadline;
	unsigned fired;
};

static uint64_t clock_now;

static void probe_fire(struct loop *loop, struct timer *timer)
{
	struct probe *probe = caa_container_of(timer, struct probe, timer);

	assert_true(clock_now >= probe->deadline);
	probe->fired++;
}

static void test_random_against_list(void **state)
{
	enum { N = 500 };
	static struct timer_wheel wheel;
	static struct probe probes[N];

	srand(7);
	for (int round = 0; round < 20; round++) {
		clock_now = (uint64_t)rand() * MS;
		timer_wheel_init(&wheel, clock_now);
		uint64_t last = 0;
		for (int i = 0; i < N; i++) {
			timer_init(&probes[i].timer, probe_fire);
			probes[i].fired = 0;
			uint64_t span = 1ULL << (rand() % 34);
			probes[i].deadline = clock_now + (uint64_t)rand() % span * 1000;
			timer_wheel_set(&wheel, &probes[i].timer, probes[i].deadline);
			if (i % 7 && probes[i].deadline > last)
				last = probes[i].deadline;
		}
		for (int i = 0; i < N; i += 7)
			timer_wheel_cancel(&wheel, &probes[i].timer);
		while (wheel.count) {
			uint64_t next = timer_wheel_next(&wheel);
			assert_true(next != UINT64_MAX && next / MS > clock_now / MS);
			clock_now = next + (uint64_t)rand() % (5 * MS);
			timer_wheel_run(&wheel, NULL, clock_now);
			for (int i = 0; i < N; i++)
				if (i % 7 && clock_now >= probes[i].deadline + MS)
					assert_int_equal(probes[i].fired, 1);
		}
		for (int i = 0; i < N; i++)
			assert_int_equal(probes[i].fired, i % 7 ? 1 : 0);
		assert_true(clock_now >= last);
		assert_int_equal(timer_wheel_next(&wheel), UINT64_MAX);
	}
}

static void test_reset_moves(void **state)
{
	static struct timer_wheel wheel;
	struct probe probe = {.deadline = 900 * MS};

	clock_now = 0;
	timer_wheel_init(&wheel, 0);
	timer_init(&probe.timer, probe_fire);
	for (uint64_t ms = 100; ms <= 900; ms += 100)
		timer_wheel_set(&wheel, &probe.timer, ms * MS);
	clock_now = 899 * MS;
	timer_wheel_run(&wheel, NULL, clock_now);
	assert_int_equal(probe.fired, 0);
	clock_now = 901 * MS;
	timer_wheel_run(&wheel, NULL, clock_now);
	assert_int_equal(probe.fired, 1);
	assert_false(timer_is_set(&probe.timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_list),
		cmocka_unit_test(test_reset_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
