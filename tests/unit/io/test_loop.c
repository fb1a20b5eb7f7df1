// SPDX-License-Identifier: Apache-2.0
// The loop's paced set in times of silence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <urcu/compiler.h>

#include "io/loop.h"

enum { MS = 1000000 };

struct probe {
	struct task task;
	unsigned ran;
};

static void probe_run(struct loop *loop, struct task *task)
{
	caa_container_of(task, struct probe, task)->ran++;
}

// Without a byte the set stops passing and waits for its descriptors. A stream that asks for another
// look then, from a timer say, must get its pass all the same.
static void test_paced_task_in_silence(void **state)
{
	struct loop loop;
	struct probe probe = {.ran = 0};

	assert_int_equal(loop_init(&loop, MS), 0);
	task_init(&probe.task, probe_run);
	for (unsigned round = 1; round <= 3; round++) {
		for (int turn = 0; turn < 20; turn++)
			loop_turn(&loop, MS);
		assert_false(loop.pace.ticking);
		loop_task_set_paced(&loop, &probe.task);
		for (int turn = 0; turn < 20 && probe.ran < round; turn++)
			loop_turn(&loop, 10 * MS);
		assert_int_equal(probe.ran, round);
	}
	loop_release(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paced_task_in_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
