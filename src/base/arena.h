// SPDX-License-Identifier: Apache-2.0
// A region of memory that is filled piece by piece and freed as a whole.
//
// One owner, one thread while it is filled; read-only use afterwards is free for all threads.
#pragma once

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; // newest first
	size_t used;                // bytes used in the newest chunk
	size_t total_bytes;         // bytes held from the system
};

// An empty arena; all zero bytes are an empty arena too.
void arena_init(struct arena *a);

// Wipes (it may hold secrets) and frees everything that came from it. Fine on an empty or released arena.
void arena_release(struct arena *a);

// Zeroed memory, aligned for any type, that lives until arena_release. NULL when memory ran out
// or `size` overflows. A size of 0 gives a valid pointer to nothing.
void *arena_alloc(struct arena *a, size_t size);

// `count` zeroed objects of `size` bytes. NULL when memory ran out or the product overflows.
void *arena_array(struct arena *a, size_t count, size_t size);

// A copy of `len` bytes followed by a NUL.
char *arena_text(struct arena *a, const void *bytes, size_t len);
