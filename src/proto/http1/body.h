// SPDX-License-Identifier: Apache-2.0
// Reads and frames the content of HTTP/1.1 messages (RFC 9112 6 and 7).
//
// The reader is shown bytes as they come and says which of them are content, without copying. One
// reader serves one message and one thread; it holds no memory of its own.
#pragma once

#include "base/http_head.h"
#include "proto/http1/error.h"
#include "proto/http1/framing.h"
#include "proto/http1/parser.h"

struct http1_body_limits {
	uint32_t max_extension;  // bytes of one chunk's extensions
	uint32_t max_extensions; // bytes of all chunks' extensions together
	uint32_t max_trailer;    // bytes of the trailer section: the buffer must have room for it
};
// clang-format off
#define HTTP1_BODY_LIMITS_DEFAULT {.max_extension = 1024, .max_extensions = 16384, .max_trailer = 8192}
// clang-format on

struct http1_body {
	// Results, for the caller to read.
	enum http1_error error; // set when a call gives -EBADMSG
	bool done;
	uint64_t received; // content bytes so far
	// Private.
	uint8_t kind, state, digits;
	uint32_t extension, extensions;
	struct http1_body_limits limits;
	uint64_t left; // content bytes until the end, or the end of this chunk
	struct http_head *trailers;
	struct http1_parser parser;
};

struct http1_body_part {
	size_t consumed;   // bytes of the input that are done with, the content in `data` included
	struct slice data; // the content among them, may be empty; points into the input
	bool done;         // the message is complete; what follows in the input is not part of it
};

// trailers: takes the fields of the trailer section, or NULL when nobody wants them (then at most
// 32 are read). It must be initialised and stay where it is. Fields that must not come in a trailer
// (framing, routing, authentication ...) are dropped. NONE and TUNNEL are done at once: a tunnel's
// bytes are not content.
void http1_body_init(struct http1_body *body, const struct http1_framing *framing,
		     const struct http1_body_limits *limits, struct http_head *trailers);

// Gives the next run of content. Call it again with the rest of the input until it consumes nothing
// or is done. Bytes that were not consumed must be there again, at the front, on the next call:
// only the trailer section is ever left so, since it is taken in one piece. When done, `trailers`
// points into data.
// 0, or -EBADMSG with body->error; it stays so. Content that came before a fault is given first.
int http1_body_feed(struct http1_body *body, const void *data, size_t len,
		    struct http1_body_part *ret_part);

// The sender closed.
// 0: the message is complete (only UNTIL_CLOSE becomes so by this); -EBADMSG: it is truncated.
int http1_body_eof(struct http1_body *body);

// How many bytes from here on are content for certain, whatever they are: they may be moved past
// the reader (by splice) and then reported with http1_body_skip, n at most as many.
// UINT64_MAX: all until the connection closes.
uint64_t http1_body_direct(const struct http1_body *body);
void http1_body_skip(struct http1_body *body, uint64_t n);

// Writing chunked content: a head, the bytes, CRLF; and at last a zero chunk with the trailers.
enum { HTTP1_CHUNK_HEAD_MAX = 18 };
// "1a2b\r\n"; size is not 0. Gives the length, at most HTTP1_CHUNK_HEAD_MAX.
size_t http1_chunk_write_head(char ret_text[HTTP1_CHUNK_HEAD_MAX], uint64_t size);
// "0\r\n", the fields (NULL: none; those that must not be in a trailer are left out), "\r\n".
// Gives the length; -ENOBUFS: does not fit; -EINVAL: a field that could split the message.
ssize_t http1_chunk_write_last(void *buffer, size_t capacity, const struct http_head *trailers);
