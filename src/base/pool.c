// SPDX-License-Identifier: Apache-2.0
// A slab pool of one thread: see pool.h.
//
// A slab is aligned to its size, so an object finds its slab by masking. Free places are a stack of
// indices in the slab's head, not links inside the objects: free objects stay untouched and
// poisoned.
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum {
	SLAB_LEAST = 16 * 1024,
	SLAB_MOST = 1024 * 1024,
	SLAB_OBJECTS = 16,      // at least so many share a slab, while it stays below SLAB_MOST
	SLAB_OBJECTS_MAX = 4096 // indices are 16 bits wide
};

struct slab {
	struct pool *pool;
	struct cds_list_head node;
	uint32_t free_count;
	uint32_t objects_offset;
	uint16_t free_index[]; // a stack of free_count indices
};

// Its address tells threads apart, without a system call.
static _Thread_local char pool_thread;

static size_t slab_head(size_t objects, size_t align)
{
	size_t head = sizeof(struct slab) + objects * sizeof(uint16_t);
	return (head + align - 1) & ~(align - 1);
}

static size_t object_align(const struct pool *p)
{
	return p->object_size % 64 == 0 ? 64 : 16;
}

void pool_init(struct pool *p, const char *name, size_t object_size, size_t object_limit)
{
	assert(object_size);
	*p = (struct pool){.name = name,
			   .object_size = (object_size + 15) & ~(size_t)15,
			   .object_limit = object_limit};
	size_t align = object_align(p);
	CDS_INIT_LIST_HEAD(&p->partial);
	CDS_INIT_LIST_HEAD(&p->full);
	size_t bytes = SLAB_LEAST;
	while (bytes < SLAB_MOST &&
	       bytes < slab_head(SLAB_OBJECTS, align) + SLAB_OBJECTS * p->object_size)
		bytes *= 2;
	while (bytes < slab_head(1, align) + p->object_size)
		bytes *= 2;
	p->slab_bytes = bytes;
	size_t n = (bytes - sizeof(struct slab)) / (p->object_size + sizeof(uint16_t));
	if (n > SLAB_OBJECTS_MAX)
		n = SLAB_OBJECTS_MAX;
	while (slab_head(n, align) + n * p->object_size > bytes)
		n--;
	assert(n);
	p->slab_objects = (uint32_t)n;
}

static struct slab *slab_new(struct pool *p)
{
	void *memory;
	if (posix_memalign(&memory, p->slab_bytes, p->slab_bytes) != 0)
		return NULL;
	struct slab *s = memory;
	s->pool = p;
	s->free_count = p->slab_objects;
	s->objects_offset = (uint32_t)slab_head(p->slab_objects, object_align(p));
	for (uint32_t i = 0; i < p->slab_objects; i++)
		s->free_index[i] = (uint16_t)(p->slab_objects - 1 - i);
	POISON((char *)s + s->objects_offset, p->slab_bytes - s->objects_offset);
	p->slab_count++;
	return s;
}

static void slab_free(struct pool *p, struct slab *s)
{
	UNPOISON((char *)s + s->objects_offset, p->slab_bytes - s->objects_offset);
	p->slab_count--;
	free(s);
}

size_t pool_release(struct pool *p)
{
	struct cds_list_head *lists[] = {&p->partial, &p->full};
	size_t live = p->object_count;
	for (int i = 0; i < 2; i++) {
		struct slab *s, *next;
		cds_list_for_each_entry_safe(s, next, lists[i], node)
		{
			cds_list_del(&s->node);
			slab_free(p, s);
		}
	}
	p->object_count = 0;
	p->slab_idle = 0;
	p->owner = NULL;
	return live;
}

void *pool_alloc(struct pool *p)
{
	if (!p->owner)
		p->owner = &pool_thread;
	assert(p->owner == &pool_thread);
	if (p->object_limit && p->object_count >= p->object_limit)
		return NULL;
	struct slab *s;
	if (cds_list_empty(&p->partial)) {
		s = slab_new(p);
		if (!s)
			return NULL;
		cds_list_add(&s->node, &p->partial);
		p->slab_idle++;
	} else {
		s = cds_list_first_entry(&p->partial, struct slab, node);
	}
	if (s->free_count == p->slab_objects)
		p->slab_idle--;
	uint32_t index = s->free_index[--s->free_count];
	if (!s->free_count)
		cds_list_move(&s->node, &p->full);
	p->object_count++;
	void *object = (char *)s + s->objects_offset + index * p->object_size;
	UNPOISON(object, p->object_size);
	return object;
}

void *pool_alloc_zero(struct pool *p)
{
	void *object = pool_alloc(p);
	return object ? memset(object, 0, p->object_size) : NULL;
}

void pool_free(struct pool *p, void *object)
{
	if (!object)
		return;
	assert(p->owner == &pool_thread);
	struct slab *s = (struct slab *)((uintptr_t)object & ~(uintptr_t)(p->slab_bytes - 1));
	assert(s->pool == p);
	size_t offset = (size_t)((char *)object - (char *)s) - s->objects_offset;
	assert(offset % p->object_size == 0 && offset / p->object_size < p->slab_objects);
	assert(s->free_count < p->slab_objects);
	POISON(object, p->object_size);
	p->object_count--;
	// A slab that was full goes to the front: it is nearly full, and filling it first lets the
	// emptier ones at the back drain and go.
	if (!s->free_count)
		cds_list_move(&s->node, &p->partial);
	s->free_index[s->free_count++] = (uint16_t)(offset / p->object_size);
	if (s->free_count < p->slab_objects)
		return;
	p->slab_idle++;
	cds_list_del(&s->node);
	cds_list_add_tail(&s->node, &p->partial);
	// The idle ones are last.
	for (struct cds_list_head *last = p->partial.prev, *before;
	     p->slab_idle > 1 + p->slab_count / 8; last = before) {
		before = last->prev;
		cds_list_del(last);
		p->slab_idle--;
		slab_free(p, cds_list_entry(last, struct slab, node));
	}
}

void pool_trim(struct pool *p)
{
	assert(!p->owner || p->owner == &pool_thread);
	struct slab *s, *next;
	cds_list_for_each_entry_safe(s, next, &p->partial, node)
	{
		if (s->free_count == p->slab_objects) {
			cds_list_del(&s->node);
			slab_free(p, s);
		}
	}
	p->slab_idle = 0;
}

size_t pool_bytes(const struct pool *p)
{
	return p->slab_count * p->slab_bytes;
}
