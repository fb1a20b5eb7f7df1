// SPDX-License-Identifier: Apache-2.0
// A region of memory that is filled piece by piece and freed as a whole.
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK (64u * 1024)
#define ARENA_ALIGN alignof(max_align_t)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

void arena_release(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		explicit_bzero(c->bytes, c->size);
		free(c);
	}
	arena_init(a);
}

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
	struct arena_chunk *c = calloc(1, sizeof(*c) + size);

	if (!c)
		return NULL;
	c->size = size;
	a->total_bytes += sizeof(*c) + size;
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (c && c->size - a->used >= size) {
		p = c->bytes + a->used;
		a->used += size;
		return p;
	}
	// A large piece gets its own chunk behind the newest, which keeps its free rest in use.
	if (c && size > ARENA_CHUNK / 4) {
		struct arena_chunk *own = chunk_new(a, size);

		if (!own)
			return NULL;
		own->next = c->next;
		c->next = own;
		return own->bytes;
	}
	c = chunk_new(a, size > ARENA_CHUNK ? size : ARENA_CHUNK);
	if (!c)
		return NULL;
	c->next = a->chunks;
	a->chunks = c;
	a->used = size;
	return c->bytes;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return arena_alloc(a, total);
}

char *arena_text(struct arena *a, const void *bytes, size_t len)
{
	char *s = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

	if (s && len)
		memcpy(s, bytes, len);
	return s;
}
