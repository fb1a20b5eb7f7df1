// SPDX-License-Identifier: Apache-2.0
// SOCKS on streams: the first byte chooses the parser. A prefix needs more or has the same answer,
// what it says to need is true, and what was parsed can be built again. The client gives the same
// answer however the server's bytes are cut.
#include "fuzz_target.h"

#include "check.h"
#include "proto/socks/socks.h"
#include "proto/socks/socks5_client.h"
#include "proto/socks/socks_udp.h"

#include <string.h>

static int parse(unsigned which, const uint8_t *data, size_t len, struct socks_request *q,
		 size_t *need)
{
	struct socks5_greeting greeting;
	struct socks5_auth auth;

	switch (which) {
	case 0:
		return socks4_parse_request(data, len, q, need);
	case 1:
		return socks5_parse_request(data, len, q, need);
	case 2:
		return socks5_parse_greeting(data, len, &greeting, need);
	default:
		return socks5_parse_auth(data, len, &auth, need);
	}
}

static void check_request(const uint8_t *data, size_t used, const struct socks_request *q)
{
	uint8_t buf[SOCKS_UDP_HEADER_MAX];
	struct socks_udp_header h;
	struct socks_request again;
	int len;

	CHECK(q->version == data[0]);
	CHECK(q->command >= SOCKS_CONNECT && q->command <= SOCKS_UDP_ASSOCIATE);
	CHECK((q->host_error == 0) == (q->host.kind != HOST_NONE));
	CHECK(q->host_error == 0 || q->named);
	if (q->named)
		CHECK((const uint8_t *)q->name.data + q->name.len <= data + used);
	if (q->host_error < 0)
		return;
	// A datagram's header and a request differ in their first three bytes only.
	len = (int)socks_udp_build_host(buf, &q->host);
	CHECK(socks_udp_parse(buf, (size_t)len, &h) == len);
	buf[0] = 5;
	buf[1] = q->command;
	CHECK(socks5_parse_request(buf, (size_t)len, &again, NULL) == len);
	CHECK(host_equal(&again.host, &q->host));
}

static void fuzz_parser(unsigned which, const uint8_t *data, size_t size)
{
	static const size_t max[] = {SOCKS4_REQUEST_MAX, SOCKS5_REQUEST_MAX, SOCKS5_GREETING_MAX,
				     SOCKS5_AUTH_MAX};
	struct socks_request q;
	size_t need = 0;
	int whole = parse(which, data, size, &q, &need);

	if (whole > 0) {
		CHECK((size_t)whole <= size && (size_t)whole <= max[which]);
		if (which < 2)
			check_request(data, (size_t)whole, &q);
	} else if (whole == 0) {
		CHECK(need > size && need <= max[which]);
	} else {
		CHECK(whole > -SOCKS_E_COUNT);
	}
	for (size_t n = 0; n < size && n < 600; n++) {
		int r = parse(which, data, n, &q, &need);

		if (r != 0) {
			CHECK(r == whole);
			break;
		}
		CHECK(need > n && need <= max[which]);
		// What was needed is no more than what it took.
		CHECK(whole <= 0 || need <= (size_t)whole);
	}
}

static int run_client(struct socks5_client *c, const uint8_t *data, size_t size, size_t cut,
		      unsigned flags, size_t *ret_used)
{
	static const uint8_t ip[4] = {192, 0, 2, 1};
	struct endpoint ep = endpoint_v4_bytes(ip, 80);
	struct host host = host_from_endpoint(&ep);
	size_t used = 0;
	int r = 0;

	CHECK(socks5_client_init(c, flags & 2 ? SOCKS_BIND : SOCKS_CONNECT, &host,
				 flags & 1 ? SLICE("joe") : SLICE(""), SLICE("secret")) == 0);
	while (used < size && c->state != SOCKS5_CLIENT_DONE) {
		size_t n = size - used < cut ? size - used : cut;

		// One message at a time: a server answers only what it got.
		socks5_client_sent(c, socks5_client_output(c).len);
		CHECK(socks5_client_output(c).len == 0);
		r = socks5_client_input(c, data + used, n);
		if (r < 0)
			break;
		CHECK((size_t)r <= n);
		used += (size_t)r;
	}
	*ret_used = used;
	return r < 0 ? r : 0;
}

static void fuzz_client(unsigned flags, const uint8_t *data, size_t size)
{
	static struct socks5_client a, b;
	size_t used_a, used_b;
	int ra = run_client(&a, data, size, 1, flags, &used_a);
	int rb = run_client(&b, data, size, size ? size : 1, flags, &used_b);

	// In one piece a server that is ahead of the client is noticed, in single bytes it cannot be.
	if (rb == -SOCKS_E_EARLY)
		return;
	CHECK(ra == rb && a.state == b.state && a.reply == b.reply);
	CHECK(host_equal(&a.bound, &b.bound));
	if (a.state == SOCKS5_CLIENT_DONE)
		CHECK(used_a == used_b);
	CHECK((ra < 0) == (a.state == SOCKS5_CLIENT_FAILED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned which;

	if (size == 0)
		return 0;
	which = data[0] % 8;
	if (which < 4)
		fuzz_parser(which, data + 1, size - 1);
	else
		fuzz_client(which - 4, data + 1, size - 1);
	return 0;
}
