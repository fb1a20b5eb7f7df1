// SPDX-License-Identifier: Apache-2.0
// The small grammar that all HTTP versions share: characters, tokens, lists, numbers, authorities.
//
// Pure functions over borrowed bytes; any thread. Slices that they give point into their argument.
#pragma once

#include "base/slice.h"

#include <stdint.h>

// What a byte may be part of; http_char_class[byte] holds a set of these.
enum http_char {
	HTTP_CHAR_TOKEN = 1 << 0,  // tchar (RFC 9110 5.6.2)
	HTTP_CHAR_VALUE = 1 << 1,  // in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5)
	HTTP_CHAR_TARGET = 1 << 2, // in a request target: 0x21 to 0x7e without '#'
	HTTP_CHAR_HOST = 1 << 3,   // in a host name or IPv4 address: letters, digits, "-._~"
	HTTP_CHAR_DIGIT = 1 << 4,
	HTTP_CHAR_HEX = 1 << 5,
	HTTP_CHAR_SPACE = 1 << 6, // SP and HTAB
	HTTP_CHAR_SCHEME = 1 << 7 // in a scheme after its first letter (RFC 3986 3.1)
};
extern const uint8_t http_char_class[256];

static inline bool http_char_is(char c, enum http_char what)
{
	return (http_char_class[(unsigned char)c] & what) != 0;
}

// Whether all bytes are of that kind; true for an empty slice.
static inline bool http_chars_are(struct slice text, enum http_char what)
{
	unsigned all = what;
	for (size_t i = 0; i < text.len; i++)
		all &= http_char_class[(unsigned char)text.data[i]];
	return all != 0;
}

// token = 1*tchar.
static inline bool http_is_token(struct slice text)
{
	return text.len > 0 && http_chars_are(text, HTTP_CHAR_TOKEN);
}

// field-value: nothing that could end it (NUL, CR, LF, other controls). White space at the ends
// is not judged.
bool http_is_value(struct slice text);

// The first byte in [from, end) that must not be in a field value or target, or end. These are the
// hot loops of a parser: 16 bytes a step where the machine can. The bytes beyond end are not read.
const char *http_skip_value(const char *from, const char *end);
const char *http_skip_target(const char *from, const char *end);

// Without the spaces and tabs at both ends (OWS).
struct slice http_trim(struct slice text);

// Takes the next member off a comma-separated list (RFC 9110 5.6.1): trimmed, empty members
// skipped, commas inside quoted strings kept. false at the end. *rest is advanced.
bool http_list_next(struct slice *rest, struct slice *ret_member);

// 1*DIGIT up to INT64_MAX. 0, -EBADMSG (not that) or -ERANGE (too large).
int http_parse_number(struct slice text, uint64_t *ret_number);

enum http_host_kind { HTTP_HOST_NAME, HTTP_HOST_IPV4, HTTP_HOST_IPV6 };

struct http_authority {
	struct slice text; // host [":" port] as written, without a dangling ":"
	struct slice host; // an IPv6 address is without its brackets
	enum http_host_kind kind;
	uint16_t port; // 0: none was given
};

// host [":" port] (RFC 3986 3.2) as proxies need it: no user information, no empty host, at most
// 255 bytes of host, only letters, digits and "-._~" in a name, a valid address in brackets and no
// zone, a port from 1 to 65535; "host:" is taken as no port. What names a resolver takes is for
// base/host.h to say.
// 0; -EACCES: user information was there; -EBADMSG: anything else is wrong.
int http_authority_parse(struct slice text, struct http_authority *ret_authority);
