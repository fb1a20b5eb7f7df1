// SPDX-License-Identifier: Apache-2.0
// Dialling through parents, and the PROXY header.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "dial_bench.h"

struct parent_bench {
	struct bench b;
	struct caller c;
	int listener;
	struct endpoint address;
	struct snap_parent parent;
	struct host host;
	struct dial_request request;
};

static void parent_open(struct parent_bench *p, enum snap_parent_type type, const char *host)
{
	memset(p, 0, sizeof(*p));
	p->address = ep("127.0.0.1:0");
	p->listener = net_listen(&p->address, 8);
	p->parent = (struct snap_parent){.id = 77,
					 .name = "corp",
					 .type = type,
					 .target.host = host_from_endpoint(&p->address)};
	bench_open(&p->b, NULL, 0);
	p->host = host_of(host);
	p->request = request_for(&p->c, &p->host);
	p->request.parent = &p->parent;
}

static void parent_close(struct parent_bench *p)
{
	drop(&p->b, &p->c);
	close(p->listener);
	bench_close(&p->b);
}

static void start(struct parent_bench *p)
{
	assert_int_equal(dial_start(&p->b.dialer, &p->request, &p->c.dial), 0);
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(write(fd, text, len), len);
}

#define SAY(fd, text) say(fd, text, sizeof(text) - 1)
#define EXPECT(p, fd, text) net_expect(&(p)->b, fd, text, sizeof(text) - 1)

static void test_connect(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "example.test:443");
	p.parent.username = "user";
	p.parent.password = "pa:ss";
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd,
	       "CONNECT example.test:443 HTTP/1.1\r\n"
	       "Host: example.test:443\r\n"
	       "Proxy-Authorization: Basic dXNlcjpwYTpzcw==\r\n\r\n");
	assert_string_equal(dial_phase(p.c.dial), "parent");
	// In pieces, an interim reply first, and the first bytes of the tunnel right behind.
	SAY(fd, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 Conn");
	net_run(&p.b.loop, NULL, 10);
	assert_false(p.c.done);
	SAY(fd, "ection established\r\nX: y\r\n\r\n220 mail ready");
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	assert_int_equal(p.c.parent_id, 77);
	assert_false(p.c.plain);
	assert_true(endpoint_equal(&p.c.peer, &p.address));
	assert_true(host_equal(&p.c.target, &p.host));
	assert_int_equal(p.c.early_len, 14);
	assert_memory_equal(p.c.early, "220 mail ready", 14);
	assert_int_equal(p.c.asked, 0); // a name: the parent resolves it
	assert_int_equal(p.b.metrics->parent_handshakes[METRIC_PARENT_OK], 1);
	close(fd);
	parent_close(&p);
}

static void connect_answered(const char *answer, enum close_reason reason, unsigned status)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "example.test:443");
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd,
	       "CONNECT example.test:443 HTTP/1.1\r\n"
	       "Host: example.test:443\r\n\r\n");
	say(fd, answer, strlen(answer));
	close(fd);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, reason);
	assert_int_equal(p.c.parent_status, status);
	assert_int_equal(p.c.parent_id, 77);
	parent_close(&p);
}

static void test_connect_refusals(void **state)
{
	char *big = malloc(20000);

	connect_answered("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
			 CLOSE_PARENT_REFUSED, 403);
	connect_answered("HTTP/1.0 502 Bad Gateway\r\n\r\n", CLOSE_PARENT_REFUSED, 502);
	connect_answered("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
			 CLOSE_PARENT_AUTH_FAILED, 407);
	connect_answered("HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", CLOSE_PARENT_REFUSED,
			 302);
	connect_answered("SSH-2.0-nonsense\r\n", CLOSE_PARENT_MALFORMED, 0);
	connect_answered("HTTP/1.1 200 OK\r\nBad Field: x\r\n\r\n", CLOSE_PARENT_MALFORMED, 0);
	connect_answered("", CLOSE_PARENT_REFUSED, 0);
	connect_answered("HTTP/1.1 200 OK\r\nX: cut", CLOSE_PARENT_REFUSED, 0);
	memset(big, 'a', 20000);
	memcpy(big, "HTTP/1.1 200 OK\r\nX: ", 20);
	big[19999] = 0;
	connect_answered(big, CLOSE_PARENT_MALFORMED, 0);
	free(big);
}

static void test_connect_address(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "[2001:db8::1]:80");
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n");
	assert_int_equal(p.c.asked, 1);
	assert_true(endpoint_equal(&p.c.asked_for[0], &p.host.address));
	dial_cancel(p.c.dial); // in the handshake
	assert_null(p.c.dial);
	close(fd);
	// Denied: the parent is not even asked.
	p.c = (struct caller){.denied = {p.host.address}, .denied_count = 1};
	start(&p);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_ACL_DENIED);
	assert_int_equal(p.c.attempts, 0);
	parent_close(&p);
}

static void test_parent_timeout(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "example.test:443");
	p.request.connect_ns = 50 * MS;
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_CONNECT_TIMEOUT);
	close(fd);
	parent_close(&p);
}

static void test_parent_down(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_SOCKS5, "example.test:443");
	struct endpoint nobody = net_refusing("127.0.0.1:0");
	p.parent.target.host = host_from_endpoint(&nobody);
	start(&p);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_CONNECT_REFUSED);
	assert_true(endpoint_equal(&p.c.peer, &nobody));
	parent_close(&p);
}

// Only connected to: the caller speaks absolute-form.
static void test_plain(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "example.test:80");
	p.request.parent_plain = true;
	start(&p);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	assert_true(p.c.plain);
	assert_int_equal(p.c.parent_id, 77);
	int fd = net_accept(&p.b, p.listener);
	assert_int_equal(stream_write(p.c.stream, "GET ", 4), 4);
	EXPECT(&p, fd, "GET ");
	close(fd);
	parent_close(&p);
}

static void test_socks(void **state)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_SOCKS5, "example.test:443");
	p.parent.username = "u";
	p.parent.password = "pw";
	p.request.parent_plain = true; // without effect
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "\5\2\0\2");
	SAY(fd, "\5\2");
	EXPECT(&p, fd, "\1\1u\2pw");
	SAY(fd, "\1\0");
	EXPECT(&p, fd, "\5\1\0\3\14example.test\1\273");
	SAY(fd, "\5\0\0\1\177\0\0");
	net_run(&p.b.loop, NULL, 5);
	SAY(fd, "\1\1\273early");
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	assert_false(p.c.plain);
	assert_int_equal(p.c.early_len, 5);
	assert_memory_equal(p.c.early, "early", 5);
	close(fd);
	parent_close(&p);
}

static void socks_answered(const char *greeting, const char *reply, size_t reply_len,
			   enum close_reason reason, unsigned status)
{
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_SOCKS5, "192.0.2.7:80");
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "\5\1\0");
	say(fd, greeting, 2);
	if (reply_len) {
		EXPECT(&p, fd, "\5\1\0\1\300\0\2\7\0\120");
		say(fd, reply, reply_len);
	}
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, reason);
	assert_int_equal(p.c.parent_status, status);
	close(fd);
	parent_close(&p);
}

static void test_socks_refusals(void **state)
{
	socks_answered("\5\377", NULL, 0, CLOSE_PARENT_AUTH_FAILED, 0);
	socks_answered("\4\0", NULL, 0, CLOSE_PARENT_MALFORMED, 0);
	socks_answered("\5\0", "\5\5\0\1\0\0\0\0\0\0", 10, CLOSE_PARENT_REFUSED, 5);
	socks_answered("\5\0", "\4\0\0\1\0\0\0\0\0\0", 10, CLOSE_PARENT_MALFORMED, 0);
}

// A list behind a parent: what the parent refuses is followed by the next one.
static void test_parent_targets(void **state)
{
	struct parent_bench p;
	const struct snap_target targets[2] = {{.id = 1, .host = host_of("one.test:1")},
					       {.id = 2, .host = host_of("two.test:2")}};

	parent_open(&p, SNAP_PARENT_HTTP, "unused.test:1");
	p.request.host = NULL;
	p.request.targets = targets;
	p.request.target_count = 2;
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "CONNECT one.test:1 HTTP/1.1\r\nHost: one.test:1\r\n\r\n");
	SAY(fd, "HTTP/1.1 503 Busy\r\n\r\n");
	int next = net_accept(&p.b, p.listener);
	EXPECT(&p, next, "CONNECT two.test:2 HTTP/1.1\r\nHost: two.test:2\r\n\r\n");
	SAY(next, "HTTP/1.1 200 OK\r\n\r\n");
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	assert_int_equal(p.c.parent_status, 0);
	assert_string_equal(p.c.target.name, "two.test");
	close(fd);
	close(next);
	parent_close(&p);
}

// The rules name a parent for the address that a name has: it gets the address.
static void test_divert(void **state)
{
	static const struct script_row rows[] = {
		{.name = "inner.test", .family = AF_INET, .ips = {"192.0.2.9"}, .delay_ms = 5},
	};
	struct parent_bench p;

	parent_open(&p, SNAP_PARENT_HTTP, "inner.test:80");
	p.b.script.rows = rows;
	p.b.script.row_count = 1;
	p.request.parent = NULL;
	p.c.divert = &p.parent;
	start(&p);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "CONNECT 192.0.2.9:80 HTTP/1.1\r\nHost: 192.0.2.9:80\r\n\r\n");
	SAY(fd, "HTTP/1.1 200 OK\r\n\r\n");
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	assert_int_equal(p.c.parent_id, 77);
	assert_int_equal(p.c.asked, 1);
	assert_string_equal(p.c.target.name, "inner.test");
	close(fd);
	parent_close(&p);
}

static void test_preamble(void **state)
{
	struct parent_bench p;
	struct host target;

	parent_open(&p, SNAP_PARENT_HTTP, "example.test:443");
	target = host_from_endpoint(&p.address);
	p.request.host = &target;
	p.request.parent = NULL;
	p.request.send_proxy = SNAP_SEND_PROXY_V1;
	p.request.client = ep("192.0.2.1:1000");
	p.request.local = ep("192.0.2.2:80");
	start(&p);
	wait_done(&p.b, &p.c);
	assert_int_equal(p.c.reason, CLOSE_NONE);
	int fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n");
	close(fd);
	drop(&p.b, &p.c);

	p.request.send_proxy = SNAP_SEND_PROXY_V2;
	start(&p);
	wait_done(&p.b, &p.c);
	fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\14\300\0\2\1\300\0\2\2\3\350\0\120");
	close(fd);
	drop(&p.b, &p.c);

	// Behind a parent it goes through the tunnel; the parent is not used in absolute-form then.
	p.request.parent = &p.parent;
	p.request.host = &p.host;
	p.request.parent_plain = true;
	p.request.send_proxy = SNAP_SEND_PROXY_V1;
	start(&p);
	fd = net_accept(&p.b, p.listener);
	EXPECT(&p, fd, "CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n");
	SAY(fd, "HTTP/1.1 200 OK\r\n\r\nhello");
	wait_done(&p.b, &p.c);
	assert_false(p.c.plain);
	assert_int_equal(p.c.early_len, 5);
	EXPECT(&p, fd, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n");
	close(fd);
	parent_close(&p);
}

static void test_failing_allocations(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct parent_bench p;
		parent_open(&p, SNAP_PARENT_HTTP, "example.test:443");
		p.request.parent_plain = true;
		alloc_fail_at(n);
		int r = dial_start(&p.b.dialer, &p.request, &p.c.dial);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(r == 0 || (r == -ENOMEM && hit));
		if (r == 0) {
			wait_done(&p.b, &p.c);
			assert_int_equal(p.c.reason, hit ? CLOSE_NO_MEMORY : CLOSE_NONE);
		}
		parent_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),         cmocka_unit_test(test_connect_refusals),
		cmocka_unit_test(test_connect_address), cmocka_unit_test(test_parent_timeout),
		cmocka_unit_test(test_parent_down),     cmocka_unit_test(test_plain),
		cmocka_unit_test(test_socks),           cmocka_unit_test(test_socks_refusals),
		cmocka_unit_test(test_parent_targets),  cmocka_unit_test(test_divert),
		cmocka_unit_test(test_preamble),        cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
