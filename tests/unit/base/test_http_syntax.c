// SPDX-License-Identifier: Apache-2.0
// The shared HTTP grammar: characters, skipping in steps, lists, numbers, authorities.
#include "base/http_syntax.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// after the ones that it needs
#include <cmocka.h>

static void characters(void **state)
{
	for (int c = 0; c < 256; c++) {
		bool alnum = c < 128 && isalnum(c);
		bool digit = c >= '0' && c <= '9';
		const struct {
			enum http_char what;
			bool is;
		} rows[] = {
			{HTTP_CHAR_TOKEN, c && (alnum || strchr("!#$%&'*+-.^_`|~", c))},
			{HTTP_CHAR_VALUE, c == '\t' || (c >= ' ' && c != 0x7f)},
			{HTTP_CHAR_TARGET, c > ' ' && c < 0x7f && c != '#'},
			{HTTP_CHAR_HOST, c && (alnum || strchr("-._~", c))},
			{HTTP_CHAR_DIGIT, digit},
			{HTTP_CHAR_HEX, digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')},
			{HTTP_CHAR_SPACE, c == ' ' || c == '\t'},
			{HTTP_CHAR_SCHEME, c && (alnum || strchr("+-.", c))}};
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			assert_int_equal(http_char_is((char)c, rows[i].what), rows[i].is);
	}
}

// Every byte at every place of runs of several lengths, in allocations of exactly that size.
static void skipping(void **state)
{
	for (size_t len = 1; len <= 40; len += 3) {
		char *text = malloc(len);
		assert_non_null(text);
		for (int c = 0; c < 256; c++) {
			for (size_t at = 0; at < len; at++) {
				memset(text, 'x', len);
				text[at] = (char)c;
				const char *stop = http_char_is((char)c, HTTP_CHAR_VALUE)
							   ? text + len
							   : text + at;
				assert_ptr_equal(http_skip_value(text, text + len), stop);
				stop = http_char_is((char)c, HTTP_CHAR_TARGET) ? text + len
									       : text + at;
				assert_ptr_equal(http_skip_target(text, text + len), stop);
			}
		}
		memset(text, '\t', len);
		assert_ptr_equal(http_skip_value(text, text + len), text + len);
		free(text);
	}
	assert_true(http_is_value(SLICE("")) && http_is_value(slice_make(NULL, 0)));
	assert_false(http_is_token(SLICE("")));
}

static void expect_list(struct slice rest, const char *const *members)
{
	struct slice member;
	while (http_list_next(&rest, &member)) {
		assert_non_null(*members);
		assert_true(slice_equal(member, slice_from_string(*members)));
		members++;
	}
	assert_null(*members);
	assert_false(http_list_next(&rest, &member));
}

static void lists(void **state)
{
	expect_list(SLICE(""), (const char *const[]){NULL});
	expect_list(slice_make(NULL, 0), (const char *const[]){NULL});
	expect_list(SLICE(" ,\t, "), (const char *const[]){NULL});
	expect_list(SLICE("a"), (const char *const[]){"a", NULL});
	expect_list(SLICE(", a ,\tb c,,d,"), (const char *const[]){"a", "b c", "d", NULL});
	expect_list(SLICE("a=\"b,\\\",c\", d"), (const char *const[]){"a=\"b,\\\",c\"", "d", NULL});
	expect_list(SLICE("\"a, b"), (const char *const[]){"\"a, b", NULL});
	expect_list(SLICE("\"a\\"), (const char *const[]){"\"a\\", NULL});
}

static void numbers(void **state)
{
	uint64_t n = 7;
	assert_int_equal(http_parse_number(SLICE("0"), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(http_parse_number(SLICE("9223372036854775807"), &n), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(http_parse_number(SLICE("9223372036854775808"), &n), -ERANGE);
	assert_int_equal(http_parse_number(SLICE("99999999999999999999999999"), &n), -ERANGE);
	assert_int_equal(http_parse_number(SLICE(""), &n), -EBADMSG);
	assert_int_equal(http_parse_number(SLICE("1 "), &n), -EBADMSG);
	assert_int_equal(http_parse_number(SLICE("99999999999999999999999999x"), &n), -EBADMSG);
	assert_true(n == INT64_MAX);
}

static void authorities(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *host, *kept;
		enum http_host_kind kind;
		uint16_t port;
	} rows[] = {{"a", 0, "a", "a", HTTP_HOST_NAME, 0},
		    {"A.b-c_d~:80", 0, "A.b-c_d~", "A.b-c_d~:80", HTTP_HOST_NAME, 80},
		    {"a:", 0, "a", "a", HTTP_HOST_NAME, 0},
		    {"a:00080", 0, "a", "a:00080", HTTP_HOST_NAME, 80},
		    {"127.0.0.1:65535", 0, "127.0.0.1", "127.0.0.1:65535", HTTP_HOST_IPV4, 65535},
		    {"127.1", 0, "127.1", "127.1", HTTP_HOST_NAME, 0},
		    {"1.2.3.256", 0, "1.2.3.256", "1.2.3.256", HTTP_HOST_NAME, 0},
		    {"[::1]", 0, "::1", "[::1]", HTTP_HOST_IPV6, 0},
		    {"[::ffff:1.2.3.4]:1", 0, "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:1",
		     HTTP_HOST_IPV6, 1},
		    {"[::1]:", 0, "::1", "[::1]", HTTP_HOST_IPV6, 0},
		    {.text = "", .result = -EBADMSG},
		    {.text = ":", .result = -EBADMSG},
		    {.text = ":80", .result = -EBADMSG},
		    {.text = "a:0", .result = -EBADMSG},
		    {.text = "a:65536", .result = -EBADMSG},
		    {.text = "a:-1", .result = -EBADMSG},
		    {.text = "a:8 0", .result = -EBADMSG},
		    {.text = "a:b", .result = -EBADMSG},
		    {.text = "a::80", .result = -EBADMSG},
		    {.text = "::1", .result = -EBADMSG},
		    {.text = "[::1", .result = -EBADMSG},
		    {.text = "[]", .result = -EBADMSG},
		    {.text = "[1.2.3.4]", .result = -EBADMSG},
		    {.text = "[fe80::1%1]", .result = -EBADMSG},
		    {.text = "[v1.x]", .result = -EBADMSG},
		    {.text = "[::1]80", .result = -EBADMSG},
		    {.text = "a b", .result = -EBADMSG},
		    {.text = "a/b", .result = -EBADMSG},
		    {.text = "a%41", .result = -EBADMSG},
		    {.text = "a\xc3\xa4", .result = -EBADMSG},
		    {.text = "a@b", .result = -EACCES},
		    {.text = "@", .result = -EACCES},
		    {.text = "a:b@c:80", .result = -EACCES},
		    {.text = "[::1]@c", .result = -EACCES},
		    {.text = "[::1@c", .result = -EACCES},
		    {.text = "a:80@c", .result = -EACCES}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_authority a;
		int r = http_authority_parse(slice_from_string(rows[i].text), &a);
		if (r != rows[i].result)
			print_message("authority: %s\n", rows[i].text);
		assert_int_equal(r, rows[i].result);
		if (r < 0)
			continue;
		assert_true(slice_equal(a.host, slice_from_string(rows[i].host)));
		assert_true(slice_equal(a.text, slice_from_string(rows[i].kept)));
		assert_int_equal(a.kind, rows[i].kind);
		assert_int_equal(a.port, rows[i].port);
	}
	char longest[256];
	struct http_authority a;
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(http_authority_parse(slice_make(longest, 255), &a), 0);
	assert_int_equal(http_authority_parse(slice_make(longest, 256), &a), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters),  cmocka_unit_test(skipping),
		cmocka_unit_test(lists),       cmocka_unit_test(numbers),
		cmocka_unit_test(authorities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
