// SPDX-License-Identifier: Apache-2.0
// A byte buffer that grows up to a hard limit: append at the end, consume at the front.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// Owns its memory; one owner at a time. All fields are readable, only buf_ functions write them.
// The content is bytes[head .. head+len). It is not NUL-terminated (see buf_printf for text).
struct buf {
	uint8_t *bytes;
	size_t head;
	size_t len;
	size_t capacity;
	size_t limit; // of len
};

// No memory is taken before the first append. limit: the most bytes that it may ever hold.
void buf_init(struct buf *b, size_t limit);

// Frees the memory; the buffer is empty and usable again with the same limit.
void buf_release(struct buf *b);

static inline const uint8_t *buf_data(const struct buf *b)
{
	return b->bytes ? b->bytes + b->head : (const uint8_t *)"";
}

// Makes room for n more bytes: *ret_space is where they go; then buf_commit tells how many were
// written. 0, -ENOBUFS (would pass the limit) or -ENOMEM; the content is untouched on failure.
// Invalidates pointers into the buffer.
int buf_reserve(struct buf *b, size_t n, uint8_t **ret_space);
void buf_commit(struct buf *b, size_t n);

// Copies data to the end, all or nothing. Errors as buf_reserve. data may not point into the
// buffer.
int buf_append(struct buf *b, const void *data, size_t n);
int buf_append_str(struct buf *b, const char *s);

// Appends formatted text without the NUL, all or nothing. Errors as buf_reserve, or -EINVAL
// (format).
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

// Drops n bytes (at most len) from the front.
void buf_consume(struct buf *b, size_t n);

// Drops the content, keeps the memory.
void buf_clear(struct buf *b);
