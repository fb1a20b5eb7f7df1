// SPDX-License-Identifier: Apache-2.0
// Endpoints, blocks and hosts from text: one byte of flags, then the text. What is accepted formats
// to a text that gives the same value again; a name is never one that a resolver takes for an
// address; and an IPv4 address keeps its classes in whatever IPv6 form it is wrapped.
#include "fuzz_target.h"

#include "base/addr.h"
#include "base/host.h"
#include "check.h"

#include <arpa/inet.h>
#include <string.h>

static void fuzz_endpoint(const char *text, size_t len, unsigned flags)
{
	char buf[ENDPOINT_STRLEN];
	struct endpoint ep, again, back;
	struct sockaddr_storage sa;
	size_t n;

	// An interface's name would make a system call for each input.
	if (memchr(text, '%', len))
		for (size_t i = 0; i < len; i++)
			if (text[i] >= 'g')
				flags &= ~(unsigned)ENDPOINT_PARSE_ZONE;
	if (endpoint_parse(text, len, flags, &ep) < 0)
		return;
	CHECK(ep.family == AF_INET || ep.family == AF_INET6);
	n = endpoint_format(&ep, buf);
	CHECK(n == strlen(buf) && n < sizeof(buf));
	CHECK(endpoint_parse(buf, n, ENDPOINT_PARSE_ZONE, &again) == 0);
	CHECK(endpoint_equal(&ep, &again) && endpoint_compare(&ep, &again) == 0);
	CHECK(endpoint_from_sockaddr((struct sockaddr *)&sa, endpoint_to_sockaddr(&ep, &sa),
				     &back) == 0);
	CHECK(endpoint_equal(&ep, &back));
	CHECK(endpoint_from_sockaddr((struct sockaddr *)&sa, endpoint_to_sockaddr6(&ep, &sa),
				     &back) == 0);
	CHECK(endpoint_equal(&ep, &back));
}

static void fuzz_cidr(const char *text, size_t len)
{
	char buf[CIDR_STRLEN];
	struct endpoint ep;
	struct cidr c, again;
	size_t n;

	if (cidr_parse(text, len, 0, &c) < 0) {
		CHECK(cidr_parse(text, len, CIDR_STRICT, &c) < 0);
		return;
	}
	n = cidr_format(&c, buf);
	CHECK(n == strlen(buf));
	CHECK(cidr_parse(buf, n, CIDR_STRICT, &again) == 0 && cidr_equal(&c, &again));
	n = strcspn(buf, "/");
	CHECK(endpoint_parse_ip(buf, n, &ep) == 0 && cidr_match(&c, &ep));
	again = cidr_of(&ep, c.prefix);
	CHECK(cidr_equal(&c, &again));
}

static void check_host(const struct host *h)
{
	char buf[HOST_STRLEN];
	struct host again;
	size_t n = host_format(h, buf);

	CHECK(n == strlen(buf) && n < sizeof(buf));
	CHECK(host_parse(buf, n, 0, &again) == 0);
	CHECK(host_equal(h, &again));
	n = host_format_name(h, buf);
	CHECK(host_from_name(buf, n, h->port, &again) == 0 && host_equal(h, &again));
	if (h->kind == HOST_NAME) {
		struct in_addr in;
		struct in6_addr in6;

		CHECK(inet_aton(buf, &in) == 0);
		CHECK(inet_pton(AF_INET6, buf, &in6) != 1);
	}
}

static void wrap(const uint8_t *ip)
{
	static const struct {
		uint8_t prefix[16];
		size_t at;
	} forms[] = {
		{{[10] = 0xff, [11] = 0xff}, 12},
		{{0, 0x64, 0xff, 0x9b}, 12},
		{{0x20, 0x02}, 2},
	};
	struct endpoint v4 = endpoint_v4_bytes(ip, 1);
	unsigned class = endpoint_classify(&v4);

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct endpoint v6;
		uint8_t wide[16];

		memcpy(wide, forms[i].prefix, 16);
		memcpy(wide + forms[i].at, ip, 4);
		v6 = endpoint_v6(wide, 1, 0);
		CHECK((endpoint_classify(&v6) & class) == class);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text;
	struct host h;

	if (size == 0)
		return 0;
	text = (const char *)data + 1;
	size--;
	fuzz_endpoint(text, size, data[0] & 7);
	fuzz_cidr(text, size);
	if (host_from_name(text, size, 80, &h) == 0)
		check_host(&h);
	if (host_parse(text, size, data[0] & 8 ? 443 : 0, &h) == 0)
		check_host(&h);
	if (size >= 4)
		wrap(data + 1);
	return 0;
}
