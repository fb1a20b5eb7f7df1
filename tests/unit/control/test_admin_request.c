// SPDX-License-Identifier: Apache-2.0
// The admin API's query parameters, and the table of who may ask.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "control/admin_request.h"
#include "snap/settings.h"

static struct admin_request request_of(const char *query)
{
	return (struct admin_request){.query = slice_from_string(query)};
}

static void parameters_are_found(void **state)
{
	static const struct {
		const char *query, *name;
		int result;
		const char *value;
	} cases[] = {
		{"", "user", -ENOENT, NULL},
		{"user=alice", "user", 5, "alice"},
		{"limit=5&user=alice", "user", 5, "alice"},
		{"users=x&user=alice", "user", 5, "alice"},
		{"use=x", "user", -ENOENT, NULL},
		{"user", "user", 0, ""},
		{"user=", "user", 0, ""},
		{"&&user=a&&", "user", 1, "a"},
		{"user=a&user=b", "user", 1, "a"},
		{"user=a%20b+c", "user", 5, "a b c"},
		{"user=%c3%A9", "user", 2, "\xc3\xa9"},
		{"user=a=b", "user", 3, "a=b"},
		{"%75ser=a", "user", -ENOENT, NULL}, // names are plain
		{"user=%", "user", -EINVAL, NULL},
		{"user=%4", "user", -EINVAL, NULL},
		{"user=%4&x=1", "user", -EINVAL, NULL},
		{"user=%zz", "user", -EINVAL, NULL},
		{"user=a%00b", "user", -EINVAL, NULL},
		{"user=1234567", "user", 7, "1234567"},
		{"user=12345678", "user", -EINVAL, NULL}, // does not fit
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct admin_request request = request_of(cases[i].query);
		char value[8] = "before";
		int r = admin_query(&request, cases[i].name, value, sizeof(value));
		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].query, r);
		if (r >= 0)
			assert_string_equal(value, cases[i].value);
	}
}

static void numbers_are_strict(void **state)
{
	static const struct {
		const char *query;
		int result;
		unsigned long value;
	} cases[] = {
		{"", 0, 7},
		{"limit=12", 0, 12},
		{"limit=0", 0, 0},
		{"limit=", -EINVAL, 0},
		{"limit", -EINVAL, 0},
		{"limit=-1", -EINVAL, 0},
		{"limit=+1", -EINVAL, 0},
		{"limit= 1", -EINVAL, 0},
		{"limit=1x", -EINVAL, 0},
		{"limit=0x10", -EINVAL, 0},
		{"limit=99999999999999999999", -EINVAL, 0},
		{"limit=000000000000000000000000000001", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct admin_request request = request_of(cases[i].query);
		unsigned long value = 99;
		int r = admin_query_number(&request, "limit", 7, &value);
		if (r != cases[i].result || value != (r < 0 ? 99 : cases[i].value))
			fail_msg("%s: %d, %lu", cases[i].query, r, value);
	}
}

struct visit {
	const char *host, *origin, *site;
	bool allowed;
};

static void check_visits(const struct snap_admin *admin, const char *bound,
			 const struct visit *visits, size_t count)
{
	struct endpoint endpoint;

	assert_int_equal(endpoint_parse(bound, strlen(bound), 0, &endpoint), 0);
	for (size_t i = 0; i < count; i++) {
		struct http_field fields[4];
		struct http_head head;
		http_head_init(&head, fields, 4);
		head.authority = slice_from_string(visits[i].host);
		if (visits[i].origin)
			assert_int_equal(http_head_append(&head, HTTP_FIELD_ORIGIN,
							  slice_from_string(visits[i].origin)),
					 0);
		if (visits[i].site)
			assert_int_equal(http_head_append_name(&head, SLICE("Sec-Fetch-Site"),
							       slice_from_string(visits[i].site)),
					 0);
		const char *why = admin_guard(admin, &endpoint, &head);
		if (!why != visits[i].allowed)
			fail_msg("%s, %s, %s: %s", visits[i].host,
				 visits[i].origin ? visits[i].origin : "-",
				 visits[i].site ? visits[i].site : "-", why ? why : "allowed");
	}
}

#define CHECK(admin, bound, visits)                                                                \
	check_visits(admin, bound, visits, sizeof(visits) / sizeof((visits)[0]))

static void guard_on_loopback(void **state)
{
	static const char *const hosts[] = {"proxy.internal"};
	const struct snap_admin admin = {.enabled = true, .hosts = hosts, .host_count = 1};
	static const struct visit visits[] = {
		{"127.0.0.1:9901", NULL, NULL, true},
		{"127.0.0.2:9901", NULL, NULL, true},
		{"[::1]:9901", NULL, NULL, true},
		{"localhost:9901", NULL, NULL, true},
		{"LOCALHOST:9901", NULL, NULL, true},
		{"proxy.internal:9901", NULL, NULL, true},
		{"Proxy.Internal.:9901", NULL, NULL, true},
		// Rebinding: a name of somebody else that leads here.
		{"evil.example:9901", NULL, NULL, false},
		{"localhost.evil.example:9901", NULL, NULL, false},
		{"proxy.internal.evil.example:9901", NULL, NULL, false},
		{"127.0.0.1.nip.io:9901", NULL, NULL, false},
		{"evil.example", NULL, NULL, false},
		{"192.0.2.1:9901", NULL, NULL, false},
		{"2130706433:9901", NULL, NULL, false},
		{"0.0.0.0:9901", NULL, NULL, false},
		{"127.0.0.1:9902", NULL, NULL, false},
		{"127.0.0.1", NULL, NULL, false},
		{"localhost", NULL, NULL, false},
		{"user@127.0.0.1:9901", NULL, NULL, false},
		{"127.0.0.1:9901 ", NULL, NULL, false},
		{"", NULL, NULL, false},
		// Other origins.
		{"127.0.0.1:9901", "http://127.0.0.1:9901", "same-origin", true},
		{"localhost:9901", "http://localhost:9901", NULL, true},
		{"127.0.0.1:9901", "http://evil.example", NULL, false},
		{"127.0.0.1:9901", "http://127.0.0.1:8000", NULL, false},
		{"127.0.0.1:9901", "http://127.0.0.1", NULL, false},
		{"127.0.0.1:9901", "https://127.0.0.1:9901", NULL, false},
		{"127.0.0.1:9901", "http://127.0.0.1:9901.evil.example", NULL, false},
		{"127.0.0.1:9901", "http://127.0.0.1:9901@evil.example", NULL, false},
		{"127.0.0.1:9901", "null", NULL, false},
		{"127.0.0.1:9901", "file://", NULL, false},
		{"127.0.0.1:9901", "http://", NULL, false},
		{"127.0.0.1:9901", "chrome-extension://abc", NULL, false},
		// What newer browsers say themselves.
		{"127.0.0.1:9901", NULL, "none", true},
		{"127.0.0.1:9901", NULL, "same-origin", true},
		{"127.0.0.1:9901", NULL, "same-site", false},
		{"127.0.0.1:9901", NULL, "cross-site", false},
		{"127.0.0.1:9901", NULL, "anything", false},
		{"127.0.0.1:9901", "http://127.0.0.1:9901", "cross-site", false},
	};

	CHECK(&admin, "127.0.0.1:9901", visits);
}

static void guard_on_one_address(void **state)
{
	const struct snap_admin admin = {.enabled = true};
	static const struct visit visits[] = {
		{"192.0.2.7:9901", NULL, NULL, true},
		{"192.0.2.8:9901", NULL, NULL, false},
		{"127.0.0.1:9901", NULL, NULL, false},
		{"proxy.example:9901", NULL, NULL, false},
	};

	CHECK(&admin, "192.0.2.7:9901", visits);
}

// Any address may be ours; rebinding needs a name.
static void guard_on_all_addresses(void **state)
{
	const struct snap_admin admin = {.enabled = true};
	static const struct visit visits[] = {
		{"192.0.2.7:9901", NULL, NULL, true},
		{"[2001:db8::1]:9901", NULL, NULL, true},
		{"192.0.2.7:80", NULL, NULL, false},
		{"evil.example:9901", NULL, NULL, false},
		{"192.0.2.7:9901", "http://evil.example:9901", NULL, false},
	};

	CHECK(&admin, "[::]:9901", visits);
}

static void guard_on_port_80(void **state)
{
	const struct snap_admin admin = {.enabled = true};
	static const struct visit visits[] = {
		{"127.0.0.1", NULL, NULL, true},
		{"localhost", "http://localhost", NULL, true},
		{"127.0.0.1:81", NULL, NULL, false},
	};

	CHECK(&admin, "127.0.0.1:80", visits);
}

static void two_origins_or_sites_are_refused(void **state)
{
	const struct snap_admin admin = {.enabled = true};
	struct endpoint bound = endpoint_v4(0x7f000001, 9901);
	struct http_field fields[4];
	struct http_head head;

	http_head_init(&head, fields, 4);
	head.authority = SLICE("127.0.0.1:9901");
	for (int i = 0; i < 2; i++)
		http_head_append(&head, HTTP_FIELD_ORIGIN, SLICE("http://127.0.0.1:9901"));
	assert_non_null(admin_guard(&admin, &bound, &head));
	http_head_init(&head, fields, 4);
	head.authority = SLICE("127.0.0.1:9901");
	http_head_append_name(&head, SLICE("Sec-Fetch-Site"), SLICE("same-origin"));
	http_head_append_name(&head, SLICE("Sec-Fetch-Site"), SLICE("cross-site"));
	assert_non_null(admin_guard(&admin, &bound, &head));
	// An empty Origin is one.
	http_head_init(&head, fields, 4);
	head.authority = SLICE("127.0.0.1:9901");
	http_head_append(&head, HTTP_FIELD_ORIGIN, SLICE(""));
	assert_non_null(admin_guard(&admin, &bound, &head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_found),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(guard_on_loopback),
		cmocka_unit_test(guard_on_one_address),
		cmocka_unit_test(guard_on_all_addresses),
		cmocka_unit_test(guard_on_port_80),
		cmocka_unit_test(two_origins_or_sites_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
