// SPDX-License-Identifier: Apache-2.0
// Appending and escaping text.
#include "obs/text.h"

#include "base/strescape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_FIRST = 1024, TEXT_LIMIT = 64 << 20 };

void text_init(struct text *t, size_t limit)
{
	*t = (struct text){.limit = limit ? limit : TEXT_LIMIT};
}

void text_release(struct text *t)
{
	if (t->limit)
		free(t->data);
	*t = (struct text){0};
}

void text_init_fixed(struct text *t, char *data, size_t cap)
{
	*t = (struct text){.data = data, .cap = cap};
}

void text_truncate(struct text *t, size_t len)
{
	if (len < t->len)
		t->len = len;
	t->failed = false;
}

static bool text_room(struct text *t, size_t more)
{
	if (t->failed)
		return false;
	if (more <= t->cap - t->len)
		return true;
	if (more > t->limit || t->len > t->limit - more) {
		t->failed = true;
		return false;
	}
	size_t cap = t->cap ? t->cap : TEXT_FIRST;
	while (cap < t->len + more)
		cap *= 2;
	if (cap > t->limit)
		cap = t->limit;
	char *data = realloc(t->data, cap);
	if (!data) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->cap = cap;
	return true;
}

void text_bytes(struct text *t, const void *data, size_t len)
{
	if (len == 0 || !text_room(t, len))
		return;
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

void text_str(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

void text_char(struct text *t, char c)
{
	text_bytes(t, &c, 1);
}

void text_uint(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_bytes(t, digits + at, sizeof digits - at);
}

void text_int(struct text *t, int64_t v)
{
	char digits[21];
	size_t at = sizeof digits;
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		digits[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		digits[--at] = '-';
	text_bytes(t, digits + at, sizeof digits - at);
}

void text_hex(struct text *t, uint64_t v, unsigned digits)
{
	char hex[16];
	size_t at = sizeof hex;

	do {
		hex[--at] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (at > 0 && (v || sizeof hex - at < digits));
	text_bytes(t, hex + at, sizeof hex - at);
}

void text_decimal(struct text *t, uint64_t v, unsigned decimals)
{
	uint64_t unit = 1;

	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	uint64_t rest = v % unit;
	char out[48];
	struct text o;
	text_init_fixed(&o, out, sizeof out);
	text_uint(&o, v / unit);
	if (rest) {
		text_char(&o, '.');
		while (rest) {
			unit /= 10;
			text_char(&o, (char)('0' + rest / unit));
			rest %= unit;
		}
	}
	text_bytes(t, out, o.len);
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list args;
	char small[256];

	va_start(args, format);
	int n = vsnprintf(small, sizeof small, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n < sizeof small) {
		text_bytes(t, small, (size_t)n);
		return;
	}
	// vsnprintf wants room for its NUL, which is given back.
	if (!text_room(t, (size_t)n + 1))
		return;
	va_start(args, format);
	vsnprintf(t->data + t->len, (size_t)n + 1, format, args);
	va_end(args);
	t->len += (size_t)n;
}

typedef size_t escape_fn(char *ret_out, size_t cap, const void *bytes, size_t len);

static void text_escape(struct text *t, const char *s, size_t len, size_t max, escape_fn *escape)
{
	char out[TEXT_ESCAPE_MAX + 1];

	if (max > TEXT_ESCAPE_MAX)
		max = TEXT_ESCAPE_MAX;
	size_t n = escape(out, max + 1, s, len);
	text_bytes(t, out, n);
}

void text_json(struct text *t, const char *s, size_t len, size_t max)
{
	text_escape(t, s, len, max, strescape_json);
}

void text_quoted(struct text *t, const char *s, size_t len, size_t max)
{
	text_escape(t, s, len, max, strescape_text);
}

static bool bare_character(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=' && c != '\'' && c != '`';
}

void text_value(struct text *t, const char *s, size_t len, size_t max)
{
	bool bare = len > 0 && len <= max;

	for (size_t i = 0; bare && i < len; i++)
		bare = bare_character((unsigned char)s[i]);
	if (bare) {
		text_bytes(t, s, len);
		return;
	}
	text_char(t, '"');
	text_quoted(t, s, len, max);
	text_char(t, '"');
}
