// SPDX-License-Identifier: Apache-2.0
// Basic credentials: what is taken, and everything that is not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "front/basic.h"

static void test_good(void **state)
{
	static const struct {
		const char *value, *user, *password;
	} rows[] = {
		{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"}, // RFC 7617, 2
		{"basic YTpi", "a", "b"},
		{"BASIC  YTpi", "a", "b"},
		{"Basic YTpiOmM=", "a", "b:c"},
		{"Basic YTpiOmM", "a", "b:c"}, // some clients leave the padding out
		{"Basic Og==", "", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct basic basic;
		assert_int_equal(basic_parse(slice_from_string(rows[i].value), &basic), 0);
		assert_int_equal(basic.user_len, strlen(rows[i].user));
		assert_memory_equal(basic.user, rows[i].user, basic.user_len);
		assert_int_equal(basic.password_len, strlen(rows[i].password));
		assert_memory_equal(basic.password, rows[i].password, basic.password_len);
		basic_wipe(&basic);
		for (size_t b = 0; b < sizeof(basic.text); b++)
			assert_int_equal(basic.text[b], 0);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		"",           "Basic",       "Basic ",      "Bearer YTpi",     "BasicYTpi",
		"Basic YWI=", "Basic YTpi!", "Basic YT pi", "Basic YTpi YTpi", "Basic ====",
	};
	char longest[1200] = "Basic ";
	struct basic basic;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(basic_parse(slice_from_string(rows[i]), &basic), -EINVAL);
	memset(longest + 6, 'Y', sizeof(longest) - 7);
	assert_int_equal(basic_parse(slice_from_string(longest), &basic), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
