// SPDX-License-Identifier: Apache-2.0
// The resolver over c-ares against a small DNS server on loopback, honest and otherwise.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "net.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

// What the server does with a query for a name of that first label.
enum deed {
	ANSWER,   // two records, by CNAME
	NXDOMAIN, // with SOA
	NO_SOA,   // NXDOMAIN without
	NODATA,   // with SOA
	SERVFAIL,
	SILENT,
	GARBAGE,    // bytes that are no message, then nothing
	WRONG_ID,   // an answer to another query first, then the right one
	OTHER_NAME, // an answer about another name first, then the right one
	TRUNCATED,  // over UDP; the whole over TCP
	LOOP,       // a CNAME that points at itself
};

static const struct {
	const char *label;
	enum deed deed;
} deeds[] = {
	{"good", ANSWER},      {"absent", NXDOMAIN}, {"bare", NO_SOA},     {"empty", NODATA},
	{"broken", SERVFAIL},  {"silent", SILENT},   {"garbage", GARBAGE}, {"wrongid", WRONG_ID},
	{"other", OTHER_NAME}, {"big", TRUNCATED},   {"loop", LOOP},
};

struct server {
	struct endpoint address;
	struct loop *loop;
	struct watch udp, listener, tcp;
	unsigned udp_queries, tcp_queries;
	uint8_t tcp_in[1024];
	size_t tcp_len;
};

struct bench {
	struct loop loop;
	struct server server;
	struct resolver_config config;
	struct resolver *resolver;
};

static uint8_t *put16(uint8_t *p, unsigned v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *put_record(uint8_t *p, unsigned name, unsigned type, unsigned ttl, const void *data,
			   size_t len)
{
	p = put16(p, name);
	p = put16(p, type);
	p = put16(p, 1);
	p = put16(p, ttl >> 16);
	p = put16(p, ttl);
	p = put16(p, (unsigned)len);
	memcpy(p, data, len);
	return p + len;
}

static enum deed deed_of(const uint8_t *query)
{
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		size_t len = strlen(deeds[i].label);
		if (query[12] == len && memcmp(query + 13, deeds[i].label, len) == 0)
			return deeds[i].deed;
	}
	return NXDOMAIN;
}

static size_t question_end(const uint8_t *query)
{
	size_t at = 12;

	while (query[at])
		at += 1U + query[at];
	return at + 5;
}

// Builds the answer; 0: none.
static size_t answer(const uint8_t *query, size_t len, enum deed deed, bool tcp, uint8_t *out)
{
	static const uint8_t v4[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
	static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	static const uint8_t v4_mapped[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	static const uint8_t soa[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0,
				      0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 7};
	size_t end = question_end(query);
	unsigned type = query[end - 3], answers = 0, authority = 0, code = 0;
	uint8_t *p = out + end;

	assert_true(end <= len);
	memcpy(out, query, end);
	switch (deed) {
	case TRUNCATED:
		if (!tcp) {
			code = 0x200; // TC
			break;
		}
		// fall through
	case ANSWER:
	case WRONG_ID:
	case OTHER_NAME: {
		// The name is an alias of "x.<name>"; the alias has the shorter TTL.
		uint8_t alias[4] = {1, 'x', 0xc0, 12};
		unsigned target = 0xc000 | (unsigned)(p + 12 - out);
		p = put_record(p, 0xc00c, 5, 30, alias, sizeof(alias));
		answers = 3;
		for (int i = 0; i < 2; i++)
			p = type == 28 ? put_record(p, target, 28, 60, i ? v4_mapped : v6, 16)
				       : put_record(p, target, 1, 60, v4[i], 4);
		break;
	}
	case LOOP:
		p = put_record(p, 0xc00c, 5, 30, "\xc0\x0c", 2);
		answers = 1;
		break;
	case NXDOMAIN:
		code = 3;
		// fall through
	case NODATA:
		p = put_record(p, 0xc00c, 6, 100, soa, sizeof(soa));
		authority = 1;
		break;
	case NO_SOA:
		code = 3;
		break;
	case SERVFAIL:
		code = 2;
		break;
	default:
		return 0;
	}
	put16(out + 2, 0x8180 | code);
	put16(out + 6, answers);
	put16(out + 8, authority);
	put16(out + 10, 0);
	return (size_t)(p - out);
}

static void udp_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct server *server = caa_container_of(watch, struct server, udp);
	uint8_t query[1024], out[2048];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(watch->fd, query, sizeof(query), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &from_len);

	if (n < 0)
		return;
	server->udp_queries++;
	enum deed deed = deed_of(query);
	size_t len = answer(query, (size_t)n, deed, false, out);
	if (deed == GARBAGE)
		sendto(watch->fd, "\0\1garbage", 9, 0, (struct sockaddr *)&from, from_len);
	if (deed == WRONG_ID) {
		out[0] ^= 0x55;
		out[len - 1] ^= 99;
		sendto(watch->fd, out, len, 0, (struct sockaddr *)&from, from_len);
		out[0] ^= 0x55;
		out[len - 1] ^= 99;
	}
	if (deed == OTHER_NAME) {
		out[13] ^= 1;
		out[len - 1] ^= 99;
		sendto(watch->fd, out, len, 0, (struct sockaddr *)&from, from_len);
		out[13] ^= 1;
		out[len - 1] ^= 99;
	}
	if (len)
		sendto(watch->fd, out, len, 0, (struct sockaddr *)&from, from_len);
}

static void tcp_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct server *server = caa_container_of(watch, struct server, tcp);
	uint8_t out[2048];
	ssize_t n = read(watch->fd, server->tcp_in + server->tcp_len,
			 sizeof(server->tcp_in) - server->tcp_len);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) {
			int fd = watch->fd;
			loop_unwatch(loop, watch);
			close(fd);
		}
		return;
	}
	server->tcp_len += (size_t)n;
	while (server->tcp_len >= 2) {
		size_t want = (size_t)server->tcp_in[0] << 8 | server->tcp_in[1];
		if (server->tcp_len < want + 2)
			break;
		server->tcp_queries++;
		size_t len = answer(server->tcp_in + 2, want, deed_of(server->tcp_in + 2), true,
				    out + 2);
		put16(out, (unsigned)len);
		// In two pieces.
		assert_int_equal(write(watch->fd, out, 1), 1);
		assert_int_equal(write(watch->fd, out + 1, len + 1), len + 1);
		server->tcp_len -= want + 2;
		memmove(server->tcp_in, server->tcp_in + want + 2, server->tcp_len);
	}
}

static void tcp_accept(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct server *server = caa_container_of(watch, struct server, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	assert_true(fd >= 0);
	server->tcp_len = 0;
	assert_int_equal(loop_watch_level(loop, &server->tcp, fd, tcp_ready), 0);
}

static void server_open(struct server *server, struct loop *loop)
{
	int tcp = -1, udp = -1;

	memset(server, 0, sizeof(*server));
	server->tcp.fd = -1;
	for (int i = 0; i < 50 && tcp < 0; i++) {
		server->address = ep("127.0.0.1:0");
		udp = net_bind(&server->address, SOCK_DGRAM);
		tcp = net_bind(&server->address, SOCK_STREAM);
		if (tcp < 0)
			close(udp);
	}
	assert_true(tcp >= 0);
	listen(tcp, 4);
	assert_int_equal(loop_watch_level(loop, &server->udp, udp, udp_ready), 0);
	assert_int_equal(loop_watch_level(loop, &server->listener, tcp, tcp_accept), 0);
}

static void unwatch_close(struct loop *loop, struct watch *watch)
{
	int fd = watch->fd;

	if (fd < 0)
		return;
	loop_unwatch(loop, watch);
	close(fd);
}

static void server_close(struct server *server, struct loop *loop)
{
	unwatch_close(loop, &server->udp);
	unwatch_close(loop, &server->listener);
	unwatch_close(loop, &server->tcp);
}

static void bench_open(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(loop_init(&b->loop, 0), 0);
	server_open(&b->server, &b->loop);
	b->config = (struct resolver_config){
		.servers = &b->server.address,
		.server_count = 1,
		.cache_entries = 100,
		.ttl_max_ns = 3600 * SECOND,
		.ttl_negative_ns = 10 * SECOND,
		.try_ns = 50 * MS,
		.tries = 2,
		.hosts_path = "",
	};
	assert_int_equal(resolver_new(&b->loop, NULL, &b->config, NULL, &b->resolver), 0);
}

static void bench_close(struct bench *b)
{
	resolver_free(b->resolver);
	server_close(&b->server, &b->loop);
	loop_turn(&b->loop, 0);
	loop_release(&b->loop);
}

struct asker {
	struct resolver_wait wait;
	bool done;
	enum resolver_status status;
	unsigned count;
	uint64_t life;
	struct endpoint first;
	struct bench *bench;
};

static void keep(struct asker *a, const struct resolver_answer *got)
{
	a->done = true;
	a->status = got->status;
	a->count = got->count;
	a->life = got->expires - a->bench->loop.now;
	if (got->count)
		a->first = got->addresses[0];
}

static void answered(struct resolver_wait *wait, const struct resolver_answer *got)
{
	keep(caa_container_of(wait, struct asker, wait), got);
}

static void start(struct bench *b, struct asker *a, const char *name, int family)
{
	struct resolver_answer got;

	*a = (struct asker){.bench = b, .wait.done = answered};
	int r = resolver_lookup(b->resolver, name, strlen(name), family, &a->wait, &got);
	assert_true(r >= 0);
	if (r > 0)
		keep(a, &got);
}

static struct asker ask(struct bench *b, const char *name, int family)
{
	static struct asker a;

	start(b, &a, name, family);
	net_run(&b->loop, &a.done, 3000);
	assert_true(a.done);
	return a;
}

static void test_answers(void **state)
{
	struct bench b;

	bench_open(&b);
	struct asker a = ask(&b, "good.test", AF_INET);
	assert_int_equal(a.status, RESOLVER_OK);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.first.ip[0], 192);
	assert_int_equal(a.life, 30 * SECOND); // the shortest of the chain
	a = ask(&b, "good.test", AF_INET6);
	assert_int_equal(a.status, RESOLVER_OK);
	assert_int_equal(a.count, 1); // the v4-mapped one is not taken
	assert_int_equal(a.first.ip[0], 0x20);
	assert_int_equal(b.server.udp_queries, 2);
	ask(&b, "good.test", AF_INET);
	assert_int_equal(b.server.udp_queries, 2);
	bench_close(&b);
}

static void test_negative(void **state)
{
	struct bench b;

	bench_open(&b);
	struct asker a = ask(&b, "absent.test", AF_INET);
	assert_int_equal(a.status, RESOLVER_NOT_FOUND);
	assert_int_equal(a.life, 7 * SECOND);
	a = ask(&b, "empty.test", AF_INET6);
	assert_int_equal(a.status, RESOLVER_NO_DATA);
	assert_int_equal(a.life, 7 * SECOND);
	a = ask(&b, "bare.test", AF_INET);
	assert_int_equal(a.status, RESOLVER_NOT_FOUND);
	assert_int_equal(a.life, 10 * SECOND);
	unsigned queries = b.server.udp_queries;
	ask(&b, "absent.test", AF_INET);
	assert_int_equal(b.server.udp_queries, queries);
	bench_close(&b);
}

static void test_failures(void **state)
{
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, "broken.test", AF_INET).status, RESOLVER_FAILED);
	uint64_t begin = sys_now();
	assert_int_equal(ask(&b, "silent.test", AF_INET).status, RESOLVER_TIMEOUT);
	assert_in_range(sys_now() - begin, 50 * MS, 2000 * MS);
	struct asker a = ask(&b, "garbage.test", AF_INET);
	assert_true(a.status == RESOLVER_TIMEOUT || a.status == RESOLVER_FAILED);
	a = ask(&b, "loop.test", AF_INET);
	assert_true(a.status == RESOLVER_NO_DATA || a.status == RESOLVER_FAILED);
	// Nobody there: the refusal comes by ICMP.
	server_close(&b.server, &b.loop);
	a = ask(&b, "good.test", AF_INET);
	assert_true(a.status == RESOLVER_FAILED || a.status == RESOLVER_TIMEOUT);
	bench_close(&b);
}

// Answers to what was not asked are not taken.
static void test_forged(void **state)
{
	struct bench b;

	bench_open(&b);
	struct asker a = ask(&b, "wrongid.test", AF_INET);
	assert_int_equal(a.status, RESOLVER_OK);
	assert_int_equal(a.first.ip[3], 1);
	a = ask(&b, "other.test", AF_INET);
	assert_int_equal(a.status, RESOLVER_OK);
	assert_int_equal(a.first.ip[3], 1);
	bench_close(&b);
}

static void test_truncated(void **state)
{
	struct bench b;
	struct asker a[20];

	bench_open(&b);
	assert_int_equal(ask(&b, "big.test", AF_INET).count, 2);
	assert_int_equal(b.server.tcp_queries, 1);
	// Several at once over one TCP connection.
	for (int i = 0; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "big.n%d.test", i);
		start(&b, &a[i], name, AF_INET);
	}
	for (int i = 0; i < 20; i++) {
		net_run(&b.loop, &a[i].done, 2000);
		assert_true(a[i].done);
		assert_int_equal(a[i].count, 2);
	}
	bench_close(&b);
}

static void test_many(void **state)
{
	enum { N = 300 };
	static struct asker a[N];
	struct bench b;

	bench_open(&b);
	// Not the tries that are too short on a busy machine are tested here.
	b.config.try_ns = 2 * SECOND;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	for (int i = 0; i < N; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%s.n%d.test", i & 1 ? "good" : "absent", i);
		start(&b, &a[i], name, AF_INET);
	}
	for (int i = 0; i < N; i++) {
		net_run(&b.loop, &a[i].done, 10000);
		assert_true(a[i].done);
		assert_int_equal(a[i].status, i & 1 ? RESOLVER_OK : RESOLVER_NOT_FOUND);
	}
	bench_close(&b);
}

// Other servers: queries under way still get the old ones' answer.
static void test_configure(void **state)
{
	struct bench b;
	struct server second;
	struct asker a, c;

	bench_open(&b);
	server_open(&second, &b.loop);
	start(&b, &a, "good.test", AF_INET);
	start(&b, &c, "silent.test", AF_INET);
	b.config.servers = &second.address;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	net_run(&b.loop, &a.done, 1000);
	assert_int_equal(a.count, 2);
	ask(&b, "good.other.test", AF_INET);
	assert_int_equal(second.udp_queries, 1);
	net_run(&b.loop, &c.done, 2000);
	assert_true(c.done);
	start(&b, &c, "silent.again.test", AF_INET);
	server_close(&second, &b.loop);
	bench_close(&b); // with a query in flight
	assert_false(c.done);
}

// A second server is asked when the first one is dead.
static void test_second_server(void **state)
{
	struct bench b;
	struct endpoint servers[2];

	bench_open(&b);
	servers[0] = ep("127.0.0.1:0");
	close(net_bind(&servers[0], SOCK_DGRAM));
	servers[1] = b.server.address;
	b.config.servers = servers;
	b.config.server_count = 2;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, "good.test", AF_INET).count, 2);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),   cmocka_unit_test(test_negative),
		cmocka_unit_test(test_failures),  cmocka_unit_test(test_forged),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_many),
		cmocka_unit_test(test_configure), cmocka_unit_test(test_second_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
