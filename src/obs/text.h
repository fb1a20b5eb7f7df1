// SPDX-License-Identifier: Apache-2.0
// Appending text: into memory that grows (metrics pages, JSON) or into a fixed buffer (log lines),
// with escaping.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Fields are readable by anyone who owns the text; only text_* functions write them.
// `data` is not NUL-terminated. Once an append does not fit (fixed: no room; growing: no memory or
// above `limit`), `failed` is set and that append and all later ones do nothing: what is there is
// whole appends only. One thread at a time.
struct text {
	char *data;
	size_t len;
	size_t cap;
	size_t limit; // growing: never larger than this; fixed: 0
	bool failed;
};

// Growing text; text_release frees it. `limit` 0 means 64 MiB.
void text_init(struct text *t, size_t limit);
void text_release(struct text *t);
// Text in the caller's memory; needs no release.
void text_init_fixed(struct text *t, char *data, size_t cap);

// Back to an earlier length, and failed no more. For fixed text that tries what fits.
void text_truncate(struct text *t, size_t len);

void text_bytes(struct text *t, const void *data, size_t len);
void text_str(struct text *t, const char *s);
void text_char(struct text *t, char c);
void text_uint(struct text *t, uint64_t v);
void text_int(struct text *t, int64_t v);
// Lower-case, at least `digits` digits.
void text_hex(struct text *t, uint64_t v, unsigned digits);
// value × 10^-decimals, without trailing zeros: text_decimal(t, 1500000, 9) gives 0.0015.
void text_decimal(struct text *t, uint64_t v, unsigned decimals);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Escaping of what a peer may have written (see base/strescape.h for what is replaced). At most
// `max` bytes are appended (and never more than TEXT_ESCAPE_MAX); what is cut off is marked by
// "..." at the end.
enum { TEXT_ESCAPE_MAX = 4096 };

// The inside of a JSON string, without its quotes.
void text_json(struct text *t, const char *s, size_t len, size_t max);
// The inside of a double-quoted logfmt string: printable ASCII, the rest as \n \r \t \xNN.
void text_quoted(struct text *t, const char *s, size_t len, size_t max);
// A logfmt value: bare if it consists of safe characters only, else in quotes.
void text_value(struct text *t, const char *s, size_t len, size_t max);
