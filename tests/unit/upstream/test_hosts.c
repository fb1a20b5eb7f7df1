// SPDX-License-Identifier: Apache-2.0
// The hosts file: what is taken from it and what is skipped.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/addr.h"
#include "upstream/hosts.h"

static unsigned count_of(const struct hosts *hosts, const char *name, int family)
{
	struct endpoint addresses[8];

	return hosts_addresses(hosts, name, strlen(name), family, addresses, 8);
}

static void test_text(void **state)
{
	static const char text[] = "# a comment\n"
				   "127.0.0.1\tlocalhost\n"
				   "::1 localhost ip6-localhost # and more\r\n"
				   "\n"
				   "  192.0.2.1   One.Test  one. \n"
				   "192.0.2.2 one.test\n"
				   "192.0.2.3 bad/name good.test\n"
				   "nonsense one.test\n"
				   "2001:db8::1 one.test\n"
				   "fe80::1%lo one.test\n"
				   "192.0.2.4 last";
	struct hosts hosts;
	struct endpoint first[2];

	assert_int_equal(hosts_parse(&hosts, text, sizeof(text) - 1), 0);
	assert_true(hosts_find(&hosts, "localhost", 9));
	assert_false(hosts_find(&hosts, "localhos", 8));
	assert_int_equal(count_of(&hosts, "localhost", AF_INET), 1);
	assert_int_equal(count_of(&hosts, "ip6-localhost", AF_INET), 0);
	assert_int_equal(count_of(&hosts, "ip6-localhost", AF_INET6), 1);
	assert_int_equal(count_of(&hosts, "one.test", AF_INET), 2);
	assert_int_equal(count_of(&hosts, "one.test", AF_INET6), 1);
	assert_int_equal(count_of(&hosts, "one", AF_INET), 1);
	assert_int_equal(count_of(&hosts, "good.test", AF_INET), 1);
	assert_int_equal(count_of(&hosts, "last", AF_INET), 1);
	assert_int_equal(hosts_addresses(&hosts, "one.test", 8, AF_INET, first, 1), 1);
	assert_int_equal(first[0].ip[3], 1); // in the file's order
	hosts_release(&hosts);
	hosts_release(&hosts);
}

static void test_empty(void **state)
{
	struct hosts hosts;

	assert_int_equal(hosts_parse(&hosts, "", 0), 0);
	assert_false(hosts_find(&hosts, "a", 1));
	hosts_release(&hosts);
	assert_int_equal(hosts_read(&hosts, ""), 0);
	assert_false(hosts_find(&hosts, "a", 1));
	hosts_release(&hosts);
	assert_int_equal(hosts_read(&hosts, "/nonexistent/hosts"), 0);
	assert_false(hosts_find(&hosts, "a", 1));
	hosts_release(&hosts);
}

static void test_many(void **state)
{
	enum { N = 20000, LINE = 40 };
	char *text = malloc(N * LINE), name[32];
	struct hosts hosts;
	size_t len = 0;

	for (int i = 0; i < N; i++)
		len += (size_t)sprintf(text + len, "0.0.0.0 ad%d.test\n", i);
	assert_int_equal(hosts_parse(&hosts, text, len), 0);
	for (int i = 0; i < N; i++) {
		size_t n = (size_t)sprintf(name, "ad%d.test", i);
		assert_true(hosts_find(&hosts, name, n));
	}
	assert_false(hosts_find(&hosts, "ad20000.test", 12));
	hosts_release(&hosts);
	free(text);
}

static void test_failing_allocations(void **state)
{
	char path[] = "/etc/hosts";

	for (long n = 1, hit = 1; hit; n++) {
		struct hosts hosts = {0};
		alloc_fail_at(n);
		int r = hosts_read(&hosts, path);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(r == (hit ? -ENOMEM : 0));
		hosts_release(&hosts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
