// SPDX-License-Identifier: Apache-2.0
// What clients are told for each way that a request can end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/outcome.h"

static void test_every_reason_has_an_answer(void **state)
{
	for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++) {
		int status = outcome_http((enum close_reason)reason);
		enum socks5_reply reply = outcome_socks5((enum close_reason)reason);
		if (reason == CLOSE_NONE) {
			assert_int_equal(status, 200);
			assert_int_equal(reply, SOCKS5_REPLY_SUCCEEDED);
			continue;
		}
		assert_in_range(status, 400, 599);
		assert_int_not_equal(reply, SOCKS5_REPLY_SUCCEEDED);
		assert_int_equal(outcome_socks4((enum close_reason)reason), SOCKS4_REPLY_REJECTED);
	}
}

static void test_what_rfcs_and_clients_expect(void **state)
{
	static const struct {
		enum close_reason reason;
		enum socks5_reply socks5;
		int http;
	} rows[] = {
		{CLOSE_ACL_DENIED, SOCKS5_REPLY_NOT_ALLOWED, 403},
		{CLOSE_LOCAL_DESTINATION_DENIED, SOCKS5_REPLY_NOT_ALLOWED, 403},
		{CLOSE_AUTH_REQUIRED, SOCKS5_REPLY_NOT_ALLOWED, 407},
		{CLOSE_CONNECT_REFUSED, SOCKS5_REPLY_REFUSED, 502},
		{CLOSE_CONNECT_TIMEOUT, SOCKS5_REPLY_TTL_EXPIRED, 504},
		{CLOSE_RESOLVE_FAILED, SOCKS5_REPLY_HOST_UNREACHABLE, 502},
		{CLOSE_RATE_LIMITED, SOCKS5_REPLY_NOT_ALLOWED, 429},
		{CLOSE_NO_DESCRIPTORS, SOCKS5_REPLY_FAILURE, 503},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(outcome_socks5(rows[i].reason), rows[i].socks5);
		assert_int_equal(outcome_http(rows[i].reason), rows[i].http);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_reason_has_an_answer),
		cmocka_unit_test(test_what_rfcs_and_clients_expect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
