// SPDX-License-Identifier: Apache-2.0
// The pool of pipes.
#include "relay/pipe.h"

#include <stddef.h>
#include <stdlib.h>

#include "io/sys.h"
#include "obs/metrics.h"

void pipe_pool_init(struct pipe_pool *pool, uint32_t size, struct metrics *metrics)
{
	*pool = (struct pipe_pool){.size = size, .metrics = metrics};
}

static void pipe_close(struct pipe_pool *pool, struct pipe *pipe)
{
	sys_close(pipe->in);
	sys_close(pipe->out);
	free(pipe);
	pool->live--;
}

void pipe_pool_release(struct pipe_pool *pool)
{
	while (pool->idle) {
		struct pipe *pipe = pool->idle;
		pool->idle = pipe->next;
		pipe_close(pool, pipe);
	}
	pool->idle_count = 0;
}

struct pipe *pipe_take(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->idle;
	int fds[2];
	size_t size;

	if (pipe) {
		pool->idle = pipe->next;
		pool->idle_count--;
		metric_gauge_add(&pool->metrics->pipes_idle, -1);
		metric_gauge_add(&pool->metrics->pipes_used, 1);
		return pipe;
	}
	pipe = malloc(sizeof(*pipe));
	if (!pipe || sys_pipe(fds, pool->size, &size) < 0) {
		free(pipe);
		metric_inc(&pool->metrics->pipes_failed);
		return NULL;
	}
	*pipe = (struct pipe){.out = fds[0], .in = fds[1], .size = (uint32_t)size};
	metric_inc(&pool->metrics->pipes_created);
	pool->live++;
	metric_gauge_add(&pool->metrics->pipes_used, 1);
	return pipe;
}

void pipe_give(struct pipe_pool *pool, struct pipe *pipe)
{
	metric_gauge_add(&pool->metrics->pipes_used, -1);
	if (pipe->held || pool->idle_count >= PIPE_POOL_IDLE_MAX) {
		pipe_close(pool, pipe);
		return;
	}
	pipe->next = pool->idle;
	pool->idle = pipe;
	pool->idle_count++;
	metric_gauge_add(&pool->metrics->pipes_idle, 1);
}
