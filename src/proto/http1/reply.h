// SPDX-License-Identifier: Apache-2.0
// Small complete responses that the proxy makes itself: errors, refusals, challenges, short pages.
#pragma once

#include "base/http_head.h"

#include <sys/types.h>

// What a client of CONNECT gets when the tunnel is there.
#define HTTP1_REPLY_ESTABLISHED "HTTP/1.1 200 Connection established\r\n\r\n"
// What a client that waits for it gets before it sends its content (RFC 9110 10.1.1).
#define HTTP1_REPLY_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

struct http1_reply {
	unsigned status;           // 200 to 599
	uint8_t method;            // enum http_method of the request; HEAD gets no content
	bool close;                // say Connection: close
	bool keep_alive;           // say Connection: keep-alive (HTTP/1.0 clients)
	struct slice date;         // value of Date; empty: none
	struct slice content_type; // empty: text/plain
	struct slice text; // the content; when text/plain a newline is added if it lacks one
	const struct http_field *fields; // more fields, such as Proxy-Authenticate
	size_t field_count;
};

// The whole response, content included. Plain text that is empty becomes the status and reason.
// Gives the length. -ENOBUFS: does not fit; -EINVAL: a field or the status is not valid.
ssize_t http1_reply_write(void *buffer, size_t capacity, const struct http1_reply *reply);
