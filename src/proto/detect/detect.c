// SPDX-License-Identifier: Apache-2.0
// Matches the first bytes against each protocol that is in question.
#include "proto/detect/detect.h"

#include <string.h>

/*
 * A matcher answers MATCH_YES or MATCH_NO, or how many bytes are missing at least for a YES. Both
 * answers are final: a matcher that has given one on some bytes gives it on those and any more.
 */
#define MATCH_YES ((size_t)0)
#define MATCH_NO SIZE_MAX

#define METHOD_MAX 32
#define EMPTY_LINES_MAX 2

const char *protocol_name(enum protocol protocol)
{
	static const char *const names[] = {
#define PROTOCOL(name, text, help) text,
#include "proto/detect/protocols.def"
#undef PROTOCOL
	};

	return (unsigned)protocol < PROTOCOL_COUNT ? names[protocol] : "?";
}

static size_t match_prefix(const uint8_t *data, size_t len, const char *prefix, size_t prefix_len)
{
	size_t n = len < prefix_len ? len : prefix_len;

	// A call without bytes may come with a NULL pointer.
	if (n > 0 && memcmp(data, prefix, n) != 0)
		return MATCH_NO;
	return prefix_len - n;
}

static size_t match_socks(const uint8_t *data, size_t len, uint8_t version)
{
	if (len == 0)
		return 1;
	return data[0] == version ? MATCH_YES : MATCH_NO;
}

static size_t match_tls(const uint8_t *data, size_t len)
{
	unsigned record;

	// Record: type 22, version 3.x, length (RFC 8446, 5.1); then the message type 1.
	if ((len > 0 && data[0] != 22) || (len > 1 && data[1] != 3) || (len > 2 && data[2] > 4) ||
	    (len > 3 && data[3] > 0x40) || (len > 5 && data[5] != 1))
		return MATCH_NO;
	if (len > 4) {
		record = (unsigned)data[3] << 8 | data[4];
		if (record == 0 || record > 1 << 14)
			return MATCH_NO;
	}
	return len < 6 ? 6 - len : MATCH_YES;
}

// RFC 9110, 5789, 4918, 3253, 3648, 3744, 5323, 5842, 4791 and the query draft; with their space,
// after which nothing else that Sluice knows is possible.
static const char *const METHODS[] = {
	"GET ",   "POST ",   "CONNECT ",  "HEAD ",      "PUT ",   "OPTIONS ",    "DELETE ",
	"PATCH ", "TRACE ",  "PROPFIND ", "PROPPATCH ", "MKCOL ", "COPY ",       "MOVE ",
	"LOCK ",  "UNLOCK ", "REPORT ",   "SEARCH ",    "ACL ",   "MKCALENDAR ", "QUERY ",
};

static bool is_method_char(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// The rule for methods that are not in the table: method SP target SP "HTTP/1."
static size_t match_request_line(const uint8_t *data, size_t len)
{
	static const char version[] = " HTTP/1.";
	const size_t version_len = sizeof(version) - 1;
	size_t i = 0, target, missing;

	while (i < len && i < METHOD_MAX && is_method_char(data[i]))
		i++;
	if (i == 0 ? len > 0 : data[0] < 'A' || data[0] > 'Z')
		return MATCH_NO;
	if (i == len)
		return (i == 0) + 2 + version_len;
	if (data[i] != ' ')
		return MATCH_NO;
	target = ++i;
	while (i < len && data[i] > ' ' && data[i] < 0x7f)
		i++;
	if (i == len)
		missing = (i == target) + version_len;
	else if (i == target)
		return MATCH_NO;
	else
		missing = match_prefix(data + i, len - i, version, version_len);
	// The line with its version must fit; so an undecided line that is longer never gets one.
	if (missing != MATCH_NO && i + version_len > DETECT_LINE_MAX)
		return MATCH_NO;
	return missing;
}

static size_t match_http1(const uint8_t *data, size_t len)
{
	size_t best = MATCH_NO, skip = 0;

	while (skip < 2 * EMPTY_LINES_MAX && skip < len && data[skip] == (skip % 2 ? '\n' : '\r'))
		skip++;
	if (skip % 2) {
		// Half an empty line: what is there is wrong unless nothing is.
		if (skip < len)
			return MATCH_NO;
		return 1 + strlen("GET ");
	}
	data = len ? data + skip : data;
	len -= skip;
	for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++) {
		size_t missing = match_prefix(data, len, METHODS[i], strlen(METHODS[i]));

		if (missing < best)
			best = missing;
	}
	if (best != MATCH_YES) {
		size_t missing = match_request_line(data, len);

		if (missing < best)
			best = missing;
	}
	return best;
}

static size_t match(enum protocol protocol, const uint8_t *data, size_t len)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

	switch (protocol) {
	case PROTOCOL_SOCKS4:
		return match_socks(data, len, 4);
	case PROTOCOL_SOCKS5:
		return match_socks(data, len, 5);
	case PROTOCOL_HTTP1:
		return match_http1(data, len);
	case PROTOCOL_HTTP2:
		return match_prefix(data, len, preface, sizeof(preface) - 1);
	case PROTOCOL_TLS:
		return match_tls(data, len);
	case PROTOCOL_PROXY1:
		return match_prefix(data, len, "PROXY ", 6);
	case PROTOCOL_PROXY2:
		return match_prefix(data, len, signature, sizeof(signature) - 1);
	case PROTOCOL_RAW:
	case PROTOCOL_COUNT:
		break;
	}
	return MATCH_NO;
}

size_t detect(const uint8_t *data, size_t len, unsigned accept, enum protocol *ret_protocol)
{
	// PROXY1 before HTTP1, to which "PROXY " might be a method of somebody's own. No other two
	// can both match.
	static const enum protocol order[] = {
		PROTOCOL_SOCKS5, PROTOCOL_TLS,   PROTOCOL_PROXY1, PROTOCOL_PROXY2,
		PROTOCOL_HTTP2,  PROTOCOL_HTTP1, PROTOCOL_SOCKS4,
	};
	size_t least = MATCH_NO;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		size_t missing;

		if (!(accept & PROTOCOL_BIT(order[i])))
			continue;
		missing = match(order[i], data, len);
		if (missing == MATCH_YES) {
			*ret_protocol = order[i];
			return 0;
		}
		if (missing < least)
			least = missing;
	}
	if (least != MATCH_NO)
		return least;
	*ret_protocol = PROTOCOL_RAW;
	return 0;
}
