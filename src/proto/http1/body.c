// SPDX-License-Identifier: Apache-2.0
// Reads and frames the content of HTTP/1.1 messages.
#include "proto/http1/body.h"

#include "base/http_syntax.h"
#include "proto/http1/output.h"

#include <assert.h>
#include <errno.h>

enum state {
	STATE_SIZE,       // in the hexadecimal digits
	STATE_BEFORE_EXT, // in white space after the size: only ';' may follow
	STATE_EXTENSION,  // in chunk extensions, which are dropped
	STATE_SIZE_LF,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_LF,
	STATE_TRAILERS
};

void http1_body_init(struct http1_body *body, const struct http1_framing *framing,
		     const struct http1_body_limits *limits, struct http_head *trailers)
{
	*body = (struct http1_body){.kind = framing->kind, .limits = *limits, .trailers = trailers};
	switch (body->kind) {
	case HTTP1_FRAMING_LENGTH:
		body->left = framing->length;
		body->done = framing->length == 0;
		break;
	case HTTP1_FRAMING_UNTIL_CLOSE:
		body->left = UINT64_MAX;
		break;
	case HTTP1_FRAMING_CHUNKED:
		break;
	default:
		body->done = true;
	}
}

static int fail(struct http1_body *body, enum http1_error error)
{
	body->error = error;
	return -EBADMSG;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One byte of a chunk's size line or of the CRLF after its data.
static enum http1_error step(struct http1_body *body, char c)
{
	switch (body->state) {
	case STATE_SIZE: {
		int digit = hex_value(c);
		if (digit >= 0) {
			// 15 digits stay below 2^63 even as a sum of chunks that a connection could
			// ever carry.
			if (++body->digits > 15)
				return HTTP1_ERROR_CHUNK_TOO_LARGE;
			body->left = body->left << 4 | (uint64_t)digit;
			return HTTP1_OK;
		}
		if (body->digits == 0)
			return HTTP1_ERROR_BAD_CHUNK_SIZE;
		// The size has ended.
		__attribute__((fallthrough));
	}
	case STATE_BEFORE_EXT:
		if (c == ';') {
			body->state = STATE_EXTENSION;
		} else if (c == '\r' && body->state == STATE_SIZE) {
			body->state = STATE_SIZE_LF;
			return HTTP1_OK;
		} else if (http_char_is(c, HTTP_CHAR_SPACE)) {
			body->state = STATE_BEFORE_EXT;
		} else {
			return body->state == STATE_SIZE ? HTTP1_ERROR_BAD_CHUNK_SIZE
							 : HTTP1_ERROR_BAD_CHUNK_EXTENSION;
		}
		break;
	case STATE_EXTENSION:
		if (c == '\r') {
			body->state = STATE_SIZE_LF;
			return HTTP1_OK;
		}
		if (!http_char_is(c, HTTP_CHAR_VALUE))
			return HTTP1_ERROR_BAD_CHUNK_EXTENSION;
		break;
	case STATE_SIZE_LF:
		if (c != '\n')
			return HTTP1_ERROR_BARE_CR;
		body->state = body->left ? STATE_DATA : STATE_TRAILERS;
		body->digits = 0;
		body->extension = 0;
		return HTTP1_OK;
	case STATE_DATA_CR:
		body->state = STATE_DATA_LF;
		return c == '\r' ? HTTP1_OK : HTTP1_ERROR_BAD_CHUNK_END;
	default: // STATE_DATA_LF
		body->state = STATE_SIZE;
		return c == '\n' ? HTTP1_OK : HTTP1_ERROR_BAD_CHUNK_END;
	}
	body->extensions++;
	if (++body->extension > body->limits.max_extension ||
	    body->extensions > body->limits.max_extensions)
		return HTTP1_ERROR_CHUNK_EXTENSION_TOO_LONG;
	return HTTP1_OK;
}

// The whole trailer section, or nothing yet. Gives the bytes consumed.
static ssize_t read_trailers(struct http1_body *body, const char *data, size_t len)
{
	const struct http1_limits limits = {body->limits.max_trailer, body->limits.max_trailer};
	struct http_field unwanted[32];
	struct http_head nowhere;
	ssize_t r;

	if (!body->trailers) {
		// Nothing is kept between calls, so each one starts anew; the section is small and
		// rare.
		http_head_init(&nowhere, unwanted, 32);
		http1_parser_init_trailers(&body->parser, &nowhere, &limits);
	} else if (!body->parser.head) {
		http1_parser_init_trailers(&body->parser, body->trailers, &limits);
	}
	r = http1_parser_feed(&body->parser, data, len);
	enum http1_error error = body->parser.error;
	if (!body->trailers)
		body->parser = (struct http1_parser){0};
	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return fail(body, error);
	body->done = true;
	return r;
}

static int feed_chunked(struct http1_body *body, const char *data, size_t len,
			struct http1_body_part *part)
{
	size_t at = 0;
	while (at < len) {
		if (body->state == STATE_DATA) {
			if (part->data.len > 0) // one run of content a call
				break;
			size_t n = len - at < body->left ? len - at : (size_t)body->left;
			part->data = slice_make(data + at, n);
			at += n;
			http1_body_skip(body, n);
		} else if (body->state == STATE_TRAILERS) {
			ssize_t r = read_trailers(body, data + at, len - at);
			if (r > 0)
				at += (size_t)r;
			break;
		} else {
			body->error = step(body, data[at]);
			if (body->error != HTTP1_OK)
				break;
			at++;
		}
	}
	// Content before a fault is delivered all the same, so that cuts make no difference: the fault
	// comes with the next call.
	if (body->error != HTTP1_OK && part->data.len == 0)
		return -EBADMSG;
	part->consumed = at;
	return 0;
}

int http1_body_feed(struct http1_body *body, const void *data, size_t len,
		    struct http1_body_part *ret_part)
{
	struct http1_body_part part = {0};
	if (body->error != HTTP1_OK)
		return -EBADMSG;
	if (body->kind == HTTP1_FRAMING_CHUNKED) {
		if (!body->done && len > 0) {
			int r = feed_chunked(body, data, len, &part);
			if (r < 0)
				return r;
		}
	} else if (!body->done && len > 0) {
		part.consumed = len < body->left ? len : (size_t)body->left;
		part.data = slice_make(data, part.consumed);
		http1_body_skip(body, part.consumed);
	}
	part.done = body->done;
	*ret_part = part;
	return 0;
}

int http1_body_eof(struct http1_body *body)
{
	if (body->error != HTTP1_OK)
		return -EBADMSG;
	if (body->kind == HTTP1_FRAMING_UNTIL_CLOSE)
		body->done = true;
	return body->done ? 0 : fail(body, HTTP1_ERROR_TRUNCATED);
}

uint64_t http1_body_direct(const struct http1_body *body)
{
	if (body->done || body->error != HTTP1_OK)
		return 0;
	if (body->kind == HTTP1_FRAMING_CHUNKED && body->state != STATE_DATA)
		return 0;
	return body->left;
}

void http1_body_skip(struct http1_body *body, uint64_t n)
{
	assert(n <= http1_body_direct(body));
	body->received += n;
	if (body->kind == HTTP1_FRAMING_UNTIL_CLOSE)
		return;
	body->left -= n;
	if (body->left > 0)
		return;
	if (body->kind == HTTP1_FRAMING_CHUNKED)
		body->state = STATE_DATA_CR;
	else
		body->done = true;
}

size_t http1_chunk_write_head(char ret_text[HTTP1_CHUNK_HEAD_MAX], uint64_t size)
{
	assert(size > 0);
	unsigned digits = (67 - (unsigned)__builtin_clzll(size)) / 4;
	for (unsigned i = digits; i-- > 0; size >>= 4)
		ret_text[i] = "0123456789abcdef"[size & 15];
	ret_text[digits] = '\r';
	ret_text[digits + 1] = '\n';
	return digits + 2;
}

ssize_t http1_chunk_write_last(void *buffer, size_t capacity, const struct http_head *trailers)
{
	struct http1_output out = http1_output_make(buffer, capacity);
	http1_output_put(&out, SLICE("0\r\n"));
	for (const struct http_field *f = trailers ? trailers->fields : NULL;
	     trailers && f < http_head_end(trailers); f++) {
		if (!(http_field_flags((enum http_field_id)f->id) & HTTP_FIELD_NO_TRAILER) &&
		    http1_output_field_checked(&out, f->name, f->value) < 0)
			return -EINVAL;
	}
	http1_output_put(&out, SLICE("\r\n"));
	return http1_output_finish(&out, buffer);
}
