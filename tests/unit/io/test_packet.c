// SPDX-License-Identifier: Apache-2.0
// The packet interface over kernel UDP sockets on loopback.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "io/packet/packet_kernel.h"
#include "io/packet/packet_kernel_internal.h"
#include "io/sys.h"

static const uint8_t loopback6[16] = {[15] = 1};

struct pair {
	struct packet_domain *domain;
	struct packet_port *from, *to;
	struct endpoint from_address, to_address;
	unsigned buffers;
};

static struct packet_port *open_port(struct packet_domain *domain, struct endpoint address,
				     unsigned want, struct endpoint *ret_address)
{
	struct packet_port *port = NULL;

	assert_int_equal(packet_kernel_open(domain, &address, want, &port), 0);
	assert_int_equal(packet_kernel_local(port, ret_address), 0);
	assert_true(packet_fd(port) >= 0);
	assert_true(packet_arm(port));
	assert_int_equal(packet_flush(port), 0);
	return port;
}

static struct pair pair_open(int family, unsigned want)
{
	struct pair p = {.domain = packet_domain_new(0)};
	struct endpoint address =
		family == AF_INET ? endpoint_v4(INADDR_LOOPBACK, 0) : endpoint_v6(loopback6, 0, 0);

	assert_non_null(p.domain);
	p.buffers = packet_domain_idle(p.domain);
	p.from = open_port(p.domain, address, want, &p.from_address);
	p.to = open_port(p.domain, address, want, &p.to_address);
	return p;
}

// All buffers must be back.
static void pair_close(struct pair *p)
{
	assert_int_equal(packet_domain_idle(p->domain), p->buffers);
	packet_close(p->from);
	packet_close(p->to);
	packet_close(NULL);
	packet_domain_free(p->domain);
}

static struct packet packet_with(const struct pair *p, const void *data, uint32_t len)
{
	struct packet packet;

	assert_int_equal(packet_alloc(p->domain, &packet), 0);
	memcpy(packet.data, data, len);
	packet.len = len;
	packet.peer = p->to_address;
	return packet;
}

// The datagrams that came, one behind the other, each with its length in front.
struct arrived {
	unsigned datagrams, packets;
	uint32_t len[256];
	uint8_t data[256 * 1024];
	size_t total;
	struct packet last;
};

static void receive(struct packet_port *port, struct arrived *got)
{
	struct packet packets[PACKET_BURST];
	int n;

	memset(got, 0, offsetof(struct arrived, data));
	got->total = 0;
	while ((n = packet_rx_burst(port, packets, PACKET_BURST)) > 0)
		for (int i = 0; i < n; i++) {
			struct packet *p = &packets[i];
			uint32_t segment = p->segment ? p->segment : p->len, at = 0;
			got->packets++;
			do {
				uint32_t len = p->len - at < segment ? p->len - at : segment;
				assert_true(got->datagrams < 256);
				got->len[got->datagrams++] = len;
				memcpy(got->data + got->total, p->data + at, len);
				got->total += len;
				at += len;
			} while (at < p->len);
			got->last = *p;
			packet_free(p);
		}
	assert_int_equal(n, -EAGAIN);
}

static struct arrived arrived;

static void send_all(struct packet_port *port, struct packet *packets, unsigned n)
{
	assert_int_equal(packet_tx_burst(port, packets, n), n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(packets[i].error, 0);
		assert_null(packets[i].buffer);
	}
}

static void test_domain(void **state)
{
	struct packet_domain *domain = packet_domain_new(0);
	unsigned all = packet_domain_idle(domain), n = 0;
	struct packet packets[256];

	assert_int_equal(all, 2 * PACKET_BURST);
	while (packet_alloc(domain, &packets[n]) == 0) {
		assert_int_equal(packets[n].headroom, PACKET_HEADROOM);
		memset(packets[n].data - PACKET_HEADROOM, (int)n,
		       PACKET_HEADROOM + PACKET_DATA_MAX);
		n++;
	}
	assert_int_equal(n, all);
	assert_int_equal(packet_alloc(domain, &packets[n]), -ENOBUFS);
	assert_int_equal(packet_domain_idle(domain), 0);
	struct packet shared = packets[0];
	packet_share(&packets[0]);
	for (unsigned i = 0; i < n; i++)
		packet_free(&packets[i]);
	packet_free(&packets[0]); // nothing left to give
	assert_int_equal(packet_domain_idle(domain), all - 1);
	packet_free(&shared);
	assert_int_equal(packet_domain_idle(domain), all);
	packet_domain_free(domain);
	packet_domain_free(NULL);
}

// Without buffers nothing can be received; with one, one at a time.
static void test_domain_used_up(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	struct packet held[2 * PACKET_BURST], got[PACKET_BURST];
	unsigned n = 0;

	struct packet one = packet_with(&p, "one", 3), two = packet_with(&p, "twoo", 4);
	send_all(p.from, &one, 1);
	send_all(p.from, &two, 1);
	while (packet_alloc(p.domain, &held[n]) == 0)
		n++;
	assert_int_equal(packet_rx_burst(p.to, got, PACKET_BURST), -ENOBUFS);
	packet_free(&held[--n]);
	assert_int_equal(packet_rx_burst(p.to, got, PACKET_BURST), 1);
	assert_memory_equal(got[0].data, "one", 3);
	packet_free(&got[0]);
	assert_int_equal(packet_rx_burst(p.to, got, PACKET_BURST), 1);
	assert_memory_equal(got[0].data, "twoo", 4);
	packet_free(&got[0]);
	while (n)
		packet_free(&held[--n]);
	pair_close(&p);
}

static void there_and_back(int family)
{
	struct pair p = pair_open(family, PACKET_WANT_LOCAL | PACKET_WANT_ECN);
	struct packet packet = packet_with(&p, "hello", 5), got;

	packet.ecn = 2;
	send_all(p.from, &packet, 1);
	assert_int_equal(packet.sent, 1);
	assert_int_equal(packet.sent_bytes, 5);
	assert_int_equal(packet_rx_burst(p.to, &got, 1), 1);
	assert_int_equal(got.len, 5);
	assert_int_equal(got.segment, 0);
	assert_int_equal(got.ecn, 2);
	assert_true(endpoint_equal(&got.peer, &p.from_address));
	assert_true(endpoint_same_ip(&got.local, &p.to_address));
	assert_memory_equal(got.data, "hello", 5);
	// What was received goes back with its own buffer.
	send_all(p.to, &got, 1);
	receive(p.from, &arrived);
	assert_int_equal(arrived.datagrams, 1);
	assert_memory_equal(arrived.data, "hello", 5);
	// Empty ones are datagrams as well.
	packet = packet_with(&p, "", 0);
	send_all(p.from, &packet, 1);
	receive(p.to, &arrived);
	assert_int_equal(arrived.datagrams, 1);
	assert_int_equal(arrived.len[0], 0);
	pair_close(&p);
}

static void test_there_and_back(void **state)
{
	there_and_back(AF_INET);
	there_and_back(AF_INET6);
}

// A wildcard socket answers from the address that was reached.
static void test_local_address(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	struct endpoint bound;
	struct packet_port *any = open_port(p.domain, endpoint_v4(0, 0), PACKET_WANT_LOCAL, &bound);
	struct packet packet = packet_with(&p, "x", 1), got;

	packet.peer = endpoint_v4(0x7f000005, bound.port);
	send_all(p.from, &packet, 1);
	assert_int_equal(packet_rx_burst(any, &got, 1), 1);
	assert_int_equal(got.local.ip[3], 5);
	send_all(any, &got, 1);
	receive(p.from, &arrived);
	assert_int_equal(arrived.datagrams, 1);
	struct endpoint from = endpoint_v4(0x7f000005, bound.port);
	assert_true(endpoint_equal(&arrived.last.peer, &from));
	packet_close(any);
	pair_close(&p);
}

// What `count` datagrams of `size` bytes and a last one of `tail` look like; returns the length.
static uint32_t fill(uint8_t *data, uint32_t header, uint32_t size, uint32_t count, uint32_t tail)
{
	uint8_t *at = data;

	for (uint32_t i = 0; i < count + (tail > 0); i++) {
		memset(at, 0xee, header);
		at += header;
		for (uint32_t k = 0; k < (i < count ? size : tail); k++)
			*at++ = (uint8_t)(i * 31 + k);
	}
	return (uint32_t)(at - data);
}

// Sends a run and checks that each datagram arrives as it should.
static void reframe(struct pair *p, uint32_t skip, uint32_t prefix_len, uint32_t size,
		    uint32_t count, uint32_t tail)
{
	static uint8_t data[128 * 1024], expect[128 * 1024];
	static const uint8_t prefix[PACKET_PREFIX_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	uint32_t len = fill(data, skip, size, count, tail), total = count + (tail > 0);
	struct packet packet = packet_with(p, data, len);

	packet.segment = total > 1 ? (uint16_t)(skip + size) : 0;
	packet.skip = (uint16_t)skip;
	packet.prefix = prefix;
	packet.prefix_len = (uint16_t)prefix_len;
	assert_int_equal(packet_count(&packet), total);
	assert_int_equal(packet_payload(&packet), size * count + tail);
	send_all(p->from, &packet, 1);
	assert_int_equal(packet.sent, total);
	assert_int_equal(packet.sent_bytes, size * count + tail);
	receive(p->to, &arrived);
	assert_int_equal(arrived.datagrams, total);
	fill(expect, 0, size, count, tail);
	const uint8_t *at = arrived.data, *body = expect;
	for (uint32_t i = 0; i < total; i++) {
		uint32_t part = i < count ? size : tail;
		assert_int_equal(arrived.len[i], prefix_len + part);
		assert_memory_equal(at, prefix, prefix_len);
		assert_memory_equal(at + prefix_len, body, part);
		at += arrived.len[i];
		body += part;
	}
}

static void reframe_all(struct pair *p)
{
	static const uint32_t sizes[] = {1, 63, 500, 1200};

	for (unsigned s = 0; s < 4; s++)
		for (unsigned framing = 0; framing < 4; framing++)
			for (unsigned count = 1; count <= 40; count += 13)
				for (unsigned tail = 0; tail <= 1; tail++)
					reframe(p, framing & 1 ? 10 : 0, framing & 2 ? 22 : 0,
						sizes[s], count, sizes[s] > 1 ? tail : 0);
}

static void test_reframing(void **state)
{
	for (int way = 0; way < 6; way++) {
		struct pair p = pair_open(way & 1 ? AF_INET6 : AF_INET, 0);
		struct packet_kernel *k = packet_kernel_of(p.from);
		if (way / 2 == 1)
			k->copied_max[0] = k->copied_max[1] = 0;
		if (way / 2 == 2)
			p.from->caps &= (uint8_t)~PACKET_CAN_GSO;
		reframe_all(&p);
		pair_close(&p);
	}
}

// Growing above what one message may hold: more than 64 datagrams, or more than 64 KiB.
static void test_long_runs(void **state)
{
	struct pair p = pair_open(AF_INET, 0);

	reframe(&p, 10, 0, 8, 200, 3);
	reframe(&p, 0, 22, 1000, 65, 0);
	reframe(&p, 0, 10, 65507 - 10, 1, 0);
	reframe(&p, 10, 0, 16000, 4, 100);
	pair_close(&p);
}

// Neighbours that are alike go out as one message; order and boundaries stay.
static void test_neighbours(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	struct packet packets[PACKET_BURST];
	struct endpoint other;
	struct packet_port *third = open_port(p.domain, endpoint_v4(INADDR_LOOPBACK, 0), 0, &other);

	if (!(p.from->caps & PACKET_CAN_GSO))
		skip();
	for (unsigned i = 0; i < 20; i++) {
		uint8_t data[100];
		memset(data, (int)i, sizeof(data));
		packets[i] = packet_with(&p, data, i == 9 ? 40 : 100);
		if (i == 15)
			packets[i].peer = other;
	}
	send_all(p.from, packets, 20);
	// Ten, the last of them shorter; five; the one to another; four.
	assert_int_equal(p.from->counts.messages_out, 4);
	assert_int_equal(p.from->counts.bursts_out, 1);
	assert_int_equal(p.from->counts.sent, 20);
	receive(p.to, &arrived);
	assert_int_equal(arrived.datagrams, 19);
	const uint8_t *at = arrived.data;
	for (unsigned i = 0; i < 19; i++) {
		assert_int_equal(arrived.len[i], i == 9 ? 40 : 100);
		assert_int_equal(*at, i < 15 ? i : i + 1);
		at += arrived.len[i];
	}
	receive(third, &arrived);
	assert_int_equal(arrived.datagrams, 1);
	packet_close(third);
	pair_close(&p);
}

// One that cannot be sent does not hold up the others, and is told.
static void test_errors(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	static uint8_t large[PACKET_UDP_MAX_V4 + 1];
	struct packet packets[4];

	packets[0] = packet_with(&p, "first", 5);
	packets[1] = packet_with(&p, large, sizeof(large));
	packets[2] = packet_with(&p, "to nowhere", 10);
	packets[2].peer = endpoint_v4(0xffffffff, 9); // broadcast is not allowed on this socket
	packets[3] = packet_with(&p, "last", 4);
	assert_int_equal(packet_tx_burst(p.from, packets, 4), 4);
	assert_int_equal(packets[0].error, 0);
	assert_int_equal(packets[1].error, -EMSGSIZE);
	assert_true(packets[2].error < 0);
	assert_int_equal(packets[2].sent, 0);
	assert_int_equal(packets[3].error, 0);
	receive(p.to, &arrived);
	assert_int_equal(arrived.datagrams, 2);
	struct packet_stats stats;
	packet_stats(p.from, &stats);
	assert_int_equal(stats.sent, 2);
	assert_int_equal(stats.sent_bytes, 9);
	assert_int_equal(stats.too_large, 1);
	assert_int_equal(stats.failed, 1);
	packet_stats(p.to, &stats);
	assert_int_equal(stats.received, 2);
	assert_int_equal(stats.received_bytes, 9);
	pair_close(&p);
}

// A socket or path that takes no segments: everything goes out one by one, now and later.
static void test_segments_refused(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	const int one = 1;

	// The kernel takes no UDP_SEGMENT without checksums.
	assert_int_equal(
		sys_setsockopt(packet_fd(p.from), SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)), 0);
	reframe(&p, 10, 0, 300, 20, 7);
	reframe(&p, 0, 10, 100, 20, 7);
	reframe(&p, 10, 10, 1000, 20, 0);
	assert_int_equal(p.from->counts.failed, 0);
	pair_close(&p);
}

// ICMP says that nobody listens: neither sending nor receiving fails for it.
static void test_refused(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	struct packet packet, got[PACKET_BURST];

	assert_int_equal(packet_kernel_connect(p.from, &p.to_address), 0);
	packet_close(p.to);
	for (int i = 0; i < 3; i++) {
		packet = packet_with(&p, "anybody?", 8);
		packet.peer = (struct endpoint){0};
		send_all(p.from, &packet, 1);
	}
	assert_true(p.from->counts.refused >= 2);
	assert_int_equal(packet_rx_burst(p.from, got, PACKET_BURST), -EAGAIN);
	struct endpoint again = p.to_address;
	p.to = open_port(p.domain, again, 0, &again);
	packet = packet_with(&p, "there", 5);
	packet.peer = (struct endpoint){0};
	send_all(p.from, &packet, 1);
	receive(p.to, &arrived);
	assert_int_equal(arrived.datagrams, 1);
	pair_close(&p);
}

static void test_overflow_is_told(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	static uint8_t data[1000];
	struct packet_stats stats;
	unsigned sent = 0;

	for (int i = 0; i < 20000; i++) {
		struct packet packet = packet_with(&p, data, sizeof(data));
		send_all(p.from, &packet, 1);
		sent++;
	}
	struct packet got[PACKET_BURST];
	int n;
	while ((n = packet_rx_burst(p.to, got, PACKET_BURST)) > 0)
		for (int i = 0; i < n; i++)
			packet_free(&got[i]);
	packet_stats(p.to, &stats);
	assert_true(stats.overflowed > 0);
	assert_int_equal(stats.received + stats.overflowed, sent);
	pair_close(&p);
}

static void test_no_memory(void **state)
{
	struct endpoint local = endpoint_v4(INADDR_LOOPBACK, 0);
	bool hit = true;

	for (long n = 1; hit; n++) {
		struct packet_port *port = NULL;
		alloc_fail_at(n);
		struct packet_domain *domain = packet_domain_new(0);
		int r = domain ? packet_kernel_open(domain, &local, 0, &port) : -ENOMEM;
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		packet_close(port);
		packet_domain_free(domain);
	}
}

static void test_open_errors(void **state)
{
	struct pair p = pair_open(AF_INET, 0);
	struct packet_port *port;
	struct endpoint elsewhere = endpoint_v4(0xc0000201, 0);

	assert_int_equal(packet_kernel_open(p.domain, &p.to_address, 0, &port), -EADDRINUSE);
	assert_int_equal(packet_kernel_open(p.domain, &elsewhere, 0, &port), -EADDRNOTAVAIL);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain),           cmocka_unit_test(test_domain_used_up),
		cmocka_unit_test(test_there_and_back),   cmocka_unit_test(test_local_address),
		cmocka_unit_test(test_reframing),        cmocka_unit_test(test_long_runs),
		cmocka_unit_test(test_neighbours),       cmocka_unit_test(test_errors),
		cmocka_unit_test(test_segments_refused), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_overflow_is_told), cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
