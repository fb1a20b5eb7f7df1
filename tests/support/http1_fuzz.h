// SPDX-License-Identifier: Apache-2.0
// What the HTTP/1.1 fuzz targets hold true of every input.
#pragma once

#include "../fuzz/fuzz_target.h"
#include "http1_check.h"

static inline size_t fuzz_cut_random(void *context, size_t left)
{
	uint32_t *state = context;
	*state = *state * 1103515245 + 12345;
	size_t n = 1 + (*state >> 16) % 24;
	return n < left ? n : left;
}

static inline void fuzz_same_however_cut(enum check_kind kind, enum http_method method,
					 const char *input, size_t len)
{
	static struct check_result whole, cut;
	uint32_t seed = (uint32_t)len;
	check_parse(kind, method, input, len, NULL, NULL, &whole);
	check_parse(kind, method, input, len, fuzz_cut_random, &seed, &cut);
	fuzz_require(cut.consumed == whole.consumed);
	fuzz_require(strcmp(cut.text, whole.text) == 0);
	if (len < 256) {
		check_parse(kind, method, input, len, check_cut_one, NULL, &cut);
		fuzz_require(cut.consumed == whole.consumed);
		fuzz_require(strcmp(cut.text, whole.text) == 0);
	}
}

static inline void fuzz_slice_is_clean(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		fuzz_require(s.data[i] == '\t' || (unsigned char)s.data[i] >= ' ');
}

// No line end and no other control anywhere.
static inline void fuzz_head_is_clean(const struct http_head *head)
{
	fuzz_slice_is_clean(head->method_name);
	fuzz_slice_is_clean(head->scheme);
	fuzz_slice_is_clean(head->authority);
	fuzz_slice_is_clean(head->path);
	fuzz_slice_is_clean(head->reason);
	for (const struct http_field *f = head->fields; f < http_head_end(head); f++) {
		fuzz_require(f->name.len > 0 && f->id == http_field_lookup(f->name));
		fuzz_slice_is_clean(f->name);
		fuzz_slice_is_clean(f->value);
		fuzz_require(http_head_may_have(head, (enum http_field_id)f->id));
	}
}

// The end-to-end fields as text, with what the writer makes anew left out on both sides.
static inline void fuzz_render_end_to_end(char *text, const struct http_head *head)
{
	text[0] = '\0';
	for (const struct http_field *f = head->fields; f < http_head_end(head); f++) {
		if (f->id == HTTP_FIELD_HOST || f->id == HTTP_FIELD_CONTENT_LENGTH ||
		    f->id == HTTP_FIELD_MAX_FORWARDS ||
		    http_field_flags((enum http_field_id)f->id) & HTTP_FIELD_HOP ||
		    (f->id == HTTP_FIELD_OTHER && !slice_equal_nocase(f->name, SLICE("close")) &&
		     http_head_connection_lists(head, f->name)))
			continue; // close is an option, not a name, and may be the writer's
		check_add(text, "|%.*s=%.*s", CHECK_SLICE(f->name), CHECK_SLICE(f->value));
	}
}

static inline void fuzz_written_means_the_same(const struct http_head *head,
					       enum http_method method,
					       const struct http1_write_options *options)
{
	static char out[32768], before[CHECK_TEXT], after[CHECK_TEXT];
	struct http_field fields[CHECK_FIELDS + 4];
	struct http_head again;
	struct http1_parser parser;
	const struct http1_limits wide = {16384, 32768};

	ssize_t len = head->is_request ? http1_write_request(out, sizeof(out), head, options)
				       : http1_write_response(out, sizeof(out), head, options);
	if (len < 0) {
		// an HTTP/1.0 request without a host, or the last proxy that Max-Forwards allows
		fuzz_require(len == -EINVAL || len == -ELOOP);
		fuzz_require(head->is_request &&
			     (head->authority.len == 0 ||
			      http_head_may_have(head, HTTP_FIELD_MAX_FORWARDS)));
		return;
	}
	http_head_init(&again, fields, CHECK_FIELDS + 4);
	if (head->is_request)
		http1_parser_init_request(&parser, &again, &wide);
	else
		http1_parser_init_response(&parser, &again, &wide, method);
	fuzz_require(http1_parser_feed(&parser, out, (size_t)len) == len);
	fuzz_require(slice_equal(again.method_name, head->method_name));
	fuzz_require(slice_equal(again.authority, head->authority));
	fuzz_require(again.status == head->status);
	fuzz_require(parser.framing.kind == options->framing.kind);
	fuzz_require(parser.framing.length == options->framing.length);
	fuzz_require(parser.framing.upgrade == options->framing.upgrade);
	if (head->is_request && head->path.len > 0) {
		size_t added = head->path.data[0] == '?'; // a "/" before it
		fuzz_require(again.path.len == head->path.len + added);
		fuzz_require(memcmp(again.path.data + added, head->path.data, head->path.len) == 0);
	}
	fuzz_render_end_to_end(before, head);
	fuzz_render_end_to_end(after, &again);
	fuzz_require(strcmp(before, after) == 0);
}
