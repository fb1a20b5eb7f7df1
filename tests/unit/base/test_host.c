// SPDX-License-Identifier: Apache-2.0
// Destinations: one form for each name, addresses found in names, numbers in disguise refused.
#include "base/host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void names(void **state)
{
	static const struct {
		const char *name, *out;
		int kind; // or a negative errno
	} rows[] = {
		{"example.com", "example.com", HOST_NAME},
		{"EXAMPLE.Com.", "example.com", HOST_NAME},
		{"localhost", "localhost", HOST_NAME},
		{"a", "a", HOST_NAME},
		{"_dmarc.x_y.example", "_dmarc.x_y.example", HOST_NAME},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", HOST_NAME},
		{"r3---sn-x-.example", "r3---sn-x-.example", HOST_NAME},
		{"1.2.3.4.example", "1.2.3.4.example", HOST_NAME},
		{"0x7f.example", "0x7f.example", HOST_NAME},
		{"1e3", "1e3", HOST_NAME},
		{"0x7g", "0x7g", HOST_NAME},
		{"127.0.0.1", "127.0.0.1", HOST_ADDRESS},
		{"127.0.0.1.", "127.0.0.1", HOST_ADDRESS},
		{"::1", "::1", HOST_ADDRESS},
		{"[::1]", "::1", HOST_ADDRESS},
		{"[::ffff:127.0.0.1]", "127.0.0.1", HOST_ADDRESS},
		{"[::FFFF:7F00:1]", "127.0.0.1", HOST_ADDRESS},
		{"", NULL, -EINVAL},
		{".", NULL, -EINVAL},
		{"..", NULL, -EINVAL},
		{"a..b", NULL, -EINVAL},
		{".a", NULL, -EINVAL},
		{"a..", NULL, -EINVAL},
		{"::1.", NULL, -EINVAL},
		{"[127.0.0.1]", NULL, -EINVAL},
		{"[example.com]", NULL, -EINVAL},
		{"[::1%1]", NULL, -EINVAL},
		{"[]", NULL, -EINVAL},
		{"[::1", NULL, -EILSEQ},
		{"fe80::1%1", NULL, -EILSEQ},
		{"-a.example", NULL, -EILSEQ},
		{"a b", NULL, -EILSEQ},
		{"a/b", NULL, -EILSEQ},
		{"a@b", NULL, -EILSEQ},
		{"a:80", NULL, -EILSEQ},
		{"b\xc3\xbc"
		 "cher",
		 NULL, -EILSEQ},
		{"a\x7f", NULL, -EILSEQ},
		{"*.example", NULL, -EILSEQ},
		{"127.1", NULL, -EDOM},
		{"127.0.1", NULL, -EDOM},
		{"2130706433", NULL, -EDOM},
		{"0", NULL, -EDOM},
		{"0x7f000001", NULL, -EDOM},
		{"0X7F.1", NULL, -EDOM},
		{"0x7f.0x0.0x0.0x1", NULL, -EDOM},
		{"0x", NULL, -EDOM},
		{"017700000001", NULL, -EDOM},
		{"0177.0.0.1", NULL, -EDOM},
		{"127.0.0.01", NULL, -EDOM},
		{"1.2.3.4.5", NULL, -EDOM},
		{"256.0.0.1", NULL, -EDOM},
		{"1.2.3.4..", NULL, -EINVAL},
		{"example.1", NULL, -EDOM},
		{"127.1.", NULL, -EDOM},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char buf[HOST_STRLEN];
		struct host h;
		int r = host_from_name(rows[i].name, strlen(rows[i].name), 7, &h);

		if (r != (rows[i].kind < 0 ? rows[i].kind : 0))
			fail_msg("%s: %d", rows[i].name, r);
		assert_true(strlen(host_error_text(r)) > 3);
		if (r < 0)
			continue;
		assert_int_equal(h.kind, rows[i].kind);
		assert_int_equal(h.port, 7);
		assert_int_equal(host_format_name(&h, buf), strlen(rows[i].out));
		assert_string_equal(buf, rows[i].out);
	}
}

static void nul_in_a_name(void **state)
{
	struct host h;

	assert_int_equal(host_from_name("a\0.example", 10, 1, &h), -EILSEQ);
	assert_int_equal(host_from_name("127.0.0.1\0", 10, 1, &h), -EILSEQ);
}

static void lengths(void **state)
{
	char name[300], buf[HOST_STRLEN];
	struct host h;

	memset(name, 'a', sizeof(name));
	assert_int_equal(host_from_name(name, 63, 1, &h), 0);
	assert_int_equal(host_from_name(name, 64, 1, &h), -ENAMETOOLONG);
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	assert_int_equal(host_from_name(name, 253, 65535, &h), 0);
	assert_int_equal(host_format(&h, buf), 259);
	assert_int_equal(h.name[253], 0);
	assert_int_equal(host_from_name(name, 254, 1, &h), -ENAMETOOLONG);
	name[253] = '.';
	assert_int_equal(host_from_name(name, 254, 1, &h), 0); // its dot does not count
	assert_int_equal(host_from_name(name, 300, 1, &h), -ENAMETOOLONG);
}

static void authorities(void **state)
{
	static const struct {
		const char *text;
		uint16_t port;
		const char *out; // NULL: `error`
		int error;
	} rows[] = {
		{"example.com:443", 0, "example.com:443", 0},
		{"Example.COM.:443", 80, "example.com:443", 0},
		{"example.com", 80, "example.com:80", 0},
		{"example.com:", 80, "example.com:80", 0},
		{"192.0.2.1:1", 0, "192.0.2.1:1", 0},
		{"[::1]:1", 0, "[::1]:1", 0},
		{"[::1]", 80, "[::1]:80", 0},
		{"[::1]:", 80, "[::1]:80", 0},
		{"[::ffff:1.2.3.4]:5", 0, "1.2.3.4:5", 0},
		{"example.com", 0, NULL, -EINVAL},
		{"example.com:", 0, NULL, -EINVAL},
		{"example.com:0", 80, NULL, -EINVAL},
		{"example.com:65536", 80, NULL, -EINVAL},
		{"example.com:http", 80, NULL, -EINVAL},
		{"example.com:80:80", 80, NULL, -EINVAL},
		{":80", 80, NULL, -EINVAL},
		{"", 80, NULL, -EINVAL},
		{"::1", 80, NULL, -EINVAL},
		{"::1:80", 80, NULL, -EINVAL},
		{"[::1]80", 80, NULL, -EINVAL},
		{"[::1", 80, NULL, -EINVAL},
		{"user@example.com:80", 80, NULL, -EILSEQ},
		{"127.1:80", 0, NULL, -EDOM},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char buf[HOST_STRLEN];
		struct host h;
		int r = host_parse(rows[i].text, strlen(rows[i].text), rows[i].port, &h);

		if (r != rows[i].error)
			fail_msg("%s: %d", rows[i].text, r);
		if (r < 0)
			continue;
		host_format(&h, buf);
		assert_string_equal(buf, rows[i].out);
	}
}

static void equality(void **state)
{
	struct host a, b, c;

	memset(&a, 0xaa, sizeof(a));
	assert_int_equal(host_parse("Example.com.:80", 15, 0, &a), 0);
	assert_int_equal(host_parse("example.COM:80", 14, 0, &b), 0);
	assert_true(host_equal(&a, &b));
	assert_memory_equal(&a, &b, sizeof(a));
	b.port = 81;
	assert_false(host_equal(&a, &b));
	assert_int_equal(host_parse("192.0.2.1:80", 12, 0, &b), 0);
	assert_false(host_equal(&a, &b));
	c = host_from_endpoint(&b.address);
	assert_true(host_equal(&b, &c));
	assert_memory_equal(&b, &c, sizeof(b));
}

static void nothing_formats_as_a_dash(void **state)
{
	char buf[HOST_STRLEN];
	struct host h = {0};

	assert_int_equal(host_format(&h, buf), 1);
	assert_string_equal(buf, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),    cmocka_unit_test(nul_in_a_name),
		cmocka_unit_test(lengths),  cmocka_unit_test(authorities),
		cmocka_unit_test(equality), cmocka_unit_test(nothing_formats_as_a_dash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
