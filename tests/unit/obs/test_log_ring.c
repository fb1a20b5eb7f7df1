// SPDX-License-Identifier: Apache-2.0
// Tests of the ring between a logging thread and the writer.
#include "obs/log_ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void lines_come_out_in_order_around_the_end(void **state)
{
	struct log_ring ring;
	struct log_record record;
	char line[128];
	unsigned in = 0, out = 0;

	assert_int_equal(log_ring_init(&ring, 1024), 0);
	assert_true(log_ring_empty(&ring));
	for (int turn = 0; turn < 1000; turn++) {
		for (unsigned i = 0; i < 3; i++) {
			int len = snprintf(line, sizeof line, "%u%*s", in, (int)(in * 7 % 97), "");
			if (!log_ring_push(&ring, (uint8_t)(in & 1), false, line, (size_t)len))
				break;
			in++;
		}
		uint64_t cursor = log_ring_begin(&ring);
		for (unsigned i = 0; i < 2 && log_ring_next(&ring, &cursor, &record); i++) {
			int len =
				snprintf(line, sizeof line, "%u%*s", out, (int)(out * 7 % 97), "");
			assert_int_equal(record.len, len);
			assert_memory_equal(record.line, line, record.len);
			assert_int_equal(record.output, out & 1);
			out++;
		}
		log_ring_consume(&ring, cursor);
	}
	assert_true(in > 1000 && out + 20 > in);
	log_ring_release(&ring);
}

static void the_last_eighth_is_for_urgent_lines(void **state)
{
	struct log_ring ring;
	char line[56] = {0};
	int plain = 0, urgent = 0;

	assert_int_equal(log_ring_init(&ring, 1024), 0);
	while (log_ring_push(&ring, 0, false, line, sizeof line))
		plain++;
	while (log_ring_push(&ring, 0, true, line, sizeof line))
		urgent++;
	assert_int_equal(plain, 14);
	assert_int_equal(urgent, 2);
	uint64_t cursor = log_ring_begin(&ring);
	struct log_record record;
	assert_true(log_ring_next(&ring, &cursor, &record));
	log_ring_consume(&ring, cursor);
	assert_false(log_ring_push(&ring, 0, false, line, sizeof line));
	assert_true(log_ring_push(&ring, 0, true, line, sizeof line));
	log_ring_release(&ring);
}

static void a_line_that_never_fits_is_refused(void **state)
{
	struct log_ring ring;
	char line[512] = {0};

	assert_int_equal(log_ring_init(&ring, 1024), 0);
	assert_false(log_ring_push(&ring, 0, true, line, sizeof line));
	assert_true(log_ring_push(&ring, 0, true, line, 0));
	log_ring_release(&ring);
}

enum { THREAD_LINES = 200000 };

static void *produce(void *arg)
{
	struct log_ring *ring = arg;

	for (uint32_t i = 0; i < THREAD_LINES; i++) {
		uint32_t line[8] = {i, i, i, i, i, i, i, i};
		while (!log_ring_push(ring, 0, i % 5 == 0, (char *)line, 4 + i % 29))
			sched_yield();
	}
	return NULL;
}

static void two_threads_lose_nothing(void **state)
{
	struct log_ring ring;
	struct log_record record;
	pthread_t thread;
	uint32_t next = 0;

	assert_int_equal(log_ring_init(&ring, 4096), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &ring), 0);
	while (next < THREAD_LINES) {
		uint64_t cursor = log_ring_begin(&ring);
		while (log_ring_next(&ring, &cursor, &record)) {
			uint32_t first;
			memcpy(&first, record.line, sizeof first);
			assert_int_equal(first, next);
			assert_int_equal(record.len, 4 + next % 29);
			next++;
		}
		log_ring_consume(&ring, cursor);
		sched_yield();
	}
	pthread_join(thread, NULL);
	assert_true(log_ring_empty(&ring));
	log_ring_release(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_in_order_around_the_end),
		cmocka_unit_test(the_last_eighth_is_for_urgent_lines),
		cmocka_unit_test(a_line_that_never_fits_is_refused),
		cmocka_unit_test(two_threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
