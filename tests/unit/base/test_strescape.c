// SPDX-License-Identifier: Apache-2.0
// Escaping: every byte, UTF-8 right and wrong, every length of output.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/strescape.h"

static void assert_text(const char *in, size_t len, const char *expected)
{
	char out[256];
	assert_int_equal(strescape_text(out, sizeof(out), in, len), strlen(expected));
	assert_string_equal(out, expected);
}

static void assert_json(const char *in, size_t len, const char *expected)
{
	char out[256];
	assert_int_equal(strescape_json(out, sizeof(out), in, len), strlen(expected));
	assert_string_equal(out, expected);
}

#define S(s) (s), sizeof(s) - 1

static void text(void **state)
{
	assert_text(S(""), "");
	assert_text(S("plain ~ text"), "plain ~ text");
	assert_text(S("a\"b\\c"), "a\\\"b\\\\c");
	assert_text(S("\r\n\t\0\x1b[31m\x7f"), "\\r\\n\\t\\x00\\x1b[31m\\x7f");
	assert_text(S("\xc3\xa4\xff"), "\\xc3\\xa4\\xff");
	for (int c = 0; c < 256; c++) {
		char in = (char)c, out[8];
		size_t n = strescape_text(out, sizeof(out), &in, 1);
		assert_in_range(n, 1, 4);
		for (size_t i = 0; i < n; i++)
			assert_in_range(out[i], 0x20, 0x7e);
	}
}

static void json(void **state)
{
	assert_json(S(""), "");
	assert_json(S("a\"b\\c/"), "a\\\"b\\\\c/");
	assert_json(S("\r\n\t\0\x1b\x7f"), "\\r\\n\\t\\u0000\\u001b\\u007f");
	assert_json(S("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_json(S("\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xef\xbb\xbf"),
		    "\\u0085\\u2028\\u202e\\ufeff");
	// Not UTF-8: stray, cut short, over-long, surrogate, beyond Unicode.
	assert_json(S("\xff"), "\\ufffd");
	assert_json(S("\x80z"), "\\ufffdz");
	assert_json(S("\xc3"), "\\ufffd");
	assert_json(S("\xe2\x82z"), "\\ufffd\\ufffdz");
	assert_json(S("\xc0\xaf"), "\\ufffd\\ufffd");
	assert_json(S("\xe0\x80\xaf"), "\\ufffd\\ufffd\\ufffd");
	assert_json(S("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");
	assert_json(S("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd");
	assert_json(S("\xf5\x80\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd");
	assert_json(S("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
}

static void bounded(void **state)
{
	char out[16];
	assert_int_equal(strescape_text(NULL, 0, "abc", 3), 0);
	assert_int_equal(strescape_text(out, 1, "abc", 3), 0);
	assert_string_equal(out, "");
	assert_int_equal(strescape_text(out, 4, "abc", 3), 3); // fits exactly
	assert_string_equal(out, "abc");
	strescape_text(out, 4, "abcd", 4);
	assert_string_equal(out, "...");
	strescape_text(out, 3, "abcd", 4);
	assert_string_equal(out, "..");
	strescape_text(out, 8, "ab\n\ncd", 6);
	assert_string_equal(out, "ab\\n...");
	strescape_text(out, 10, "ab\xff\xff", 4);
	assert_string_equal(out, "ab\\xff..."); // not in the middle of an escape
	strescape_text(out, 8, "ab\xff\xff", 4);
	assert_string_equal(out, "ab...");
	strescape_json(out, 7, "a\xe2\x82\xac\xe2\x82\xac", 7);
	assert_string_equal(out, "a..."); // nor in the middle of a character
	strescape_json(out, 8, "a\xe2\x82\xac\xe2\x82\xac", 7);
	assert_string_equal(out, "a\xe2\x82\xac\xe2\x82\xac");
}

// Any bytes, any room: terminated, within it, a beginning of the whole escape.
static void random_bytes(void **state)
{
	struct rng r;
	rng_init(&r, 3);
	for (int i = 0; i < 20000; i++) {
		char in[40], whole[300], out[300];
		size_t len = (size_t)rng_below(&r, sizeof(in)),
		       cap = (size_t)rng_below(&r, 100) + 1;
		for (size_t k = 0; k < len; k++)
			in[k] = (char)rng_next(&r);
		bool as_json = rng_next(&r) & 1;
		size_t (*escape)(char *, size_t, const void *, size_t) =
			as_json ? strescape_json : strescape_text;
		size_t all = escape(whole, sizeof(whole), in, len);
		memset(out, 'Z', sizeof(out));
		size_t n = escape(out, cap, in, len);
		assert_true(n < cap);
		assert_int_equal(out[n], 0);
		assert_int_equal(strlen(out), n);
		assert_int_equal(out[cap], 'Z');
		if (all < cap)
			assert_string_equal(out, whole);
		else
			assert_memory_equal(out, whole, n > 3 ? n - 3 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(json),
		cmocka_unit_test(bounded),
		cmocka_unit_test(random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
