// SPDX-License-Identifier: Apache-2.0
// Writes the head of a request or response anew, as a forwarding proxy must (RFC 9110 7.6).
//
// What goes on: the method or status, the target, and the end-to-end fields in their order.
// Made anew: Host (from the authority), Content-Length and Transfer-Encoding (from `framing`),
// Via, Connection, and where they have a use `TE: trailers`, Upgrade, and Trailer (with chunked).
// Left out: the hop-by-hop fields (HTTP_FIELD_HOP in base/http_fields.def), and what Connection
// lists. But Connection removes only names that the code does not know: every other known field
// is end to end by its definition, so that `Connection: authorization` or `x-forwarded-for`
// cannot strip it on the way.
//
// Pure, no allocation. Everything is checked again on the way out, so that no head, wherever its
// slices come from, can split a message.
#pragma once

#include "base/http_head.h"
#include "proto/http1/framing.h"

#include <sys/types.h>

enum http1_connection {
	HTTP1_CONNECTION_DEFAULT,   // say nothing: persistent in 1.1
	HTTP1_CONNECTION_CLOSE,     // Connection: close
	HTTP1_CONNECTION_KEEP_ALIVE // Connection: keep-alive, to an HTTP/1.0 peer that asked for it
};

struct http1_write_options {
	struct http1_framing framing; // of the message as it is written, see http1_framing_forward
	uint8_t connection;           // enum http1_connection; UNTIL_CLOSE implies CLOSE
	uint8_t target_form;          // enum http_target_form, requests only
	bool upgrade;      // pass Upgrade on: the caller is ready for a 101, or this is one
	struct slice via;  // our pseudonym for Via; empty: no Via
	struct slice date; // for a response that has no Date; empty: none
	const struct http_field *extra; // fields to add at the end; ids are not looked at
	size_t extra_count;
};

// Writes a request line with HTTP/1.1 and the fields.
// target_form: ORIGIN towards an origin ("*" stays "*"), ABSOLUTE towards a proxy, AUTHORITY for
// CONNECT. Max-Forwards of TRACE and OPTIONS is decreased. Gives the length, or
// -ENOBUFS: it does not fit;
// -EINVAL: no authority or path, or a part has a byte that it must not have;
// -ELOOP: Max-Forwards is 0, so this proxy is to answer itself (TRACE: RFC 9110 9.3.8).
ssize_t http1_write_request(void *buffer, size_t capacity, const struct http_head *head,
			    const struct http1_write_options *options);

// Writes a status line with HTTP/1.1 and the fields. An empty reason becomes the usual one. With
// framing NONE the Content-Length of the head is kept (HEAD and 304), except for 1xx and 204.
// Errors as for requests.
ssize_t http1_write_response(void *buffer, size_t capacity, const struct http_head *head,
			     const struct http1_write_options *options);
