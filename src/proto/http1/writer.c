// SPDX-License-Identifier: Apache-2.0
// Writes the head of a request or response anew, as a forwarding proxy must.
#include "proto/http1/writer.h"

#include "base/http_syntax.h"
#include "proto/http1/output.h"

// The names that Connection lists and that it may have removed: those the code does not know.
struct listed {
	struct slice names[HTTP1_CONNECTION_OPTIONS];
	unsigned count;
};

static int read_listed(const struct http_head *head, struct listed *ret_listed)
{
	ret_listed->count = 0;
	for (const struct http_field *f = NULL;
	     (f = http_head_find_after(head, HTTP_FIELD_CONNECTION, f));) {
		struct slice rest = f->value, option;
		while (http_list_next(&rest, &option)) {
			if (slice_equal_nocase(option, SLICE("close")) ||
			    slice_equal_nocase(option, SLICE("keep-alive")) ||
			    http_field_lookup(option) != HTTP_FIELD_OTHER)
				continue;
			if (ret_listed->count == HTTP1_CONNECTION_OPTIONS)
				return -EINVAL; // no head from our parsers
			ret_listed->names[ret_listed->count++] = option;
		}
	}
	return 0;
}

static bool is_listed(const struct listed *listed, struct slice name)
{
	for (unsigned i = 0; i < listed->count; i++) {
		if (slice_equal_nocase(listed->names[i], name))
			return true;
	}
	return false;
}

static bool decreases_max_forwards(const struct http_head *head)
{
	return head->is_request &&
	       (head->method == HTTP_METHOD_TRACE || head->method == HTTP_METHOD_OPTIONS);
}

static int put_max_forwards(struct http1_output *out, const struct http_head *head)
{
	uint64_t count;
	if (http_head_max_forwards(head, &count) < 0)
		return -EINVAL;
	if (count == 0)
		return -ELOOP;
	http1_output_put(out, SLICE("Max-Forwards: "));
	http1_output_number(out, count - 1);
	http1_output_put(out, SLICE("\r\n"));
	return 0;
}

// The fields of the head that go on.
static int put_fields(struct http1_output *out, const struct http_head *head,
		      const struct http1_write_options *options)
{
	struct listed listed;
	int r = read_listed(head, &listed);
	for (const struct http_field *f = head->fields; r == 0 && f < http_head_end(head); f++) {
		switch (f->id) {
		case HTTP_FIELD_OTHER:
			if (listed.count == 0 || !is_listed(&listed, f->name))
				r = http1_output_field_checked(out, f->name, f->value);
			break;
		case HTTP_FIELD_HOST: // in a response it has no meaning
		case HTTP_FIELD_CONTENT_LENGTH:
			break;
		case HTTP_FIELD_TRAILER:
			if (options->framing.kind == HTTP1_FRAMING_CHUNKED)
				r = http1_output_field_checked(out, f->name, f->value);
			break;
		case HTTP_FIELD_UPGRADE:
			if (options->upgrade)
				r = http1_output_field_checked(out, f->name, f->value);
			break;
		case HTTP_FIELD_MAX_FORWARDS:
			if (decreases_max_forwards(head))
				r = put_max_forwards(out, head);
			else
				r = http1_output_field_checked(out, f->name, f->value);
			break;
		default:
			if (!(http_field_flags((enum http_field_id)f->id) & HTTP_FIELD_HOP))
				r = http1_output_field_checked(out, f->name, f->value);
		}
	}
	return r;
}

static void put_framing(struct http1_output *out, const struct http_head *head,
			const struct http1_framing *framing)
{
	uint64_t length = framing->length;
	switch (framing->kind) {
	case HTTP1_FRAMING_CHUNKED:
		http1_output_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
		return;
	case HTTP1_FRAMING_NONE:
		// What GET would have had (RFC 9110 8.6).
		if (head->is_request || head->status < 200 || head->status == 204 ||
		    http_head_content_length(head, &length) < 0)
			return;
		break;
	case HTTP1_FRAMING_LENGTH:
		break;
	default:
		return;
	}
	http1_output_put(out, SLICE("Content-Length: "));
	http1_output_number(out, length);
	http1_output_put(out, SLICE("\r\n"));
}

static void put_connection(struct http1_output *out, const struct http_head *head,
			   const struct http1_write_options *options)
{
	bool upgrade = options->upgrade && http_head_may_have(head, HTTP_FIELD_UPGRADE);
	bool te = head->is_request && http_head_may_have(head, HTTP_FIELD_TE) &&
		  http_head_has_token(head, HTTP_FIELD_TE, SLICE("trailers"));
	bool close = options->connection == HTTP1_CONNECTION_CLOSE ||
		     options->framing.kind == HTTP1_FRAMING_UNTIL_CLOSE;
	bool keep_alive = !close && options->connection == HTTP1_CONNECTION_KEEP_ALIVE;

	if (te)
		http1_output_put(out, SLICE("TE: trailers\r\n"));
	if (!upgrade && !te && !close && !keep_alive)
		return;
	http1_output_put(out, SLICE("Connection: "));
	struct slice separator = SLICE("");
	const struct {
		bool there;
		struct slice option;
	} all[] = {{close, SLICE("close")},
		   {keep_alive, SLICE("keep-alive")},
		   {upgrade, SLICE("upgrade")},
		   {te, SLICE("TE")}};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i].there)
			continue;
		http1_output_put(out, separator);
		http1_output_put(out, all[i].option);
		separator = SLICE(", ");
	}
	http1_output_put(out, SLICE("\r\n"));
}

// Via names the version that the message came in with.
static int put_via(struct http1_output *out, const struct http_head *head, struct slice pseudonym)
{
	if (!http_is_token(pseudonym))
		return -EINVAL;
	char version[4] = {(char)('0' + head->version / 10), '.', (char)('0' + head->version % 10),
			   ' '};
	http1_output_put(out, SLICE("Via: "));
	http1_output_put(out, head->version >= HTTP_VERSION_2 ? (struct slice){version, 1}
							      : (struct slice){version, 3});
	http1_output_put(out, SLICE(" "));
	http1_output_put(out, pseudonym);
	http1_output_put(out, SLICE("\r\n"));
	return 0;
}

// All that follows the first line, in requests and responses alike.
static ssize_t finish(struct http1_output *out, const void *buffer, const struct http_head *head,
		      const struct http1_write_options *options)
{
	int r = put_fields(out, head, options);
	if (r == 0 && options->via.len > 0)
		r = put_via(out, head, options->via);
	if (r == 0 && !head->is_request && options->date.len > 0 &&
	    !http_head_may_have(head, HTTP_FIELD_DATE))
		r = http1_output_field_checked(out, SLICE("Date"), options->date);
	for (size_t i = 0; r == 0 && i < options->extra_count; i++)
		r = http1_output_field_checked(out, options->extra[i].name,
					       options->extra[i].value);
	if (r < 0)
		return r;
	put_framing(out, head, &options->framing);
	put_connection(out, head, options);
	http1_output_put(out, SLICE("\r\n"));
	return http1_output_finish(out, buffer);
}

static bool is_target(struct slice text)
{
	return text.len > 0 &&
	       http_skip_target(text.data, text.data + text.len) == text.data + text.len;
}

static int put_target(struct http1_output *out, const struct http_head *head,
		      enum http_target_form form)
{
	bool whole_server = slice_equal(head->path, SLICE("*"));
	if (form == HTTP_TARGET_AUTHORITY) {
		http1_output_put(out, head->authority);
		return 0;
	}
	if (!is_target(head->path) ||
	    (head->path.data[0] != '/' && head->path.data[0] != '?' && !whole_server))
		return -EINVAL;
	if (form == HTTP_TARGET_ABSOLUTE) {
		http1_output_put(out, head->scheme.len > 0 ? head->scheme : SLICE("http"));
		http1_output_put(out, SLICE("://"));
		http1_output_put(out, head->authority);
		if (whole_server)
			return 0;
	}
	if (head->path.data[0] == '?')
		http1_output_put(out, SLICE("/"));
	http1_output_put(out, head->path);
	return 0;
}

ssize_t http1_write_request(void *buffer, size_t capacity, const struct http_head *head,
			    const struct http1_write_options *options)
{
	struct http1_output out = http1_output_make(buffer, capacity);
	struct http_authority authority;
	if (!http_is_token(head->method_name) ||
	    http_authority_parse(head->authority, &authority) < 0 ||
	    !http_chars_are(head->scheme, HTTP_CHAR_SCHEME))
		return -EINVAL;
	http1_output_put(&out, head->method_name);
	http1_output_put(&out, SLICE(" "));
	int r = put_target(&out, head, (enum http_target_form)options->target_form);
	if (r < 0)
		return r;
	http1_output_put(&out, SLICE(" HTTP/1.1\r\n"));
	http1_output_field(&out, SLICE("Host"), head->authority);
	return finish(&out, buffer, head, options);
}

ssize_t http1_write_response(void *buffer, size_t capacity, const struct http_head *head,
			     const struct http1_write_options *options)
{
	struct http1_output out = http1_output_make(buffer, capacity);
	if (head->status < 100 || head->status > 999 || !http_is_value(head->reason))
		return -EINVAL;
	http1_output_put(&out, SLICE("HTTP/1.1 "));
	http1_output_number(&out, head->status);
	http1_output_put(&out, SLICE(" "));
	http1_output_put(&out,
			 head->reason.len > 0 ? head->reason : http_status_reason(head->status));
	http1_output_put(&out, SLICE("\r\n"));
	return finish(&out, buffer, head, options);
}
