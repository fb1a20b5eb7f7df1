// SPDX-License-Identifier: Apache-2.0
// Chunked content: the same however it is cut, and the same again when it is written and read.
#include "../support/http1_fuzz.h"
#include "proto/http1/body.h"

#include "fuzz_target.h"

enum { LARGEST = 1 << 13 };

struct outcome {
	enum http1_error error;
	bool done;
	size_t consumed, len;
	char content[LARGEST];
	char trailers[CHECK_TEXT];
};

static void read_all(const char *input, size_t size, check_cut *cut, uint32_t seed,
		     struct outcome *ret)
{
	const struct http1_body_limits limits = {32, 128, 2048};
	const struct http1_framing framing = {.kind = HTTP1_FRAMING_CHUNKED};
	struct http_field fields[CHECK_FIELDS];
	struct http_head trailers;
	struct http1_body body;
	size_t at = 0, shown = 0;
	char *copy = NULL;

	*ret = (struct outcome){0};
	http_head_init(&trailers, fields, CHECK_FIELDS);
	http1_body_init(&body, &framing, &limits, &trailers);
	while (shown < size && !body.done && body.error == HTTP1_OK) {
		shown += cut ? cut(&seed, size - shown) : size;
		free(copy);
		copy = malloc(shown - at);
		if (!copy)
			abort();
		memcpy(copy, input + at, shown - at);
		struct http1_body_part part = {.consumed = 1};
		for (size_t from = at; at < shown && part.consumed > 0 && !body.done;
		     at += part.consumed) {
			if (http1_body_feed(&body, copy + (at - from), shown - at, &part) < 0)
				break;
			fuzz_require(part.consumed <= shown - at && part.data.len <= part.consumed);
			fuzz_require(part.done == body.done);
			if (part.data.len > 0)
				memcpy(ret->content + ret->len, part.data.data, part.data.len);
			ret->len += part.data.len;
		}
	}
	fuzz_require(body.received == ret->len);
	ret->error = body.error;
	ret->done = body.done;
	ret->consumed = at;
	if (body.done) {
		fuzz_head_is_clean(&trailers);
		check_add_fields(ret->trailers, &trailers);
	}
	free(copy);
}

// As read_all gave it, in chunks of other sizes.
static size_t write_all(const struct outcome *outcome, char *ret_text)
{
	size_t len = 0;
	for (size_t at = 0, n; at < outcome->len; at += n) {
		n = 1 + at * 7 % 100;
		n = n < outcome->len - at ? n : outcome->len - at;
		len += http1_chunk_write_head(ret_text + len, n);
		memcpy(ret_text + len, outcome->content + at, n);
		len += n;
		memcpy(ret_text + len, "\r\n", 2);
		len += 2;
	}
	len += (size_t)http1_chunk_write_last(ret_text + len, 16, NULL);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, cut;
	static char text[8 * LARGEST];
	const char *input = (const char *)data;

	if (size > LARGEST)
		return 0;
	read_all(input, size, NULL, 0, &whole);
	read_all(input, size, fuzz_cut_random, (uint32_t)size, &cut);
	fuzz_require(cut.error == whole.error && cut.done == whole.done);
	fuzz_require(cut.len == whole.len && memcmp(cut.content, whole.content, cut.len) == 0);
	fuzz_require(strcmp(cut.trailers, whole.trailers) == 0);
	if (size < 256) {
		read_all(input, size, check_cut_one, 0, &cut);
		fuzz_require(cut.error == whole.error && cut.done == whole.done &&
			     cut.len == whole.len);
		fuzz_require(whole.error != HTTP1_OK || cut.consumed == whole.consumed);
	}
	if (!whole.done)
		return 0;
	size_t len = write_all(&whole, text);
	read_all(text, len, fuzz_cut_random, (uint32_t)size, &cut);
	fuzz_require(cut.done && cut.consumed == len);
	fuzz_require(cut.len == whole.len && memcmp(cut.content, whole.content, cut.len) == 0);
	return 0;
}
