// SPDX-License-Identifier: Apache-2.0
// Fixed-size objects of one thread: slabs of memory with their free places, given back when unused.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

// All fields belong to the owning thread: the one that makes the first allocation. Objects may not
// be freed by another thread. Under AddressSanitizer a free object is poisoned.
struct pool {
	const char *name; // for statistics; not owned
	size_t object_size;
	size_t object_limit; // 0: none
	size_t slab_bytes;
	uint32_t slab_objects;
	size_t object_count; // live
	size_t slab_count;
	size_t slab_idle;             // slabs without a live object, kept for the next burst
	struct cds_list_head partial; // slabs with a free place, the ones with live objects first
	struct cds_list_head full;
	const void *owner;
};

// name must outlive the pool. object_size > 0; objects are aligned to 64 bytes when object_size is
// at least 64, else to 16. object_limit: the most live objects, 0 for no limit. Takes no memory
// yet.
void pool_init(struct pool *p, const char *name, size_t object_size, size_t object_limit);

// Frees all memory, also that of objects still live, and returns how many those were. Any thread,
// when no other uses the pool. The pool may be initialised again.
size_t pool_release(struct pool *p);

// An object with undefined content; NULL when the limit is reached or memory ran out.
void *pool_alloc(struct pool *p);
// The same, zeroed.
void *pool_alloc_zero(struct pool *p);

// Gives an object back; NULL is fine. Memory goes back to the system a slab at a time, as soon as
// the idle slabs exceed one and an eighth of all.
void pool_free(struct pool *p, void *object);

// Gives all idle slabs back (after a load peak, on memory pressure).
void pool_trim(struct pool *p);

// Memory held, in bytes.
size_t pool_bytes(const struct pool *p);
