// SPDX-License-Identifier: Apache-2.0
// Appending and escaping text.
#include "obs/text.h"

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

// The length of the valid UTF-8 character at s (RFC 3629), its code point in *ret; 0 if it is none.
static size_t utf8_char(const unsigned char *s, size_t len, uint32_t *ret)
{
	uint32_t c = s[0];
	size_t n;
	uint32_t min;

	if (c < 0x80) {
		*ret = c;
		return 1;
	}
	if (c >= 0xc2 && c <= 0xdf)
		n = 2, c &= 0x1f, min = 0x80;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3, c &= 0x0f, min = 0x800;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4, c &= 0x07, min = 0x10000;
	else
		return 0;
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

// Characters that are valid UTF-8 but change how a terminal or a viewer shows the line.
static bool code_point_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xfdd0 && c <= 0xfdef) ||
	       (c & 0xfffe) == 0xfffe || (c >= 0xe0000 && c <= 0xe0fff);
}

static bool plain_ascii(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void json_code_point(struct text *t, uint32_t c)
{
	switch (c) {
	case '\n':
		text_str(t, "\\n");
		return;
	case '\r':
		text_str(t, "\\r");
		return;
	case '\t':
		text_str(t, "\\t");
		return;
	default:
		break;
	}
	if (c >= 0x10000) {
		text_str(t, "\\u");
		text_hex(t, 0xd800 + ((c - 0x10000) >> 10), 4);
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	text_str(t, "\\u");
	text_hex(t, c, 4);
}

static void quoted_code_point(struct text *t, uint32_t c)
{
	switch (c) {
	case '\n':
		text_str(t, "\\n");
		return;
	case '\r':
		text_str(t, "\\r");
		return;
	case '\t':
		text_str(t, "\\t");
		return;
	default:
		break;
	}
	if (c < 0x80) {
		text_str(t, "\\x");
		text_hex(t, c, 2);
		return;
	}
	text_str(t, "\\u{");
	text_hex(t, c, 4);
	text_char(t, '}');
}

// Runs of plain ASCII are copied whole; everything else goes character by character.
static void text_escape(struct text *t, const char *s, size_t len, size_t max, bool json)
{
	const unsigned char *p = (const unsigned char *)s;
	bool cut = len > max;
	size_t end = cut ? max : len;

	for (size_t i = 0; i < end && !t->failed;) {
		size_t run = i;
		while (run < end && plain_ascii(p[run]))
			run++;
		text_bytes(t, p + i, run - i);
		i = run;
		if (i == end)
			break;
		uint32_t c;
		size_t n = utf8_char(p + i, len - i, &c);
		if (n > end - i)
			break; // the cut falls into this character
		if (n == 0) {
			if (json) {
				text_str(t, "\\ufffd");
			} else {
				text_str(t, "\\x");
				text_hex(t, p[i], 2);
			}
			i++;
			continue;
		}
		if (c == '"' || c == '\\') {
			text_char(t, '\\');
			text_char(t, (char)c);
		} else if (!code_point_unsafe(c)) {
			text_bytes(t, p + i, n);
		} else if (json) {
			json_code_point(t, c);
		} else {
			quoted_code_point(t, c);
		}
		i += n;
	}
	if (cut)
		text_str(t, "...");
}

void text_json(struct text *t, const char *s, size_t len, size_t max)
{
	text_escape(t, s, len, max, true);
}

void text_quoted(struct text *t, const char *s, size_t len, size_t max)
{
	text_escape(t, s, len, max, false);
}

void text_value(struct text *t, const char *s, size_t len, size_t max)
{
	bool bare = len > 0 && len <= max;

	for (size_t i = 0; bare && i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bare = plain_ascii(c) && c != ' ' && c != '=' && c != '\'' && c != '`';
	}
	if (bare) {
		text_bytes(t, s, len);
		return;
	}
	text_char(t, '"');
	text_quoted(t, s, len, max);
	text_char(t, '"');
}
