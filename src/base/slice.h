// SPDX-License-Identifier: Apache-2.0
// A borrowed run of bytes: pointer and length, owned by somebody else.
//
// A slice never owns memory, needs no NUL at its end, and lives as long as the buffer it points
// into; whoever hands one out says how long that is. All functions are pure and may run on any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *data; // may be NULL only when len is 0
	size_t len;
};

// A slice over a string literal, usable in static initialisers: SLICE_LITERAL("host").
#define SLICE_LITERAL(text)                                                                        \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}
// The same as an expression: SLICE("host").
#define SLICE(text) ((struct slice)SLICE_LITERAL(text))

static inline struct slice slice_make(const char *data, size_t len)
{
	return (struct slice){data, len};
}

// Over a NUL-terminated string; NULL gives the empty slice.
static inline struct slice slice_from_string(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

// Equality without regard to ASCII case, and only ASCII: never depends on the locale.
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
		if (x == y)
			continue;
		if ((x | 0x20) != (y | 0x20) || (x | 0x20) < 'a' || (x | 0x20) > 'z')
			return false;
	}
	return true;
}
