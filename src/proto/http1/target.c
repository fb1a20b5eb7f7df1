// SPDX-License-Identifier: Apache-2.0
// The target of a request and its Host field.
#include "proto/http1/target.h"

#include "base/http_syntax.h"

#include <errno.h>

static enum http1_error parse_absolute(struct http_head *head, struct slice target,
				       bool allow_https)
{
	const char *p = target.data, *end = p + target.len;
	while (p < end && http_char_is(*p, HTTP_CHAR_SCHEME))
		p++;
	if (p == target.data || (*target.data | 0x20) < 'a' || (*target.data | 0x20) > 'z' ||
	    end - p < 3 || memcmp(p, "://", 3) != 0)
		return HTTP1_ERROR_BAD_TARGET;
	struct slice scheme = slice_make(target.data, (size_t)(p - target.data));
	if (slice_equal_nocase(scheme, SLICE("http")))
		head->scheme = SLICE("http");
	else if (!slice_equal_nocase(scheme, SLICE("https")))
		return HTTP1_ERROR_SCHEME_UNSUPPORTED;
	else if (!allow_https)
		return HTTP1_ERROR_SCHEME_HTTPS;
	else
		head->scheme = SLICE("https");

	const char *authority = p += 3;
	while (p < end && *p != '/' && *p != '?')
		p++;
	struct http_authority parsed;
	int r = http_authority_parse(slice_make(authority, (size_t)(p - authority)), &parsed);
	if (r < 0)
		return r == -EACCES ? HTTP1_ERROR_USERINFO : HTTP1_ERROR_BAD_AUTHORITY;
	head->target_form = HTTP_TARGET_ABSOLUTE;
	head->authority = parsed.text;
	head->path = slice_make(p, (size_t)(end - p));
	if (p == end) // RFC 9112 3.2.4: for the server as a whole
		head->path = head->method == HTTP_METHOD_OPTIONS ? SLICE("*") : SLICE("/");
	return HTTP1_OK;
}

enum http1_error http1_target_parse(struct http_head *head, struct slice target, bool allow_https)
{
	if (target.len == 0)
		return HTTP1_ERROR_BAD_REQUEST_LINE;
	if (head->method == HTTP_METHOD_CONNECT) {
		struct http_authority parsed;
		int r = http_authority_parse(target, &parsed);
		if (r < 0)
			return r == -EACCES ? HTTP1_ERROR_USERINFO : HTTP1_ERROR_BAD_AUTHORITY;
		if (parsed.port == 0)
			return HTTP1_ERROR_NO_PORT;
		head->target_form = HTTP_TARGET_AUTHORITY;
		head->authority = parsed.text;
		return HTTP1_OK;
	}
	if (target.data[0] == '/') {
		head->target_form = HTTP_TARGET_ORIGIN;
		head->path = target;
		return HTTP1_OK;
	}
	if (slice_equal(target, SLICE("*"))) {
		if (head->method != HTTP_METHOD_OPTIONS)
			return HTTP1_ERROR_BAD_TARGET;
		head->target_form = HTTP_TARGET_ASTERISK;
		head->path = target;
		return HTTP1_OK;
	}
	return parse_absolute(head, target, allow_https);
}

enum http1_error http1_target_check_host(struct http_head *head)
{
	const struct http_field *host = http_head_find(head, HTTP_FIELD_HOST);
	if (!host)
		return head->version == HTTP_VERSION_1_0 ? HTTP1_OK : HTTP1_ERROR_NO_HOST;
	if (http_head_find_after(head, HTTP_FIELD_HOST, host))
		return HTTP1_ERROR_DUPLICATE_HOST;
	struct http_authority parsed;
	int r = http_authority_parse(host->value, &parsed);
	if (r < 0)
		return r == -EACCES ? HTTP1_ERROR_USERINFO : HTTP1_ERROR_BAD_HOST;
	if (head->authority.len == 0)
		head->authority = parsed.text;
	return HTTP1_OK;
}
