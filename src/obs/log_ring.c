// SPDX-License-Identifier: Apache-2.0
// The single-producer ring of log lines.
#include "obs/log_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_HEAD = 8, RECORD_SKIP = 0xff };

struct record_head {
	uint32_t len;
	uint8_t output; // RECORD_SKIP: nothing up to the end of the ring
	uint8_t zero[3];
};
_Static_assert(sizeof(struct record_head) == RECORD_HEAD, "the head's size");

static size_t record_size(size_t len)
{
	return RECORD_HEAD + ((len + 7) & ~(size_t)7);
}

int log_ring_init(struct log_ring *ring, size_t size)
{
	char *data = malloc(size);

	if (!data)
		return -ENOMEM;
	*ring = (struct log_ring){.data = data, .size = size};
	return 0;
}

void log_ring_release(struct log_ring *ring)
{
	free(ring->data);
	*ring = (struct log_ring){0};
}

static void put_head(struct log_ring *ring, uint64_t at, size_t len, uint8_t output)
{
	struct record_head head = {.len = (uint32_t)len, .output = output};

	memcpy(ring->data + (at & (ring->size - 1)), &head, sizeof head);
}

bool log_ring_push(struct log_ring *ring, uint8_t output, bool urgent, const char *line, size_t len)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	size_t need = record_size(len);
	size_t to_end = ring->size - (size_t)(tail & (ring->size - 1));
	size_t skip = need > to_end ? to_end : 0;
	size_t reserve = urgent ? 0 : ring->size / 8;

	if (need > ring->size / 8)
		return false;
	if (tail - ring->head_seen + skip + need + reserve > ring->size) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (tail - ring->head_seen + skip + need + reserve > ring->size)
			return false;
	}
	if (skip) {
		put_head(ring, tail, skip - RECORD_HEAD, RECORD_SKIP);
		tail += skip;
	}
	put_head(ring, tail, len, output);
	memcpy(ring->data + (tail & (ring->size - 1)) + RECORD_HEAD, line, len);
	// Ordered with the writer's "asleep" flag, see log.c.
	atomic_store_explicit(&ring->tail, tail + need, memory_order_seq_cst);
	return true;
}

uint64_t log_ring_begin(const struct log_ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_relaxed);
}

bool log_ring_next(const struct log_ring *ring, uint64_t *cursor, struct log_record *ret)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	while (*cursor != tail) {
		struct record_head head;
		const char *at = ring->data + (*cursor & (ring->size - 1));
		memcpy(&head, at, sizeof head);
		*cursor += record_size(head.len);
		if (head.output == RECORD_SKIP)
			continue;
		*ret = (struct log_record){
			.line = at + RECORD_HEAD, .len = head.len, .output = head.output};
		return true;
	}
	return false;
}

void log_ring_consume(struct log_ring *ring, uint64_t cursor)
{
	atomic_store_explicit(&ring->head, cursor, memory_order_release);
}

bool log_ring_empty(const struct log_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_seq_cst) ==
	       atomic_load_explicit(&ring->head, memory_order_relaxed);
}
