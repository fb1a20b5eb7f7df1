// SPDX-License-Identifier: Apache-2.0
// Content: lengths, chunks and trailers as they are read, however cut, and as they are written.
#include "proto/http1/body.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// after the ones that it needs
#include <cmocka.h>

static const struct http1_body_limits limits = {20, 50, 100};
static const struct http1_framing chunked = {.kind = HTTP1_FRAMING_CHUNKED};

struct outcome {
	char text
		[1024]; // the content, then "|name=value" for each trailer; "!FAULT"; with "..." when not done
	size_t consumed;
};

// Shows the input in pieces of at most `piece` new bytes, from exact copies; what is not consumed
// comes again.
static void run(const struct http1_framing *framing, const char *input, size_t len, size_t piece,
		bool want_trailers, struct outcome *ret)
{
	struct http_field fields[4];
	struct http_head trailers;
	struct http1_body body;
	struct http1_body_part part = {0};
	size_t at = 0, shown = 0, text_len = 0;
	char *copy = NULL;

	http_head_init(&trailers, fields, 4);
	http1_body_init(&body, framing, &limits, want_trailers ? &trailers : NULL);
	part.done = body.done;
	while (!part.done) {
		size_t n = len - shown < piece ? len - shown : piece;
		if (n == 0)
			break;
		shown += n;
		free(copy);
		copy = malloc(shown - at);
		assert_non_null(copy);
		memcpy(copy, input + at, shown - at);
		size_t offset = 0;
		do {
			if (http1_body_feed(&body, copy + offset, shown - at, &part) < 0) {
				snprintf(ret->text, sizeof(ret->text), "!%s",
					 http1_error_name(body.error));
				assert_int_equal(http1_body_feed(&body, "x", 1, &part), -EBADMSG);
				assert_int_equal(http1_body_eof(&body), -EBADMSG);
				assert_int_equal(http1_body_direct(&body), 0);
				free(copy);
				return;
			}
			assert_true(part.data.len <= part.consumed);
			memcpy(ret->text + text_len, part.data.data ? part.data.data : "",
			       part.data.len);
			text_len += part.data.len;
			offset += part.consumed;
			at += part.consumed;
		} while (part.consumed > 0 && !part.done && shown > at);
	}
	assert_int_equal(body.received, text_len);
	ret->consumed = at;
	ret->text[text_len] = '\0';
	for (const struct http_field *f = fields;
	     want_trailers && body.done && f < http_head_end(&trailers); f++)
		text_len += (size_t)snprintf(ret->text + text_len, sizeof(ret->text) - text_len,
					     "|%.*s=%.*s", (int)f->name.len, f->name.data,
					     (int)f->value.len, f->value.data);
	if (!part.done) {
		snprintf(ret->text + text_len, sizeof(ret->text) - text_len, "...");
		assert_int_equal(http1_body_eof(&body),
				 framing->kind == HTTP1_FRAMING_UNTIL_CLOSE ? 0 : -EBADMSG);
	}
	free(copy);
}

static void expect_bytes(const struct http1_framing *framing, const char *input, size_t len,
			 const char *expected)
{
	static struct outcome outcome;
	for (size_t piece = 1; piece <= len + 1; piece++) {
		run(framing, input, len, piece, true, &outcome);
		if (strcmp(outcome.text, expected) != 0)
			print_message("input: %s, in pieces of %zu\n", input, piece);
		assert_string_equal(outcome.text, expected);
		if (expected[0] != '!' && !strstr(expected, "...")) {
			assert_int_equal(outcome.consumed, len);
			char followed[1024];
			memcpy(followed, input, len);
			memcpy(followed + len, "GET / HTTP/1.1\r\n", 16);
			run(framing, followed, len + 16, len + 16, true, &outcome);
			assert_string_equal(outcome.text, expected);
			assert_int_equal(outcome.consumed, len);
		}
	}
}

static void expect(const char *input, const char *expected)
{
	expect_bytes(&chunked, input, strlen(input), expected);
}

static void chunks_are_read(void **state)
{
	expect("0\r\n\r\n", "");
	expect("5\r\nhello\r\n0\r\n\r\n", "hello");
	expect("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world");
	expect("A\r\n0123456789\r\nb\r\n0123456789a\r\n00\r\n\r\n", "01234567890123456789a");
	expect("000000000000005\r\nhello\r\n0\r\n\r\n", "hello");
	expect("2\r\n\r\n\r\n0\r\n\r\n", "\r\n");
	expect("3\r\nabc\r\n", "abc...");
	expect("3\r\nab", "ab...");
	expect("3\r\nabc\r\n0\r\n", "abc...");
	expect("3\r\nabc\r\n0\r\n\r", "abc...");
}

static void chunk_faults(void **state)
{
	expect("\r\n", "!BAD_CHUNK_SIZE");
	expect("x\r\n", "!BAD_CHUNK_SIZE");
	expect("0x5\r\nhello\r\n", "!BAD_CHUNK_SIZE");
	expect("-1\r\n", "!BAD_CHUNK_SIZE");
	expect("+5\r\nhello\r\n", "!BAD_CHUNK_SIZE");
	expect(" 5\r\nhello\r\n", "!BAD_CHUNK_SIZE");
	expect("5g\r\nhello\r\n", "!BAD_CHUNK_SIZE");
	expect("5\nhello\n0\n\n", "!BAD_CHUNK_SIZE");
	expect("5\r\r\nhello", "!BARE_CR");
	expect("5\rhello", "!BARE_CR");
	expect("5 \r\nhello\r\n", "!BAD_CHUNK_EXTENSION");
	expect("5 5\r\nhello\r\n", "!BAD_CHUNK_EXTENSION");
	expect("5,5\r\nhello\r\n", "!BAD_CHUNK_SIZE");
	expect("ffffffffffffffff\r\n", "!CHUNK_TOO_LARGE");
	expect("10000000000000005\r\nhello\r\n", "!CHUNK_TOO_LARGE");
	expect("0000000000000005\r\nhello\r\n", "!CHUNK_TOO_LARGE");
	expect("5\r\nhelloX\r\n", "!BAD_CHUNK_END");
	expect("5\r\nhello\n0\r\n\r\n", "!BAD_CHUNK_END");
	expect("5\r\nhello\rX", "!BAD_CHUNK_END");
	expect("5\r\nhello0\r\n\r\n", "!BAD_CHUNK_END");
	expect("0\n\n", "!BAD_CHUNK_SIZE");
	expect("0\r\n\n", "!BARE_LF");
	expect("0\r\n\rX\r\n\r\n", "!BARE_CR");
	expect("0\r\nGET / HTTP/1.1\r\n\r\n", "!NO_COLON");
}

static void chunk_extensions(void **state)
{
	expect("5;a\r\nhello\r\n0\r\n\r\n", "hello");
	expect("5;a=b;c=\"d e;\"\r\nhello\r\n0;x\r\n\r\n", "hello");
	expect("5 \t; a = b \r\nhello\r\n0\r\n\r\n", "hello");
	expect("5;a\nX\r\nhello\r\n", "!BAD_CHUNK_EXTENSION");
	expect("5;a\rX\r\nhello\r\n", "!BARE_CR");
	expect("5;a\x01\r\nhello\r\n", "!BAD_CHUNK_EXTENSION");
	expect("1;123456789012345678\r\nx\r\n0\r\n\r\n", "x");
	expect("1;1234567890123456789\r\nx\r\n0\r\n\r\n", "x");
	expect("1;12345678901234567890\r\nx\r\n0\r\n\r\n", "!CHUNK_EXTENSION_TOO_LONG");
	expect("1                     ;\r\nx\r\n0\r\n\r\n", "!CHUNK_EXTENSION_TOO_LONG");
	// each is short enough, but not all together
	expect("1;1234567890123456789\r\nx\r\n1;1234567890123456789\r\nx\r\n1;"
	       "1234567890\r\nx\r\n0\r\n\r\n",
	       "!CHUNK_EXTENSION_TOO_LONG");
	static const char nul[] = "1;\0\r\nx\r\n";
	expect_bytes(&chunked, nul, sizeof(nul) - 1, "!BAD_CHUNK_EXTENSION");
}

static void trailers_are_read(void **state)
{
	expect("1\r\nx\r\n0\r\nA: b\r\nGrpc-Status:  0 \r\n\r\n", "x|A=b|Grpc-Status=0");
	// framing, routing, authentication and the like do not count there
	expect("0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nA: "
	       "b\r\nAuthorization: x\r\n"
	       "Set-Cookie: c\r\n\r\n",
	       "|A=b");
	expect("0\r\nA : b\r\n\r\n", "!SPACE_BEFORE_COLON");
	expect("0\r\n A: b\r\n\r\n", "!FOLDED_LINE");
	expect("0\r\nA: b\n\r\n", "!BARE_LF");
	expect("0\r\nA: \x01\r\n\r\n", "!BAD_VALUE");
	expect("0\r\n: b\r\n\r\n", "!EMPTY_NAME");
	expect("0\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n\r\n", "!TRAILER_TOO_LARGE");
	char text[256];
	for (int over = 0; over <= 1; over++) {
		char expected[256];
		snprintf(text, sizeof(text), "0\r\nA: %0*d\r\n\r\n", 100 - 7 + over, 0);
		snprintf(expected, sizeof(expected), "|A=%0*d", 100 - 7, 0);
		expect(text, over ? "!TRAILER_TOO_LARGE" : expected);
	}
	static struct outcome outcome;
	for (size_t piece = 1; piece < 40; piece++) {
		run(&chunked, "1\r\nx\r\n0\r\nA: b\r\nB: c\r\n\r\n", 23, piece, false, &outcome);
		assert_string_equal(outcome.text, "x");
		assert_int_equal(outcome.consumed, 23);
		run(&chunked, "0\r\nA : b\r\n\r\n", 12, piece, false, &outcome);
		assert_string_equal(outcome.text, "!SPACE_BEFORE_COLON");
	}
}

static void lengths_and_closes(void **state)
{
	struct http1_framing framing = {.kind = HTTP1_FRAMING_LENGTH, .length = 5};
	expect_bytes(&framing, "hello", 5, "hello");
	expect_bytes(&framing, "hell", 4, "hell...");
	framing.length = 0;
	expect_bytes(&framing, "", 0, "");
	framing.kind = HTTP1_FRAMING_NONE;
	expect_bytes(&framing, "", 0, "");
	framing.kind = HTTP1_FRAMING_TUNNEL;
	expect_bytes(&framing, "", 0, "");
	framing.kind = HTTP1_FRAMING_UNTIL_CLOSE;
	expect_bytes(&framing, "hello", 5, "hello...");
}

static void content_may_be_moved_past_the_reader(void **state)
{
	struct http1_body body;
	struct http1_body_part part;
	struct http1_framing framing = {.kind = HTTP1_FRAMING_LENGTH, .length = 1000};
	http1_body_init(&body, &framing, &limits, NULL);
	assert_int_equal(http1_body_direct(&body), 1000);
	assert_int_equal(http1_body_feed(&body, "abc", 3, &part), 0);
	http1_body_skip(&body, 900);
	assert_int_equal(http1_body_direct(&body), 97);
	assert_false(body.done);
	http1_body_skip(&body, 97);
	assert_true(body.done);
	assert_int_equal(http1_body_direct(&body), 0);
	assert_int_equal(body.received, 1000);

	http1_body_init(&body, &chunked, &limits, NULL);
	assert_int_equal(http1_body_direct(&body), 0);
	assert_int_equal(http1_body_feed(&body, "100\r\nabc", 8, &part), 0);
	assert_int_equal(http1_body_direct(&body), 253);
	http1_body_skip(&body, 253);
	assert_int_equal(http1_body_direct(&body), 0);
	assert_int_equal(http1_body_feed(&body, "\r\n0\r\n\r\n", 7, &part), 0);
	assert_true(part.done);

	framing.kind = HTTP1_FRAMING_UNTIL_CLOSE;
	http1_body_init(&body, &framing, &limits, NULL);
	assert_true(http1_body_direct(&body) == UINT64_MAX);
	http1_body_skip(&body, 1 << 20);
	assert_true(http1_body_direct(&body) == UINT64_MAX);
	assert_int_equal(http1_body_eof(&body), 0);
	assert_true(body.done);
	assert_int_equal(http1_body_direct(&body), 0);
}

static void chunks_are_written(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {{1, "1\r\n"},
		    {15, "f\r\n"},
		    {16, "10\r\n"},
		    {255, "ff\r\n"},
		    {4096, "1000\r\n"},
		    {UINT64_C(0x123456789abcdef), "123456789abcdef\r\n"},
		    {UINT64_MAX, "ffffffffffffffff\r\n"}};
	char text[HTTP1_CHUNK_HEAD_MAX];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = http1_chunk_write_head(text, rows[i].size);
		assert_int_equal(len, strlen(rows[i].text));
		assert_memory_equal(text, rows[i].text, len);
	}
	char last[64];
	assert_int_equal(http1_chunk_write_last(last, sizeof(last), NULL), 5);
	assert_memory_equal(last, "0\r\n\r\n", 5);
	assert_int_equal(http1_chunk_write_last(last, 4, NULL), -ENOBUFS);

	struct http_field fields[3];
	struct http_head trailers;
	http_head_init(&trailers, fields, 3);
	assert_int_equal(http_head_append_name(&trailers, SLICE("A"), SLICE("b")), 0);
	assert_int_equal(http_head_append(&trailers, HTTP_FIELD_CONTENT_LENGTH, SLICE("5")), 0);
	static const char expected[] = "0\r\nA: b\r\n\r\n";
	assert_int_equal(http1_chunk_write_last(last, sizeof(last), &trailers),
			 sizeof(expected) - 1);
	assert_memory_equal(last, expected, sizeof(expected) - 1);
	for (size_t capacity = 0; capacity < sizeof(expected) - 1; capacity++)
		assert_int_equal(http1_chunk_write_last(last, capacity, &trailers), -ENOBUFS);
	fields[0].value = SLICE("b\r\nc: d");
	assert_int_equal(http1_chunk_write_last(last, sizeof(last), &trailers), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_read),
		cmocka_unit_test(chunk_faults),
		cmocka_unit_test(chunk_extensions),
		cmocka_unit_test(trailers_are_read),
		cmocka_unit_test(lengths_and_closes),
		cmocka_unit_test(content_may_be_moved_past_the_reader),
		cmocka_unit_test(chunks_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
