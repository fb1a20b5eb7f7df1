// SPDX-License-Identifier: Apache-2.0
// The small grammar that all HTTP versions share.
#include "base/http_syntax.h"

#include <arpa/inet.h>
#include <errno.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

// One set of enum http_char a byte; test_http_syntax holds each bit against the RFC's words for it.
// clang-format off
const uint8_t http_char_class[256] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 0x00
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 0x10
	0x42, 0x07, 0x06, 0x03, 0x07, 0x07, 0x07, 0x07, 0x06, 0x06, 0x07, 0x87, 0x06, 0x8f, 0x8f, 0x06, // 0x20
	0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0x06, 0x06, 0x06, 0x06, 0x06, 0x06, // 0x30
	0x06, 0xaf, 0xaf, 0xaf, 0xaf, 0xaf, 0xaf, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, // 0x40
	0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x06, 0x06, 0x06, 0x07, 0x0f, // 0x50
	0x07, 0xaf, 0xaf, 0xaf, 0xaf, 0xaf, 0xaf, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, // 0x60
	0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x06, 0x07, 0x06, 0x0f, 0x00, // 0x70
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0x80
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0x90
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xa0
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xb0
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xc0
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xd0
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xe0
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, // 0xf0
};
// clang-format on

// Eight bytes at once, for machines without SSE2 and for the short runs. Each gives 0 exactly when no
// byte is like that (which byte it is, the carries may hide).
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t load8(const char *from)
{
	uint64_t x;
	memcpy(&x, from, sizeof(x));
	return x;
}

static inline uint64_t any_below(uint64_t x, uint8_t limit) // limit at most 0x80
{
	return (x - EACH(limit)) & ~x & EACH(0x80);
}

static inline uint64_t any_equal(uint64_t x, uint8_t byte)
{
	return any_below(x ^ EACH(byte), 1);
}

const char *http_skip_value(const char *from, const char *end)
{
	for (;;) {
#ifdef __SSE2__
		const __m128i lowest = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);
		while (end - from >= 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
			// A byte is a control exactly when max(byte, 0x20) is not the byte.
			__m128i fine = _mm_cmpeq_epi8(_mm_max_epu8(v, lowest), v);
			unsigned bad = (unsigned)_mm_movemask_epi8(_mm_or_si128(
				_mm_andnot_si128(fine, _mm_set1_epi8(-1)), _mm_cmpeq_epi8(v, del)));
			if (bad) {
				from += __builtin_ctz(bad);
				break;
			}
			from += 16;
		}
#endif
		while (end - from >= 8) {
			uint64_t x = load8(from);
			if (any_below(x, 0x20) | any_equal(x, 0x7f))
				break;
			from += 8;
		}
		while (from < end && http_char_is(*from, HTTP_CHAR_VALUE) && *from != '\t')
			from++;
		if (from == end || *from != '\t')
			return from;
		from++; // a tab is the one control that may be there
	}
}

const char *http_skip_target(const char *from, const char *end)
{
#ifdef __SSE2__
	const __m128i lowest = _mm_set1_epi8(0x21), del = _mm_set1_epi8(0x7f);
	const __m128i hash = _mm_set1_epi8('#');
	while (end - from >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
		// Compared as signed, bytes from 0x80 up are below 0x21 too.
		__m128i wrong =
			_mm_or_si128(_mm_cmplt_epi8(v, lowest),
				     _mm_or_si128(_mm_cmpeq_epi8(v, del), _mm_cmpeq_epi8(v, hash)));
		unsigned bad = (unsigned)_mm_movemask_epi8(wrong);
		if (bad)
			return from + __builtin_ctz(bad);
		from += 16;
	}
#endif
	while (end - from >= 8) {
		uint64_t x = load8(from);
		if (any_below(x, 0x21) | any_equal(x, 0x7f) | any_equal(x, '#') | (x & EACH(0x80)))
			break;
		from += 8;
	}
	while (from < end && http_char_is(*from, HTTP_CHAR_TARGET))
		from++;
	return from;
}

bool http_is_value(struct slice text)
{
	return text.len == 0 ||
	       http_skip_value(text.data, text.data + text.len) == text.data + text.len;
}

struct slice http_trim(struct slice text)
{
	while (text.len > 0 && http_char_is(text.data[0], HTTP_CHAR_SPACE)) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && http_char_is(text.data[text.len - 1], HTTP_CHAR_SPACE))
		text.len--;
	return text;
}

bool http_list_next(struct slice *rest, struct slice *ret_member)
{
	if (rest->len == 0)
		return false;
	const char *p = rest->data, *end = p + rest->len;
	while (p < end) {
		const char *start = p;
		bool quoted = false;
		for (; p < end && (quoted || *p != ','); p++) {
			if (*p == '"')
				quoted = !quoted;
			else if (*p == '\\' && quoted && p + 1 < end)
				p++;
		}
		struct slice member = http_trim(slice_make(start, (size_t)(p - start)));
		if (p < end)
			p++;
		if (member.len > 0) {
			*rest = slice_make(p, (size_t)(end - p));
			*ret_member = member;
			return true;
		}
	}
	*rest = slice_make(end, 0);
	return false;
}

int http_parse_number(struct slice text, uint64_t *ret_number)
{
	if (text.len == 0 || !http_chars_are(text, HTTP_CHAR_DIGIT))
		return -EBADMSG;
	uint64_t number = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint64_t digit = (uint64_t)(text.data[i] - '0');
		if (number > ((uint64_t)INT64_MAX - digit) / 10)
			return -ERANGE;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return 0;
}

static bool is_address(struct slice host, int family)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char address[16];
	if (host.len == 0 || host.len >= sizeof(text))
		return false;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	return inet_pton(family, text, address) == 1;
}

int http_authority_parse(struct slice text, struct http_authority *ret_authority)
{
	if (text.len == 0)
		return -EBADMSG;
	struct http_authority a = {.text = text};
	const char *p = text.data, *end = p + text.len;

	if (*p == '[') {
		const char *close = memchr(p, ']', text.len);
		a.host = slice_make(p + 1, close ? (size_t)(close - p - 1) : 0);
		if (!is_address(a.host, AF_INET6))
			return memchr(p, '@', text.len) ? -EACCES : -EBADMSG;
		a.kind = HTTP_HOST_IPV6;
		p = close + 1;
	} else {
		while (p < end && http_char_is(*p, HTTP_CHAR_HOST))
			p++;
		a.host = slice_make(text.data, (size_t)(p - text.data));
	}
	if (p < end && (*p != ':' || memchr(p, '@', (size_t)(end - p))))
		return memchr(p, '@', (size_t)(end - p)) ? -EACCES : -EBADMSG;
	if (a.host.len == 0 || a.host.len > 255)
		return -EBADMSG;
	if (a.kind == HTTP_HOST_NAME &&
	    http_char_is(a.host.data[a.host.len - 1], HTTP_CHAR_DIGIT) &&
	    is_address(a.host, AF_INET))
		a.kind = HTTP_HOST_IPV4;
	if (end - p == 1) {
		a.text.len--; // "host:" is "host"

	} else if (p < end) {
		uint64_t port;
		if (http_parse_number(slice_make(p + 1, (size_t)(end - p - 1)), &port) < 0 ||
		    port == 0 || port > UINT16_MAX)
			return -EBADMSG;
		a.port = (uint16_t)port;
	}
	*ret_authority = a;
	return 0;
}
