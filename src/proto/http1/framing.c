// SPDX-License-Identifier: Apache-2.0
// How long a message's content is, and whether the connection outlives the message.
#include "proto/http1/framing.h"

#include "base/http_syntax.h"

#include <errno.h>

// Transfer-Encoding, member by member, empty ones included: a list that needs reading between the
// lines is a list that two readers understand differently.
static enum http1_error read_codings(const struct http_head *head, bool *ret_chunked)
{
	const struct http_field *f = http_head_find(head, HTTP_FIELD_TRANSFER_ENCODING);
	unsigned chunked = 0, others = 0, identities = 0;
	bool last_chunked = false;

	for (; f; f = http_head_find_after(head, HTTP_FIELD_TRANSFER_ENCODING, f)) {
		const char *p = f->value.data, *end = p + f->value.len;
		for (;;) {
			const char *comma = memchr(p, ',', (size_t)(end - p));
			struct slice coding =
				http_trim(slice_make(p, (size_t)((comma ? comma : end) - p)));
			if (!http_is_token(coding)) // empty, or with parameters
				return HTTP1_ERROR_BAD_CODING;
			last_chunked = slice_equal_nocase(coding, SLICE("chunked"));
			chunked += last_chunked;
			others += !last_chunked;
			identities += slice_equal_nocase(coding, SLICE("identity"));
			if (!comma)
				break;
			p = comma + 1;
		}
	}
	if (chunked > 1 || (chunked == 1 && !last_chunked))
		return HTTP1_ERROR_CODING_NOT_FINAL;
	if (!chunked && head->is_request)
		return HTTP1_ERROR_CODING_NOT_FINAL;
	// The content of other codings would reach a client that never said it can undo them.
	if (others > 0 && (chunked || others > 1 || identities != 1))
		return HTTP1_ERROR_CODING_UNSUPPORTED;
	*ret_chunked = chunked == 1;
	return HTTP1_OK;
}

static enum http1_error read_length(const struct http_head *head, uint64_t *ret_length)
{
	const struct http_field *f = http_head_find(head, HTTP_FIELD_CONTENT_LENGTH);
	if (http_head_find_after(head, HTTP_FIELD_CONTENT_LENGTH, f))
		return HTTP1_ERROR_DUPLICATE_LENGTH;
	if (http_parse_number(f->value, ret_length) == 0)
		return HTTP1_OK;
	return memchr(f->value.data, ',', f->value.len) ? HTTP1_ERROR_DUPLICATE_LENGTH
							: HTTP1_ERROR_BAD_LENGTH;
}

// The part that requests and responses share: NONE when neither field is there.
static enum http1_error read_framing(const struct http_head *head, struct http1_framing *framing)
{
	bool has_length = http_head_may_have(head, HTTP_FIELD_CONTENT_LENGTH);
	if (!http_head_may_have(head, HTTP_FIELD_TRANSFER_ENCODING)) {
		if (!has_length)
			return HTTP1_OK;
		framing->kind = HTTP1_FRAMING_LENGTH;
		return read_length(head, &framing->length);
	}
	if (has_length)
		return HTTP1_ERROR_LENGTH_AND_CODING;
	if (head->version == HTTP_VERSION_1_0)
		return HTTP1_ERROR_CODING_IN_1_0;
	bool chunked = false;
	enum http1_error error = read_codings(head, &chunked);
	framing->kind = chunked ? HTTP1_FRAMING_CHUNKED : HTTP1_FRAMING_UNTIL_CLOSE;
	return error;
}

static enum http1_error read_connection(const struct http_head *head, struct http1_framing *framing)
{
	bool close = false, keep_alive = false, upgrade = false;
	unsigned count = 0;

	for (const struct http_field *f = NULL;
	     (f = http_head_find_after(head, HTTP_FIELD_CONNECTION, f));) {
		struct slice rest = f->value, option;
		while (http_list_next(&rest, &option)) {
			// Each option is compared with each field when the head is written.
			if (++count > HTTP1_CONNECTION_OPTIONS)
				return HTTP1_ERROR_TOO_MANY_OPTIONS;
			close |= slice_equal_nocase(option, SLICE("close"));
			keep_alive |= slice_equal_nocase(option, SLICE("keep-alive"));
			upgrade |= slice_equal_nocase(option, SLICE("upgrade"));
		}
	}
	if (head->version == HTTP_VERSION_1_0) {
		bool as_proxy = head->is_request && head->target_form == HTTP_TARGET_ABSOLUTE;
		framing->keep_alive = keep_alive && !close && !as_proxy;
	} else {
		framing->keep_alive = !close;
		// Inside h2c there would be requests that no rule and no route has seen (RFC 9113 has given
		// it up).
		framing->upgrade = upgrade && http_head_may_have(head, HTTP_FIELD_UPGRADE) &&
				   !http_head_has_token(head, HTTP_FIELD_UPGRADE, SLICE("h2c"));
	}
	return HTTP1_OK;
}

enum http1_error http1_framing_of_request(const struct http_head *head,
					  struct http1_framing *ret_framing)
{
	struct http1_framing framing = {0};
	enum http1_error error = read_framing(head, &framing);
	if (error == HTTP1_OK)
		error = read_connection(head, &framing);
	if (error != HTTP1_OK)
		return error;
	bool content = framing.kind == HTTP1_FRAMING_CHUNKED || framing.length > 0;
	if (content && (head->method == HTTP_METHOD_CONNECT || head->method == HTTP_METHOD_TRACE))
		return HTTP1_ERROR_UNEXPECTED_CONTENT;
	if (head->version != HTTP_VERSION_1_0) {
		framing.expect_continue = content && http_head_has_token(head, HTTP_FIELD_EXPECT,
									 SLICE("100-continue"));
		framing.te_trailers = http_head_has_token(head, HTTP_FIELD_TE, SLICE("trailers"));
	}
	*ret_framing = framing;
	return HTTP1_OK;
}

enum http1_error http1_framing_of_response(const struct http_head *head,
					   enum http_method request_method,
					   struct http1_framing *ret_framing)
{
	struct http1_framing framing = {0};
	enum http1_error error = read_connection(head, &framing);
	if (error != HTTP1_OK)
		return error;
	if (head->status == 101 ||
	    (request_method == HTTP_METHOD_CONNECT && head->status / 100 == 2)) {
		framing.kind = HTTP1_FRAMING_TUNNEL;
		framing.keep_alive = false;
	} else if (head->status >= 200 && head->status != 204) {
		error = read_framing(head, &framing);
		if (error != HTTP1_OK)
			return error;
		if (request_method == HTTP_METHOD_HEAD || head->status == 304) {
			framing.kind = HTTP1_FRAMING_NONE;
			framing.length = 0;
		} else if (framing.kind == HTTP1_FRAMING_NONE) {
			framing.kind = HTTP1_FRAMING_UNTIL_CLOSE;
		}
		if (framing.kind == HTTP1_FRAMING_UNTIL_CLOSE)
			framing.keep_alive = false;
	}
	*ret_framing = framing;
	return HTTP1_OK;
}

int http1_framing_forward(const struct http1_framing *in, bool is_request, enum http_version peer,
			  struct http1_framing *ret_out)
{
	struct http1_framing out = *in;
	if (in->kind == HTTP1_FRAMING_CHUNKED || in->kind == HTTP1_FRAMING_UNTIL_CLOSE) {
		out.kind = HTTP1_FRAMING_CHUNKED;
		if (peer == HTTP_VERSION_1_0 && is_request)
			return -ENOTSUP;
		if (peer == HTTP_VERSION_1_0)
			out.kind = HTTP1_FRAMING_UNTIL_CLOSE;
	}
	*ret_out = out;
	return 0;
}
