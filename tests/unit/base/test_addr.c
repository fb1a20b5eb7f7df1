// SPDX-License-Identifier: Apache-2.0
// Endpoints and blocks: one form for each address, text both ways, and no way round the classes.
#include "base/addr.h"

#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct endpoint must(const char *text)
{
	struct endpoint ep;

	if (endpoint_parse(text, strlen(text), ENDPOINT_PARSE_PORT_OPTIONAL, &ep) < 0)
		fail_msg("%s is not an endpoint", text);
	return ep;
}

static void text_both_ways(void **state)
{
	enum {
		P = ENDPOINT_PARSE_PORT_OPTIONAL,
		W = ENDPOINT_PARSE_WILDCARD,
		Z = ENDPOINT_PARSE_ZONE
	};
	static const struct {
		const char *text;
		unsigned flags;
		const char *out; // NULL: -EINVAL
	} rows[] = {
		{"192.0.2.1:80", 0, "192.0.2.1:80"},
		{"0.0.0.0:0", 0, "0.0.0.0:0"},
		{"255.255.255.255:65535", 0, "255.255.255.255:65535"},
		{"192.0.2.1:00080", 0, "192.0.2.1:80"},
		{"[::1]:443", 0, "[::1]:443"},
		{"[2001:DB8:0:0::1]:1", 0, "[2001:db8::1]:1"},
		{"[::ffff:192.0.2.1]:80", 0, "192.0.2.1:80"},
		{"[::ffff:c000:201]:80", 0, "192.0.2.1:80"},
		{"192.0.2.1", P, "192.0.2.1:0"},
		{"::1", P, "[::1]:0"},
		{"[::1]", P, "[::1]:0"},
		{"1:2:3:4:5:6:7:8", P, "[1:2:3:4:5:6:7:8]:0"},
		{":8080", W, "[::]:8080"},
		{"[fe80::1%7]:80", Z, "[fe80::1%7]:80"},
		{"fe80::1%7", Z | P, "[fe80::1%7]:0"},
		// A scope means nothing on a global address, and would make one address two.
		{"[2001:db8::1%7]:80", Z, "[2001:db8::1]:80"},
		{"", 0, NULL},
		{"", P | W, NULL},
		{":", W, NULL},
		{":8080", 0, NULL},
		{":8080", P, NULL},
		{"192.0.2.1", 0, NULL},
		{"192.0.2.1:", 0, NULL},
		{"192.0.2.1:", P, NULL},
		{"192.0.2.1:65536", 0, NULL},
		{"192.0.2.1:000080", 0, NULL},
		{"192.0.2.1:+80", 0, NULL},
		{"192.0.2.1:8 ", 0, NULL},
		{" 192.0.2.1:80", 0, NULL},
		{"192.0.2:80", 0, NULL},
		{"192.0.2.1.:80", 0, NULL},
		{"192.0.2.1.5:80", 0, NULL},
		{"192.0.2.256:80", 0, NULL},
		{"192.0.02.1:80", 0, NULL},
		{"0x7f.0.0.1:80", 0, NULL},
		{"192..2.1:80", 0, NULL},
		{"[192.0.2.1]:80", 0, NULL},
		{"::1:80", 0, NULL},
		{"[::1", P, NULL},
		{"[::1]80", P, NULL},
		{"[]:80", 0, NULL},
		{"[:::]:80", 0, NULL},
		{"[1:2:3:4:5:6:7:8:9]:80", 0, NULL},
		{"[fe80::1%7]:80", 0, NULL},
		{"[fe80::1%]:80", Z, NULL},
		{"localhost:80", 0, NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char buf[ENDPOINT_STRLEN];
		struct endpoint ep;
		int r = endpoint_parse(rows[i].text, strlen(rows[i].text), rows[i].flags, &ep);

		if (r != (rows[i].out ? 0 : -EINVAL))
			fail_msg("%s: %d", rows[i].text, r);
		if (!rows[i].out)
			continue;
		assert_int_equal(endpoint_format(&ep, buf), strlen(rows[i].out));
		assert_string_equal(buf, rows[i].out);
	}
}

static void text_with_a_nul_is_no_address(void **state)
{
	struct endpoint ep;

	assert_int_equal(endpoint_parse("[::1\0]:80", 9, 0, &ep), -EINVAL);
	assert_int_equal(endpoint_parse_ip("::1\0", 4, &ep), -EINVAL);
	assert_int_equal(endpoint_parse_ip("1.2.3.4\0", 8, &ep), -EINVAL);
}

static void zone_by_interface_name(void **state)
{
	struct endpoint ep;
	char buf[ENDPOINT_STRLEN];
	unsigned lo = if_nametoindex("lo");

	assert_int_equal(endpoint_parse("[fe80::1%no-such-if]:1", 22, ENDPOINT_PARSE_ZONE, &ep),
			 -ENODEV);
	if (lo == 0)
		skip();
	assert_int_equal(endpoint_parse("[fe80::1%lo]:1", 14, ENDPOINT_PARSE_ZONE, &ep), 0);
	assert_int_equal(ep.scope, lo);
	endpoint_format_ip(&ep, buf);
	assert_true(strncmp(buf, "fe80::1%", 8) == 0);
}

static void longest_text_fits(void **state)
{
	struct endpoint ep;
	char buf[ENDPOINT_STRLEN];
	uint8_t ip[16];

	memset(ip, 0xff, sizeof(ip));
	ip[0] = 0xfe;
	ip[1] = 0xbf;
	ep = endpoint_v6(ip, 65535, UINT32_MAX);
	assert_int_equal(endpoint_format(&ep, buf), 58);
	assert_string_equal(buf, "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
	assert_int_equal(endpoint_format(&(struct endpoint){0}, buf), 1);
	assert_string_equal(buf, "-");
}

static void sockaddr_both_ways(void **state)
{
	static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:443", "0.0.0.0:0"};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct endpoint ep = must(texts[i]), back;
		struct sockaddr_storage sa;
		socklen_t len;

		len = endpoint_to_sockaddr(&ep, &sa);
		assert_int_equal(sa.ss_family, ep.family);
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, len, &back), 0);
		assert_true(endpoint_equal(&ep, &back));
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, len - 1, &back),
				 -EINVAL);
		// What a dual-stack socket says is the same endpoint.
		len = endpoint_to_sockaddr6(&ep, &sa);
		assert_int_equal(sa.ss_family, AF_INET6);
		assert_int_equal(len, sizeof(struct sockaddr_in6));
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, len, &back), 0);
		assert_memory_equal(&ep, &back, sizeof(ep));
	}
}

static void sockaddr_of_other_families(void **state)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNIX};
	struct endpoint ep = {0};

	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof(sa), &ep),
			 -EAFNOSUPPORT);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, 0, &ep), -EINVAL);
	assert_int_equal(endpoint_to_sockaddr(&ep, &sa), 0);
	assert_false(endpoint_is_set(&ep));
}

static void comparison_is_an_order(void **state)
{
	static const char *const sorted[] = {"9.0.0.0:9",  "10.0.0.0:1", "10.0.0.0:2",
					     "10.0.0.1:1", "[::1]:1",    "[::2]:1"};

	for (size_t i = 0; i < COUNT(sorted); i++) {
		for (size_t k = 0; k < COUNT(sorted); k++) {
			struct endpoint a = must(sorted[i]), b = must(sorted[k]);
			int c = endpoint_compare(&a, &b);

			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
			assert_int_equal(endpoint_equal(&a, &b), i == k);
		}
	}
	assert_true(endpoint_same_ip(&(struct endpoint){.family = AF_INET, .port = 1},
				     &(struct endpoint){.family = AF_INET, .port = 2}));
}

static void classes(void **state)
{
	enum {
		U = ENDPOINT_UNSPECIFIED,
		L = ENDPOINT_LOOPBACK,
		K = ENDPOINT_LINK_LOCAL,
		M = ENDPOINT_MULTICAST,
		B = ENDPOINT_BROADCAST,
		P = ENDPOINT_PRIVATE,
		D = ENDPOINT_METADATA,
	};
	static const struct {
		const char *ip;
		unsigned class;
	} rows[] = {
		{"0.0.0.0", U},
		{"0.255.255.255", U},
		{"1.0.0.0", 0},
		{"126.255.255.255", 0},
		{"127.0.0.0", L},
		{"127.255.255.255", L},
		{"128.0.0.0", 0},
		{"169.253.255.255", 0},
		{"169.254.0.0", K},
		{"169.254.255.255", K},
		{"169.255.0.0", 0},
		{"223.255.255.255", 0},
		{"224.0.0.0", M},
		{"239.255.255.255", M},
		{"240.0.0.0", 0},
		{"255.255.255.254", 0},
		{"255.255.255.255", B},
		{"9.255.255.255", 0},
		{"10.0.0.0", P},
		{"11.0.0.0", 0},
		{"172.15.255.255", 0},
		{"172.16.0.0", P},
		{"172.31.255.255", P},
		{"172.32.0.0", 0},
		{"192.167.255.255", 0},
		{"192.168.0.0", P},
		{"192.169.0.0", 0},
		{"100.63.255.255", 0},
		{"100.64.0.0", P},
		{"100.127.255.255", P},
		{"100.128.0.0", 0},
		{"169.254.169.254", K | D},
		{"169.254.170.2", K | D},
		{"169.254.169.253", K},
		{"100.100.100.200", P | D},
		{"168.63.129.16", D},
		{"::", U},
		{"::1", L},
		{"::2", 0},
		{"fe7f::1", 0},
		{"fe80::1", K},
		{"febf::1", K},
		{"fec0::1", P},
		{"feff::1", P},
		{"ff00::", M},
		{"fc00::", P},
		{"fdff::1", P},
		{"fe00::1", 0},
		{"fd00:ec2::254", P | D},
		{"fd20:ce::254", P | D},
		{"2606:4700::1111", 0},
		// IPv4 in IPv6: no way round.
		{"::ffff:127.0.0.1", L},
		{"::ffff:0.0.0.0", U},
		{"::ffff:169.254.169.254", K | D},
		{"::127.0.0.1", L},
		{"::ffff:0:127.0.0.1", L},
		{"64:ff9b::7f00:1", L},
		{"64:ff9b::169.254.169.254", K | D},
		{"64:ff9b::8.8.8.8", 0},
		{"64:ff9b::0.0.0.0", U},
		{"64:ff9b:1::10.1.2.3", P},
		{"64:ff9b:1:7f00:0:100::", L},    // RFC 6052, /48
		{"64:ff9b:1:ff7f:0:1::", L},      // /56
		{"64:ff9b:1:ffff:7f:0:100:0", L}, // /64
		{"64:ff9b:1::8.8.8.8", 0},
		{"2002:7f00:1::", L},
		{"2002:7f00:1:1234::1", L},
		{"2002:a9fe:a9fe::1", K | D},
		{"2002:808:808::1", 0},
		{"2001:0:4136:e378:8000:63bf:80ff:fffe", L}, // Teredo: the client is ~80fffffe
		{"2001:0:7f00:1:8000:63bf:f7f7:f7f7", L},    // Teredo: the server
		{"2001:0:4136:e378:8000:63bf:f7f7:f7f7", 0},
		{"2001:db8::5efe:127.0.0.1", L}, // ISATAP
		{"2001:db8::200:5efe:127.0.0.1", L},
		{"2001:db8::100:5efe:127.0.0.1", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint ep = must(rows[i].ip);
		unsigned class = endpoint_classify(&ep);

		if (class != rows[i].class)
			fail_msg("%s is %#x, not %#x", rows[i].ip, class, rows[i].class);
	}
	assert_int_equal(endpoint_classify(&(struct endpoint){0}), 0);
}

static void embedded_addresses_keep_the_port(void **state)
{
	struct endpoint v4[ENDPOINT_EMBEDDED_MAX], ep = must("[64:ff9b::192.0.2.1]:80");
	struct endpoint want = must("192.0.2.1:80");

	assert_int_equal(endpoint_embedded(&ep, v4), 1);
	assert_true(endpoint_equal(&v4[0], &want));
	assert_int_equal(endpoint_embedded(&want, v4), 0);
}

static void blocks(void **state)
{
	static const struct {
		const char *text, *loose; // NULL: `error` in both cases
		int strict;
	} rows[] = {
		{"10.0.0.0/8", "10.0.0.0/8", 0},
		{"10.1.2.3/8", "10.0.0.0/8", -EDOM},
		{"10.1.2.3", "10.1.2.3/32", 0},
		{"0.0.0.0/0", "0.0.0.0/0", 0},
		{"1.2.3.4/0", "0.0.0.0/0", -EDOM},
		{"192.0.2.129/25", "192.0.2.128/25", -EDOM},
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"2001:db8::1/127", "2001:db8::/127", -EDOM},
		{"::/0", "::/0", 0},
		{"::1", "::1/128", 0},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", 0},
		{"::ffff:10.0.0.1/104", "10.0.0.0/8", -EDOM},
		{"::ffff:0:0/96", "0.0.0.0/0", 0},
		{"::ffff:10.0.0.1", "10.0.0.1/32", 0},
		{"::ffff:10.0.0.0/95", NULL, -ERANGE},
		{"10.0.0.0/33", NULL, -ERANGE},
		{"::/129", NULL, -ERANGE},
		{"10.0.0.0/", NULL, -EINVAL},
		{"10.0.0.0/08", NULL, -EINVAL},
		{"10.0.0.0/-1", NULL, -EINVAL},
		{"10.0.0.0/8/8", NULL, -EINVAL},
		{"10.0.0.0/255.0.0.0", NULL, -EINVAL},
		{"10/8", NULL, -EINVAL},
		{"[::1]/128", NULL, -EINVAL},
		{"fe80::1%1/64", NULL, -EINVAL},
		{"", NULL, -EINVAL},
		{"/8", NULL, -EINVAL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].text);
		char buf[CIDR_STRLEN];
		struct cidr c, again;
		int r;

		r = cidr_parse(rows[i].text, len, CIDR_STRICT, &c);
		if (r != rows[i].strict)
			fail_msg("%s, strict: %d", rows[i].text, r);
		r = cidr_parse(rows[i].text, len, 0, &c);
		if (r != (rows[i].loose ? 0 : rows[i].strict))
			fail_msg("%s: %d", rows[i].text, r);
		if (!rows[i].loose)
			continue;
		assert_int_equal(cidr_format(&c, buf), strlen(rows[i].loose));
		assert_string_equal(buf, rows[i].loose);
		assert_int_equal(cidr_parse(buf, strlen(buf), CIDR_STRICT, &again), 0);
		assert_true(cidr_equal(&c, &again));
	}
}

static void matching(void **state)
{
	static const struct {
		const char *block, *ip;
		bool in;
	} rows[] = {
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.128/25", "192.0.2.255", true},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.0", false},
		{"0.0.0.0/0", "255.1.2.3", true},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "1.2.3.4", false},
		{"::/0", "ffff::", true},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"2001:db8::1/128", "2001:db8::1", true},
		{"2001:db8::1/128", "2001:db8::2", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint ep = must(rows[i].ip);
		struct cidr c;

		assert_int_equal(cidr_parse(rows[i].block, strlen(rows[i].block), 0, &c), 0);
		if (cidr_match(&c, &ep) != rows[i].in)
			fail_msg("%s in %s", rows[i].ip, rows[i].block);
	}
}

static void block_of_an_endpoint(void **state)
{
	struct endpoint ep = must("[2001:db8:1:2:3::4]:80"), v4 = must("192.0.2.77:1");
	struct cidr c = cidr_of(&ep, 56);
	char buf[CIDR_STRLEN];

	cidr_format(&c, buf);
	assert_string_equal(buf, "2001:db8:1::/56");
	c = cidr_of(&v4, 128);
	cidr_format(&c, buf);
	assert_string_equal(buf, "192.0.2.77/32");
	assert_true(cidr_match(&c, &v4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_both_ways),
		cmocka_unit_test(text_with_a_nul_is_no_address),
		cmocka_unit_test(zone_by_interface_name),
		cmocka_unit_test(longest_text_fits),
		cmocka_unit_test(sockaddr_both_ways),
		cmocka_unit_test(sockaddr_of_other_families),
		cmocka_unit_test(comparison_is_an_order),
		cmocka_unit_test(classes),
		cmocka_unit_test(embedded_addresses_keep_the_port),
		cmocka_unit_test(blocks),
		cmocka_unit_test(matching),
		cmocka_unit_test(block_of_an_endpoint),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
