// SPDX-License-Identifier: Apache-2.0
// Tests of appending and escaping text.
#include "obs/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is(struct text *t, const char *want)
{
	assert_false(t->failed);
	assert_int_equal(t->len, strlen(want));
	assert_memory_equal(t->data, want, t->len);
	text_truncate(t, 0);
}

static void numbers(void **state)
{
	struct text t;

	text_init(&t, 0);
	text_uint(&t, 0);
	text_char(&t, ' ');
	text_uint(&t, UINT64_MAX);
	is(&t, "0 18446744073709551615");
	text_int(&t, INT64_MIN);
	text_int(&t, -1);
	text_int(&t, 7);
	is(&t, "-9223372036854775808-17");
	text_hex(&t, 0, 1);
	text_char(&t, ' ');
	text_hex(&t, 0xabc, 8);
	text_char(&t, ' ');
	text_hex(&t, UINT64_MAX, 4);
	is(&t, "0 00000abc ffffffffffffffff");
	text_decimal(&t, 1500000, 9);
	text_char(&t, ' ');
	text_decimal(&t, 0, 9);
	text_char(&t, ' ');
	text_decimal(&t, 3000000000, 9);
	text_char(&t, ' ');
	text_decimal(&t, UINT64_MAX, 9);
	is(&t, "0.0015 0 3 18446744073.709551615");
	text_printf(&t, "%s-%d", "a", 5);
	is(&t, "a-5");
	text_printf(&t, "%0500d", 1);
	assert_int_equal(t.len, 500);
	text_release(&t);
}

static void growing_stops_at_its_limit_with_whole_appends(void **state)
{
	struct text t;

	text_init(&t, 3000);
	for (int i = 0; i < 1000; i++)
		text_str(&t, "0123456");
	assert_true(t.failed);
	assert_int_equal(t.len, 3000 / 7 * 7);
	text_release(&t);
}

static void fixed_keeps_what_fits(void **state)
{
	char room[8];
	struct text t;

	text_init_fixed(&t, room, sizeof room);
	text_str(&t, "12345");
	text_str(&t, "6789");
	assert_true(t.failed);
	assert_int_equal(t.len, 5);
	text_char(&t, 'x'); // would fit, but order matters
	assert_int_equal(t.len, 5);
	text_truncate(&t, 5);
	text_str(&t, "678");
	is(&t, "12345678");
	text_printf(&t, "%s", "123456789");
	assert_true(t.failed);
}

struct escape_case {
	const char *in;
	size_t len;
	const char *value; // text_value
	const char *json;
};
#define CASE(in, value, json)                                                                      \
	{                                                                                          \
		in, sizeof(in) - 1, value, json                                                    \
	}

static void peers_bytes_are_made_harmless(void **state)
{
	static const struct escape_case cases[] = {
		CASE("plain.example-1:80/x", "plain.example-1:80/x", "plain.example-1:80/x"),
		CASE("", "\"\"", ""),
		CASE("two words", "\"two words\"", "two words"),
		CASE("a=b", "\"a=b\"", "a=b"),
		CASE("say \"hi\"", "\"say \\\"hi\\\"\"", "say \\\"hi\\\""),
		CASE("back\\slash", "\"back\\\\slash\"", "back\\\\slash"),
		CASE("x\r\n2026-01-01 fake", "\"x\\r\\n2026-01-01 fake\"",
		     "x\\r\\n2026-01-01 fake"),
		CASE("\033[2J\033]0;own\007", "\"\\x1b[2J\\x1b]0;own\\x07\"",
		     "\\u001b[2J\\u001b]0;own\\u0007"),
		CASE("\0nul", "\"\\x00nul\"", "\\u0000nul"),
		CASE("\x7f", "\"\\x7f\"", "\\u007f"),
		CASE("\xc2\x9b"
		     "31m",
		     "\"\\xc2\\x9b31m\"", "\\u009b31m"), // C1 CSI
		CASE("\xc3\xa4", "\"\\xc3\\xa4\"", "\xc3\xa4"),
		CASE("\xff\xfe", "\"\\xff\\xfe\"", "\\ufffd\\ufffd"),
		CASE("\xc0\xaf", "\"\\xc0\\xaf\"", "\\ufffd\\ufffd"), // overlong
		CASE("\xe2\x80\xae"
		     "x",
		     "\"\\xe2\\x80\\xaex\"", "\\u202ex"),               // right-to-left
		CASE("\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"", "\\u2028"), // line separator
	};
	struct text t;

	text_init(&t, 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		text_value(&t, cases[i].in, cases[i].len, 100);
		is(&t, cases[i].value);
		text_json(&t, cases[i].in, cases[i].len, 100);
		is(&t, cases[i].json);
	}
	text_release(&t);
}

static void long_values_are_cut(void **state)
{
	char in[10000];
	struct text t;

	memset(in, 'a', sizeof in);
	text_init(&t, 0);
	text_value(&t, in, sizeof in, 10);
	is(&t, "\"aaaaaaa...\"");
	text_json(&t, in, sizeof in, 10);
	is(&t, "aaaaaaa...");
	text_json(&t, in, 10, 10);
	is(&t, "aaaaaaaaaa");
	text_json(&t, in, sizeof in, SIZE_MAX);
	assert_int_equal(t.len, TEXT_ESCAPE_MAX);
	text_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(growing_stops_at_its_limit_with_whole_appends),
		cmocka_unit_test(fixed_keeps_what_fits),
		cmocka_unit_test(peers_bytes_are_made_harmless),
		cmocka_unit_test(long_values_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
