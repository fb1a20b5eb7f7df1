// SPDX-License-Identifier: Apache-2.0
// A bounded growable byte buffer: see buf.h.
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){.limit = limit};
}

void buf_release(struct buf *b)
{
	free(b->bytes);
	*b = (struct buf){.limit = b->limit};
}

int buf_reserve(struct buf *b, size_t n, uint8_t **ret_space)
{
	if (n > b->limit - b->len)
		return -ENOBUFS;
	size_t need = b->len + n;
	if (need > b->capacity) {
		size_t capacity = b->capacity ? b->capacity : BUF_FIRST;
		while (capacity < need)
			capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
		// The limit is of the content; memory never passes it by rounding either.
		if (capacity > b->limit && need <= b->limit)
			capacity = b->limit;
		uint8_t *bytes = malloc(capacity);
		if (!bytes)
			return -ENOMEM;
		if (b->len)
			memcpy(bytes, b->bytes + b->head, b->len);
		free(b->bytes);
		b->bytes = bytes;
		b->capacity = capacity;
		b->head = 0;
	} else if (n > b->capacity - b->head - b->len) {
		memmove(b->bytes, b->bytes + b->head, b->len);
		b->head = 0;
	}
	// A buffer that never held a byte has none to point at; n is 0 then.
	static uint8_t nothing[1];
	*ret_space = b->bytes ? b->bytes + b->head + b->len : nothing;
	return 0;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->capacity - b->head - b->len);
	b->len += n;
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	uint8_t *space;
	int r = buf_reserve(b, n, &space);
	if (r < 0)
		return r;
	if (n)
		memcpy(space, data, n);
	b->len += n;
	return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	int r = -EINVAL;
	if (n < 0)
		goto out;
	if ((size_t)n > b->limit - b->len) {
		r = -ENOBUFS;
		goto out;
	}
	uint8_t *space;
	// vsnprintf wants a byte for its NUL, which the limit need not have: format aside when
	// tight.
	if ((size_t)n == b->limit - b->len) {
		char *text = malloc((size_t)n + 1);
		if (!text) {
			r = -ENOMEM;
			goto out;
		}
		vsnprintf(text, (size_t)n + 1, format, again);
		r = buf_append(b, text, (size_t)n);
		free(text);
		goto out;
	}
	r = buf_reserve(b, (size_t)n + 1, &space);
	if (r < 0)
		goto out;
	vsnprintf((char *)space, (size_t)n + 1, format, again);
	b->len += (size_t)n;
out:
	va_end(again);
	return r;
}

int buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int r = buf_vprintf(b, format, args);
	va_end(args);
	return r;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->head += n;
	b->len -= n;
	if (!b->len)
		b->head = 0;
}

void buf_clear(struct buf *b)
{
	b->head = 0;
	b->len = 0;
}
