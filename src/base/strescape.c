// SPDX-License-Identifier: Apache-2.0
// Escapes peer-written bytes: see strescape.h.
#include "base/strescape.h"

#include "base/utf8.h"

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
