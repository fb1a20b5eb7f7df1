// SPDX-License-Identifier: Apache-2.0
// Tests of the close reasons' table.
#include "obs/close_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names_are_unique_labels(void **state)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		const char *name = close_reason_name(i);
		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(name));
		assert_true(strlen(close_reason_help(i)) > 10);
		assert_int_equal(close_reason_parse(name), i);
	}
	assert_int_equal(close_reason_parse("no_such"), -1);
	assert_string_equal(close_reason_name(CLOSE_REASON_COUNT), "invalid");
	assert_string_equal(close_reason_name((enum close_reason) - 1), "invalid");
}

static void classes_decide_what_is_abnormal(void **state)
{
	assert_int_equal(close_reason_class(CLOSE_CLIENT_EOF), CLOSE_CLASS_NORMAL);
	assert_int_equal(close_reason_class(CLOSE_ACL_DENIED), CLOSE_CLASS_POLICY);
	assert_string_equal(close_class_name(CLOSE_CLASS_LIMIT), "limit");
	assert_false(close_reason_abnormal(CLOSE_CLIENT_EOF));
	assert_false(close_reason_abnormal(CLOSE_DRAINED));
	assert_false(close_reason_abnormal(CLOSE_ADMIN_CLOSED));
	assert_true(close_reason_abnormal(CLOSE_CLIENT_RESET));
	assert_true(close_reason_abnormal(CLOSE_REVOKED));
	assert_true(close_reason_abnormal(CLOSE_INTERNAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique_labels),
		cmocka_unit_test(classes_decide_what_is_abnormal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
