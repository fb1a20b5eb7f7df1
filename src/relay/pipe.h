// SPDX-License-Identifier: Apache-2.0
// Kernel pipes for splice(2), pooled per worker: taken while bytes are in them, given back when
// empty.
//
// An idle pipe costs kernel memory and two descriptors, so the pool keeps few and a relay holds one
// only between reading from one socket and writing to the other. One thread: the worker's.
#pragma once

#include <stdint.h>

enum { PIPE_POOL_IDLE_MAX = 16 };

struct metrics;

struct pipe {
	int in, out;   // write end, read end
	uint32_t size; // bytes it holds at best
	uint32_t held; // bytes in it now
	struct pipe *next;
};

struct pipe_pool {
	struct pipe *idle;
	struct metrics *metrics;
	unsigned idle_count, live; // live: idle or taken
	uint32_t size;             // asked for new pipes
};

// `metrics`: the worker's.
void pipe_pool_init(struct pipe_pool *pool, uint32_t size, struct metrics *metrics);
// Closes the idle ones; the taken ones must have been given back.
void pipe_pool_release(struct pipe_pool *pool);
// NULL when descriptors or memory are out: the caller copies instead.
struct pipe *pipe_take(struct pipe_pool *pool);
// Keeps it when it is empty and the pool has room, else closes it (with what it holds).
void pipe_give(struct pipe_pool *pool, struct pipe *pipe);
