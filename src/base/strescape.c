// SPDX-License-Identifier: Apache-2.0
// Escapes peer-written bytes: see strescape.h.
#include "base/strescape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct piece {
	char text[8];
	size_t len;  // of text
	size_t used; // input bytes
};

static const char hex[] = "0123456789abcdef";

static struct piece piece_text(const uint8_t *p, size_t left)
{
	uint8_t c = *p;
	struct piece s = {.used = 1};
	char letter = c == '"' || c == '\\' ? (char)c
		      : c == '\n'           ? 'n'
		      : c == '\r'           ? 'r'
		      : c == '\t'           ? 't'
					    : 0;
	if (letter) {
		s.text[0] = '\\';
		s.text[1] = letter;
		s.len = 2;
	} else if (c >= 0x20 && c < 0x7f) {
		s.text[0] = (char)c;
		s.len = 1;
	} else {
		s.text[0] = '\\';
		s.text[1] = 'x';
		s.text[2] = hex[c >> 4];
		s.text[3] = hex[c & 15];
		s.len = 4;
	}
	return s;
}

// The code point at p and its length, by the table of RFC 3629 section 4; length 0 when invalid.
static size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *ret_code)
{
	size_t n;
	uint32_t code, least;
	if (p[0] < 0x80) {
		*ret_code = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
		code = p[0] & 0x1fu;
		least = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3;
		code = p[0] & 0x0fu;
		least = 0x800;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		code = p[0] & 0x07u;
		least = 0x10000;
	} else {
		return 0;
	}
	if (left < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

// Characters that a viewer would not show, or that would reorder what it shows. All are below 2^16.
static bool must_escape(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0xad || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb);
}

static struct piece piece_json(const uint8_t *p, size_t left)
{
	struct piece s = {0};
	uint32_t code = 0;
	size_t n = utf8_decode(p, left, &code);
	s.used = n ? n : 1;
	if (!n)
		code = 0xfffd;
	char letter = code == '"' || code == '\\' ? (char)code
		      : code == '\n'              ? 'n'
		      : code == '\r'              ? 'r'
		      : code == '\t'              ? 't'
						  : 0;
	if (letter) {
		s.text[0] = '\\';
		s.text[1] = letter;
		s.len = 2;
	} else if (!n || must_escape(code)) {
		s.text[0] = '\\';
		s.text[1] = 'u';
		for (int i = 0; i < 4; i++)
			s.text[2 + i] = hex[code >> (12 - 4 * i) & 15];
		s.len = 6;
	} else {
		memcpy(s.text, p, n);
		s.len = n;
	}
	return s;
}

static size_t escape(char *out, size_t cap, const uint8_t *in, size_t len,
		     struct piece (*piece)(const uint8_t *, size_t))
{
	if (!cap)
		return 0;
	size_t room = cap - 1;
	size_t dots = room < 3 ? room : 3;
	size_t n = 0;
	size_t cut = 0; // the last place where the dots still fit
	for (size_t i = 0; i < len;) {
		struct piece s = piece(in + i, len - i);
		if (s.len > room - n) {
			memset(out + cut, '.', dots);
			n = cut + dots;
			break;
		}
		memcpy(out + n, s.text, s.len);
		n += s.len;
		i += s.used;
		if (n <= room - dots)
			cut = n;
	}
	out[n] = 0;
	return n;
}

size_t strescape_text(char *ret_out, size_t cap, const void *bytes, size_t len)
{
	return escape(ret_out, cap, bytes, len, piece_text);
}

size_t strescape_json(char *ret_out, size_t cap, const void *bytes, size_t len)
{
	return escape(ret_out, cap, bytes, len, piece_json);
}
