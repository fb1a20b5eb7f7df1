// SPDX-License-Identifier: Apache-2.0
// How long a message's content is, and whether the connection outlives it (RFC 9112 6 and 9).
//
// Pure functions; any thread. The parser calls them, so that no head is delivered without them.
#pragma once

#include "base/http_head.h"
#include "proto/http1/error.h"

enum http1_framing_kind {
	HTTP1_FRAMING_NONE,        // no content
	HTTP1_FRAMING_LENGTH,      // Content-Length; 0 too, when it was said
	HTTP1_FRAMING_CHUNKED,     // Transfer-Encoding: chunked
	HTTP1_FRAMING_UNTIL_CLOSE, // a response that ends with the connection
	HTTP1_FRAMING_TUNNEL       // not HTTP any more: 101, or 2xx to CONNECT
};

struct http1_framing {
	uint8_t kind;         // enum http1_framing_kind
	bool keep_alive;      // the sender lets the connection carry another message after this one
	bool upgrade;         // Connection lists upgrade, Upgrade is there, and the version is 1.1
	bool expect_continue; // a request that waits for 100 before its content
	bool te_trailers;     // a request whose sender takes trailers (TE: trailers)
	uint64_t length;      // of LENGTH, at most INT64_MAX
};

// The most options that the Connection fields of one message may list together.
enum { HTTP1_CONNECTION_OPTIONS = 32 };

// Strict: Content-Length with Transfer-Encoding, several Content-Length fields (equal ones too),
// lists, Transfer-Encoding in HTTP/1.0, anything but exactly one chunked as the whole coding are
// all errors (a response whose coding is `identity` alone is read until close, being a custom of
// old servers; other codings would reach a client that never said it can undo them).
// CONNECT and TRACE take no content; `Content-Length: 0` is let pass.
// In HTTP/1.0 `Connection: keep-alive` is honoured except for a request in absolute-form, since
// then we are the proxy that RFC 9112 9.3 warns of.
// *ret_framing is written only with HTTP1_OK.
enum http1_error http1_framing_of_request(const struct http_head *head,
					  struct http1_framing *ret_framing);

// request_method: of the request that the response answers. The framing fields of 1xx, 204 and of
// 2xx to CONNECT are not looked at (RFC 9112 6.3).
enum http1_error http1_framing_of_response(const struct http_head *head,
					   enum http_method request_method,
					   struct http1_framing *ret_framing);

// What a message that came with `in` should have when it goes on to a peer of that version:
// content of unknown length to HTTP/1.1 is chunked; a response to HTTP/1.0 without a length is
// read until close.
// 0; -ENOTSUP: a request without a length cannot go to HTTP/1.0.
int http1_framing_forward(const struct http1_framing *in, bool is_request, enum http_version peer,
			  struct http1_framing *ret_out);
