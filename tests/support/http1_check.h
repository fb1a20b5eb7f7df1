// SPDX-License-Identifier: Apache-2.0
// What the unit tests and fuzz targets of the HTTP/1.1 codec share: heads as text, and cuts.
//
// The bytes are shown from buffers of exactly their size, so that a sanitizer sees a read too far.
#pragma once

#include "proto/http1/parser.h"
#include "proto/http1/writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHECK_FIELDS = 16, CHECK_TEXT = 16384 };
static const struct http1_limits check_limits = {1024, 4096};

struct check_result {
	ssize_t consumed; // what http1_parser_feed gave at last
	bool began;
	char text[CHECK_TEXT]; // the head as text, "!NAME" for an error, "..." when incomplete
};

static inline void check_add(char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void check_add(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text + len, CHECK_TEXT - len, format, arguments);
	va_end(arguments);
}

#define CHECK_SLICE(s) (int)(s).len, (s).data ? (s).data : ""

static inline void check_add_fields(char *text, const struct http_head *head)
{
	for (const struct http_field *f = head->fields; f < http_head_end(head); f++)
		check_add(text, "|%.*s=%.*s", CHECK_SLICE(f->name), CHECK_SLICE(f->value));
}

static inline void check_add_framing(char *text, const struct http1_framing *framing)
{
	static const char *const kinds[] = {"none", "length", "chunked", "close", "tunnel"};
	check_add(text, " %s", kinds[framing->kind]);
	if (framing->kind == HTTP1_FRAMING_LENGTH)
		check_add(text, ":%llu", (unsigned long long)framing->length);
	check_add(text, framing->keep_alive ? " keep" : " end");
	if (framing->upgrade)
		check_add(text, " upgrade");
	if (framing->expect_continue)
		check_add(text, " expect");
	if (framing->te_trailers)
		check_add(text, " te");
}

static inline void check_render(char *text, const struct http_head *head,
				const struct http1_framing *framing)
{
	static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
	text[0] = '\0';
	if (head->is_request)
		check_add(text, "%.*s %s %.*s[%.*s]%.*s %u", CHECK_SLICE(head->method_name),
			  forms[head->target_form], CHECK_SLICE(head->scheme),
			  CHECK_SLICE(head->authority), CHECK_SLICE(head->path), head->version);
	else
		check_add(text, "%u %u (%.*s)", head->version, head->status,
			  CHECK_SLICE(head->reason));
	check_add_framing(text, framing);
	check_add_fields(text, head);
}

enum check_kind { CHECK_REQUEST, CHECK_RESPONSE };

// How much more of the input the next call shows: cut is the caller's, at most what is left.
typedef size_t check_cut(void *context, size_t left);

// Parses text, showing it bit by bit; each call gets a copy of its own, the last one is freed.
static inline void check_parse(enum check_kind kind, enum http_method method, const char *input,
			       size_t len, check_cut *cut, void *context, struct check_result *ret)
{
	struct http_field fields[CHECK_FIELDS];
	struct http_head head;
	struct http1_parser parser;
	char *copy = NULL;
	size_t shown = 0;

	http_head_init(&head, fields, CHECK_FIELDS);
	if (kind == CHECK_REQUEST)
		http1_parser_init_request(&parser, &head, &check_limits);
	else
		http1_parser_init_response(&parser, &head, &check_limits, method);
	ret->consumed = -EAGAIN;
	while (ret->consumed == -EAGAIN && shown < len) {
		shown += cut ? cut(context, len - shown) : len;
		char *fresh = malloc(shown);
		if (!fresh)
			abort();
		memcpy(fresh, input, shown);
		free(copy);
		copy = fresh;
		ret->consumed = http1_parser_feed(&parser, copy, shown);
	}
	ret->began = http1_parser_began(&parser);
	if (ret->consumed > 0)
		check_render(ret->text, &head, &parser.framing);
	else
		snprintf(ret->text, sizeof(ret->text), "%s%s",
			 ret->consumed == -EAGAIN ? "..." : "!",
			 ret->consumed == -EAGAIN ? "" : http1_error_name(parser.error));
	free(copy);
}

static inline size_t check_cut_one(void *context, size_t left)
{
	return 1;
}
