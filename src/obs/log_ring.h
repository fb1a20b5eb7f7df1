// SPDX-License-Identifier: Apache-2.0
// A bounded queue of lines from one thread to the log writer, without a lock.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One producer, one consumer. Lines lie in one piece, each behind a head of eight bytes; a piece at
// the end of the ring that is too short is skipped. When full, a push is refused; the last eighth
// takes urgent lines only.
struct log_ring {
	// Written by the producer.
	_Atomic uint64_t tail __attribute__((aligned(64)));
	uint64_t head_seen;
	// Written by the consumer.
	_Atomic uint64_t head __attribute__((aligned(64)));
	char *data __attribute__((aligned(64)));
	size_t size;
};

// `size` is a power of two of at least 1024. -ENOMEM.
int log_ring_init(struct log_ring *ring, size_t size);
void log_ring_release(struct log_ring *ring);

// Producer. False: no room (or a line longer than an eighth of the ring).
bool log_ring_push(struct log_ring *ring, uint8_t output, bool urgent, const char *line,
		   size_t len);

// Consumer. A cursor over what is there; the bytes stay until log_ring_consume.
struct log_record {
	const char *line;
	size_t len;
	uint8_t output;
};
// Starts at `*cursor` (begin with log_ring_begin) and moves it on. False: no more.
uint64_t log_ring_begin(const struct log_ring *ring);
bool log_ring_next(const struct log_ring *ring, uint64_t *cursor, struct log_record *ret);
// Gives back everything before the cursor.
void log_ring_consume(struct log_ring *ring, uint64_t cursor);
bool log_ring_empty(const struct log_ring *ring);
