// SPDX-License-Identifier: Apache-2.0
// By which address another is reached.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "io/route.h"

static void test_loopback(void **state)
{
	static const uint8_t one[16] = {[15] = 1};
	struct endpoint local, to = endpoint_v4(0x7f000102, 0);

	assert_int_equal(route_local(&to, &local), 0);
	assert_int_equal(local.family, AF_INET);
	assert_int_equal(local.port, 0);
	assert_true(endpoint_is_loopback(&local));
	to = endpoint_v6(one, 80, 0);
	if (route_local(&to, &local) < 0)
		skip(); // no IPv6 here
	assert_true(endpoint_same_ip(&local, &to));
	assert_int_equal(local.port, 0);
}

// What cannot be reached is an error, and writes nothing.
static void test_no_way(void **state)
{
	struct endpoint local = {.port = 7}, to = endpoint_v4(0xffffffff, 9);

	assert_true(route_local(&to, &local) < 0);
	assert_int_equal(local.port, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_no_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
