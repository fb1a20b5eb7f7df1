// SPDX-License-Identifier: Apache-2.0
// The pool of pipes: reuse, limits, and that nothing of one stream is left for the next.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "obs/metrics.h"
#include "relay/pipe.h"

static void test_reuse_and_limit(void **state)
{
	struct metrics *metrics = metrics_new();
	struct pipe_pool pool;
	struct pipe *taken[PIPE_POOL_IDLE_MAX + 4];

	pipe_pool_init(&pool, 65536, metrics);
	for (int i = 0; i < PIPE_POOL_IDLE_MAX + 4; i++) {
		taken[i] = pipe_take(&pool);
		assert_non_null(taken[i]);
		assert_true(taken[i]->size >= 4096);
	}
	assert_int_equal(metrics->pipes_used, PIPE_POOL_IDLE_MAX + 4);
	for (int i = 0; i < PIPE_POOL_IDLE_MAX + 4; i++)
		pipe_give(&pool, taken[i]);
	assert_int_equal(pool.idle_count, PIPE_POOL_IDLE_MAX);
	assert_int_equal(pool.live, PIPE_POOL_IDLE_MAX);
	assert_int_equal(metrics->pipes_used, 0);
	struct pipe *again = pipe_take(&pool);
	assert_int_equal(metrics->pipes_created, PIPE_POOL_IDLE_MAX + 4);
	pipe_give(&pool, again);
	pipe_pool_release(&pool);
	assert_int_equal(pool.live, 0);
	metrics_free(metrics);
}

static void test_a_pipe_with_bytes_is_closed(void **state)
{
	struct metrics *metrics = metrics_new();
	struct pipe_pool pool;
	int fd;

	pipe_pool_init(&pool, 65536, metrics);
	struct pipe *pipe = pipe_take(&pool);
	fd = pipe->in;
	assert_int_equal(write(pipe->in, "secret", 6), 6);
	pipe->held = 6;
	pipe_give(&pool, pipe);
	assert_int_equal(pool.live, 0);
	assert_int_equal(close(fd), -1);
	pipe_pool_release(&pool);
	metrics_free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reuse_and_limit),
		cmocka_unit_test(test_a_pipe_with_bytes_is_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
