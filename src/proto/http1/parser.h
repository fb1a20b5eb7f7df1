// SPDX-License-Identifier: Apache-2.0
// Reads the head of an HTTP/1.1 request or response, or a trailer section, strictly (RFC 9112).
//
// The caller keeps the bytes of the head in one contiguous buffer and shows it from its first byte
// on each call; nothing is scanned twice but the last, incomplete line. The result does not depend
// on how the bytes were cut. No allocation, no system call; one parser belongs to one thread.
//
// Strict: lines end in CRLF only, no folding, no control characters, no space before a colon,
// tokens are tokens, exactly one SP between the parts of a request line. Up to HTTP1_BLANK_LINES
// empty lines before a request are skipped (RFC 9112 2.2). Raw bytes from 0x80 are taken in values,
// not in targets.
#pragma once

#include "base/http_head.h"
#include "proto/http1/error.h"
#include "proto/http1/framing.h"

#include <sys/types.h>

struct http1_limits {
	uint32_t max_line; // bytes of one line, its CRLF included: 414 for the first, then 431
	uint32_t max_head; // bytes of the whole head, blank lines before it included: 431
};
// clang-format off
#define HTTP1_LIMITS_DEFAULT {.max_line = 16384, .max_head = 65536}
// clang-format on

enum { HTTP1_BLANK_LINES = 4 };

struct http1_parser {
	// Results, for the caller to read.
	enum http1_error error;       // set when feed gives -EBADMSG
	struct http1_framing framing; // valid when a request or response is complete
	bool allow_https; // may be set after init: take absolute-form with https (on TLS listeners)
	// Private.
	uint8_t kind, state, blank_lines;
	uint8_t request_method;
	struct http1_limits limits;
	uint32_t line; // offset of the first line that is not read yet
	uint32_t scan; // no LF in [line, scan)
	const char *base;
	struct http_head *head;
};

// The head must be initialised with http_head_init (its field_max is the limit on fields: 431) and
// stay where it is until the parser is done. Limits are copied.
void http1_parser_init_request(struct http1_parser *parser, struct http_head *head,
			       const struct http1_limits *limits);
// request_method: of the request that this response answers.
void http1_parser_init_response(struct http1_parser *parser, struct http_head *head,
				const struct http1_limits *limits, enum http_method request_method);
// Fields and an empty line; fields that must not come in trailers are dropped. For the body reader.
void http1_parser_init_trailers(struct http1_parser *parser, struct http_head *head,
				const struct http1_limits *limits);

// data: the head from its first byte; len: all that is there by now; the buffer may have moved
// since the last call. Gives the length of the head, with the blank lines before it and the empty
// line after it, when it is complete: what follows is content or the next message. The slices in
// the head then point into data (or to static text). Else
// -EAGAIN: it is not complete yet (also when less is shown than before);
// -EBADMSG: parser->error says what is wrong; it stays so.
//
// A complete request has its authority (Host is checked, and overridden by an absolute-form),
// scheme, path and framing; a complete response its framing.
ssize_t http1_parser_feed(struct http1_parser *parser, const void *data, size_t len);

// Whether any byte of the head itself has come (blank lines do not count): tells an idle connection
// that closes from a truncated request.
bool http1_parser_began(const struct http1_parser *parser);
