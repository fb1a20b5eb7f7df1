// SPDX-License-Identifier: Apache-2.0
// Dialling against listeners on loopback: who is reached, in what order, and why not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "dial_bench.h"
#include "upstream/dial_internal.h"

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

static void test_address(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint to = ep("127.0.0.1:0");
	int fd = net_listen(&to, 8);
	struct host host = host_from_endpoint(&to);

	bench_open(&b, NULL, 0);
	dial_to(&b, &c, &host);
	assert_string_equal(dial_phase(c.dial), "connecting");
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NONE);
	assert_int_equal(c.attempts, 1);
	assert_int_equal(c.asked, 1);
	assert_true(endpoint_equal(&c.asked_for[0], &to));
	assert_true(endpoint_equal(&c.peer, &to));
	assert_int_equal(c.resolve_ns, 0);
	assert_int_equal(c.early_len, 0);
	assert_int_equal(c.parent_id, 0);
	assert_int_equal(b.metrics->connects[METRIC_CONNECT_OK], 1);
	int conn = net_accept(&b, fd);
	assert_int_equal(stream_write(c.stream, "hello", 5), 5);
	net_expect(&b, conn, "hello", 5);
	close(conn);
	drop(&b, &c);
	close(fd);
	bench_close(&b);
}

static void test_refused(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint to = net_refusing("127.0.0.1:0");
	struct host host = host_from_endpoint(&to);

	bench_open(&b, NULL, 0);
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_CONNECT_REFUSED);
	assert_int_equal(c.error, -ECONNREFUSED);
	assert_true(endpoint_equal(&c.peer, &to));
	assert_int_equal(b.metrics->connects[METRIC_CONNECT_REFUSED], 1);
	bench_close(&b);
}

static void test_denied(void **state)
{
	struct bench b;
	struct caller c = {.denied = {ep("127.0.0.1:0")}, .denied_count = 1};
	struct host host = host_of("127.0.0.1:9");

	bench_open(&b, NULL, 0);
	dial_to(&b, &c, &host); // `done` must not come from inside of it
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_ACL_DENIED);
	assert_int_equal(c.attempts, 0);
	assert_true(endpoint_equal(&c.peer, &host.address));
	bench_close(&b);
}

static void test_unreachable(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct host host = host_of("255.255.255.255:9"); // TCP to a broadcast address

	bench_open(&b, NULL, 0);
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_CONNECT_UNREACHABLE);
	bench_close(&b);
}

static void test_connect_timeout(void **state)
{
	struct bench b;
	struct caller c = {0};
	int fds[4];
	struct endpoint to = net_hanging("127.0.0.1:0", fds);
	struct host host = host_from_endpoint(&to);

	bench_open(&b, NULL, 0);
	struct dial_request request = request_for(&c, &host);
	request.connect_ns = 60 * MS;
	uint64_t begin = sys_now();
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_CONNECT_TIMEOUT);
	assert_int_equal(c.error, -ETIMEDOUT);
	assert_in_range(c.at - begin, 60 * MS, 1000 * MS);
	assert_int_equal(b.metrics->connects[METRIC_CONNECT_TIMEOUT], 1);
	net_close(fds, 4);
	bench_close(&b);
}

static void test_no_descriptors(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct host host = host_of("127.0.0.1:9");
	struct rlimit before, none;

	bench_open(&b, NULL, 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	dial_to(&b, &c, &host);
	setrlimit(RLIMIT_NOFILE, &before);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NO_DESCRIPTORS);
	assert_int_equal(b.metrics->connects[METRIC_CONNECT_NO_DESCRIPTORS], 1);
	bench_close(&b);
}

static void test_source_address(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint to = ep("127.0.0.1:0"), from;
	int fd = net_listen(&to, 8);
	struct host host = host_from_endpoint(&to);

	bench_open(&b, NULL, 0);
	struct dial_request request = request_for(&c, &host);
	request.source4 = ep("127.0.0.77:0");
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NONE);
	assert_int_equal(c.stream->ops->local(c.stream, &from), 0);
	assert_true(endpoint_same_ip(&from, &request.source4));
	drop(&b, &c);
	// An address that is not ours.
	request.source4 = ep("192.0.2.1:0");
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
	wait_done(&b, &c);
	assert_int_equal(c.error, -EADDRNOTAVAIL);
	assert_int_equal(c.reason, CLOSE_NO_PORTS);
	close(fd);
	bench_close(&b);
}

static void test_reasons(void **state)
{
	assert_int_equal(dial_reason_of(0, AF_INET), CLOSE_NONE);
	assert_int_equal(dial_reason_of(-ENETUNREACH, AF_INET), CLOSE_CONNECT_UNREACHABLE);
	assert_int_equal(dial_reason_of(-ENOMEM, AF_INET), CLOSE_NO_MEMORY);
	assert_int_equal(dial_reason_of(-ENOBUFS, AF_INET), CLOSE_NO_BUFFERS);
	assert_int_equal(dial_reason_of(-ENFILE, AF_INET), CLOSE_NO_DESCRIPTORS);
	assert_int_equal(dial_reason_of(-EADDRNOTAVAIL, AF_INET), CLOSE_NO_PORTS);
	assert_int_equal(dial_reason_of(-EPIPE, AF_INET), CLOSE_CONNECT_FAILED);
}

// A name with addresses of one family only.
static void test_name(void **state)
{
	static const struct script_row rows[] = {
		{.name = "one.test",
		 .family = AF_INET,
		 .delay_ms = 20,
		 .ips = {"127.0.0.1"},
		 .ttl_ns = 1000 * MS},
		{.name = "one.test",
		 .family = AF_INET6,
		 .status = RESOLVER_NO_DATA,
		 .ttl_ns = 1000 * MS},
	};
	struct bench b;
	struct caller c = {0};
	struct endpoint to = ep("127.0.0.1:0");
	int fd = net_listen(&to, 8);
	struct host host = host_with_port("one.test", to.port);

	bench_open(&b, ROWS(rows));
	dial_to(&b, &c, &host);
	assert_string_equal(dial_phase(c.dial), "resolving");
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NONE);
	assert_true(endpoint_equal(&c.peer, &to));
	assert_true(host_equal(&c.target, &host));
	assert_in_range(c.resolve_ns, 15 * MS, 500 * MS);
	drop(&b, &c);
	// From the cache there is no waiting.
	dial_to(&b, &c, &host);
	assert_string_equal(dial_phase(c.dial), "connecting");
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NONE);
	drop(&b, &c);
	close(fd);
	bench_close(&b);
}

static void test_name_failures(void **state)
{
	static const struct script_row rows[] = {
		{.name = "down.test", .family = AF_INET, .status = RESOLVER_FAILED},
		{.name = "down.test", .family = AF_INET6, .status = RESOLVER_FAILED},
		{.name = "slow.test", .family = AF_INET, .status = RESOLVER_TIMEOUT, .delay_ms = 5},
		{.name = "slow.test", .family = AF_INET6, .status = RESOLVER_FAILED},
		{.name = "mute.test", .family = AF_INET, .silent = true},
		{.name = "mute.test", .family = AF_INET6, .silent = true},
	};
	struct bench b;
	struct caller c = {0};
	struct host host = host_of("absent.test:80");

	bench_open(&b, ROWS(rows));
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_RESOLVE_FAILED);
	drop(&b, &c);
	host = host_of("down.test:80");
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_RESOLVE_FAILED);
	drop(&b, &c);
	host = host_of("slow.test:80");
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_RESOLVE_TIMEOUT);
	drop(&b, &c);
	host = host_of("mute.test:80");
	struct dial_request request = request_for(&c, &host);
	request.resolve_ns = 40 * MS;
	uint64_t begin = sys_now();
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_RESOLVE_TIMEOUT);
	assert_in_range(c.at - begin, 40 * MS, 1000 * MS);
	drop(&b, &c);
	// Without a resolver names cannot be reached.
	b.dialer.resolver = NULL;
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_RESOLVE_FAILED);
	bench_close(&b);
}

// Each address is asked for; what is denied is skipped; what can be reached wins.
static void test_permit_each(void **state)
{
	static const struct script_row rows[] = {
		{.name = "many.test",
		 .family = AF_INET,
		 .ips = {"127.0.0.2", "127.0.0.3", "127.0.0.4"}},
	};
	struct bench b;
	struct caller c = {.denied = {ep("127.0.0.2:0")}, .denied_count = 1};
	struct endpoint to = ep("127.0.0.4:0");
	int fd = net_listen(&to, 8);
	struct host host = host_with_port("many.test", to.port);

	bench_open(&b, ROWS(rows));
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_NONE);
	assert_int_equal(c.asked, 3);
	assert_int_equal(c.attempts, 2);
	assert_true(endpoint_same_ip(&c.asked_for[0], &c.denied[0]) || c.asked == 3);
	assert_true(endpoint_equal(&c.peer, &to));
	drop(&b, &c);
	// A refusal tells more than a denial, a denial more than nothing.
	c = (struct caller){.denied = {ep("127.0.0.2:0"), ep("127.0.0.4:0")}, .denied_count = 2};
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_CONNECT_REFUSED);
	drop(&b, &c);
	c = (struct caller){.denied = {ep("127.0.0.2:0"), ep("127.0.0.3:0"), ep("127.0.0.4:0")},
			    .denied_count = 3};
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_ACL_DENIED);
	assert_int_equal(c.attempts, 0);
	close(fd);
	bench_close(&b);
}

// The addresses of a name take turns; one that failed is tried last until it is reached again.
static void test_rotation(void **state)
{
	static const struct script_row rows[] = {
		{.name = "many.test",
		 .family = AF_INET,
		 .ips = {"127.0.0.2", "127.0.0.3"},
		 .ttl_ns = 3600000 * MS},
	};
	struct bench b;
	struct caller c = {0};
	struct endpoint two = ep("127.0.0.2:0");
	int fd2 = net_listen(&two, 16), seen[2] = {0};
	struct endpoint three = two;
	three.ip[3] = 3;
	int fd3 = net_listen(&three, 16);
	struct host host = host_with_port("many.test", two.port);

	bench_open(&b, ROWS(rows));
	for (int i = 0; i < 6; i++) {
		dial_to(&b, &c, &host);
		wait_done(&b, &c);
		assert_int_equal(c.reason, CLOSE_NONE);
		seen[c.peer.ip[3] - 2]++;
		drop(&b, &c);
	}
	assert_int_equal(seen[0], 3);
	close(fd3);
	unsigned attempts = 0;
	for (int i = 0; i < 6; i++) {
		dial_to(&b, &c, &host);
		wait_done(&b, &c);
		assert_true(endpoint_equal(&c.peer, &two));
		attempts += c.attempts;
		drop(&b, &c);
	}
	assert_int_equal(attempts, 7);
	fd3 = net_listen(&three, 16);
	b.loop.now = sys_now() + DIAL_MEMORY_NS;
	assert_false(dial_memory_avoids(&b.dialer.memory, &three, b.loop.now));
	close(fd2);
	close(fd3);
	bench_close(&b);
}

static const struct script_row both[] = {
	{.name = "both.test", .family = AF_INET, .ips = {"127.0.0.1"}},
	{.name = "both.test", .family = AF_INET6, .ips = {"::1"}},
	{.name = "late6.test", .family = AF_INET, .ips = {"127.0.0.1"}},
	{.name = "late6.test", .family = AF_INET6, .ips = {"::1"}, .delay_ms = 20},
	{.name = "mute6.test", .family = AF_INET, .ips = {"127.0.0.1"}},
	{.name = "mute6.test", .family = AF_INET6, .silent = true},
};

// IPv6 goes first; a late AAAA is waited for, but not for long.
static void test_families(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint v4, v6;
	int fd4 = -1, fd6 = -1;

	if (!net_twins(&v4, &v6, &fd4, &fd6))
		skip();
	listen(fd4, 8);
	listen(fd6, 8);
	bench_open(&b, ROWS(both));
	struct host host = host_with_port("both.test", v4.port);
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v6));
	assert_int_equal(c.attempts, 1);
	drop(&b, &c);

	host = host_with_port("late6.test", v4.port);
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v6));
	drop(&b, &c);

	host = host_with_port("mute6.test", v4.port);
	uint64_t begin = sys_now();
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v4));
	assert_in_range(c.at - begin, 50 * MS, 250 * MS);
	drop(&b, &c);
	close(fd4);
	close(fd6);
	bench_close(&b);
}

// IPv6 refuses: IPv4 at once. IPv6 hangs: IPv4 after 250 ms, and the IPv6 attempt is closed.
static void test_fall_back(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint v4, v6;
	int fd4 = -1, fd6 = -1, fill[3];

	if (!net_twins(&v4, &v6, &fd4, &fd6))
		skip();
	listen(fd4, 8);
	bench_open(&b, ROWS(both));
	struct host host = host_with_port("both.test", v4.port);
	uint64_t begin = sys_now();
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v4));
	assert_int_equal(c.attempts, 2);
	assert_in_range(c.at - begin, 0, 200 * MS);
	drop(&b, &c);

	// What has failed just now goes last.
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v4));
	assert_int_equal(c.attempts, 1);
	drop(&b, &c);
	memset(&b.dialer.memory, 0, sizeof(b.dialer.memory));

	listen(fd6, 0);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&v6, &sa);
	for (int i = 0; i < 3; i++) {
		fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (struct sockaddr *)&sa, len);
	}
	begin = sys_now();
	dial_to(&b, &c, &host);
	wait_done(&b, &c);
	assert_true(endpoint_equal(&c.peer, &v4));
	assert_int_equal(c.attempts, 2);
	assert_in_range(c.at - begin, 250 * MS, 600 * MS);
	assert_int_equal(b.metrics->connects[METRIC_CONNECT_ABANDONED], 1);
	drop(&b, &c);
	net_close(fill, 3);
	close(fd4);
	close(fd6);
	bench_close(&b);
}

// A fixed list: in rotation, past what refuses at once, past what hangs after a second.
static void test_targets(void **state)
{
	struct bench b;
	struct caller c = {0};
	int fds[4], seen[2] = {0};
	struct endpoint a = ep("127.0.0.1:0"), z = ep("127.0.0.1:0");
	int fda = net_listen(&a, 16), fdz = net_listen(&z, 16);
	struct snap_target targets[2] = {{.id = 1, .host = host_from_endpoint(&a)},
					 {.id = 2, .host = host_from_endpoint(&z)}};

	bench_open(&b, NULL, 0);
	struct dial_request request = request_for(&c, NULL);
	request.targets = targets;
	request.target_count = 2;
	for (int i = 0; i < 6; i++) {
		assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
		wait_done(&b, &c);
		assert_int_equal(c.reason, CLOSE_NONE);
		assert_true(endpoint_equal(&c.peer, &c.target.address));
		seen[endpoint_equal(&c.peer, &z)]++;
		drop(&b, &c);
	}
	assert_int_equal(seen[0], 3);
	assert_int_equal(seen[1], 3);

	close(fdz); // refuses now
	for (int i = 0; i < 4; i++) {
		assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
		wait_done(&b, &c);
		assert_true(endpoint_equal(&c.peer, &a));
		assert_true(host_equal(&c.target, &targets[0].host));
		drop(&b, &c);
	}
	close(fda);
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
	wait_done(&b, &c);
	assert_int_equal(c.reason, CLOSE_CONNECT_REFUSED);
	assert_int_equal(c.attempts, 2);
	drop(&b, &c);

	struct endpoint hung = net_hanging("127.0.0.1:0", fds);
	a = ep("127.0.0.1:0");
	fda = net_listen(&a, 16);
	targets[0].host = host_from_endpoint(&hung);
	targets[1].host = host_from_endpoint(&a);
	request.connect_ns = 3000 * MS;
	uint64_t begin = sys_now();
	for (int i = 0; i < 2; i++) { // one of them begins with the hung one
		assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
		wait_done(&b, &c);
		assert_true(endpoint_equal(&c.peer, &a));
		drop(&b, &c);
	}
	assert_in_range(sys_now() - begin, 1000 * MS, 2000 * MS);
	// Once it is known to hang, it is tried last.
	begin = sys_now();
	for (int i = 0; i < 6; i++) {
		assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
		wait_done(&b, &c);
		assert_true(endpoint_equal(&c.peer, &a));
		assert_int_equal(c.attempts, 1);
		drop(&b, &c);
	}
	assert_in_range(sys_now() - begin, 0, 500 * MS);
	net_close(fds, 4);
	close(fda);
	bench_close(&b);
}

static void test_target_names(void **state)
{
	static const struct script_row rows[] = {
		{.name = "gone.test", .family = AF_INET, .status = RESOLVER_NOT_FOUND},
		{.name = "here.test", .family = AF_INET, .ips = {"127.0.0.1"}, .delay_ms = 5},
	};
	struct bench b;
	struct caller c = {0};
	struct endpoint a = ep("127.0.0.1:0");
	int fd = net_listen(&a, 16);
	struct snap_target targets[2] = {{.id = 1, .host = host_with_port("gone.test", a.port)},
					 {.id = 2, .host = host_with_port("here.test", a.port)}};

	bench_open(&b, ROWS(rows));
	struct dial_request request = request_for(&c, NULL);
	request.targets = targets;
	request.target_count = 2;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dial_start(&b.dialer, &request, &c.dial), 0);
		wait_done(&b, &c);
		assert_int_equal(c.reason, CLOSE_NONE);
		assert_string_equal(c.target.name, "here.test");
		drop(&b, &c);
	}
	close(fd);
	bench_close(&b);
}

// Cancelled at each stage: nothing is called, nothing is left.
static void test_cancel(void **state)
{
	static const struct script_row rows[] = {
		{.name = "slow.test", .family = AF_INET, .ips = {"127.0.0.1"}, .delay_ms = 20},
		{.name = "slow.test", .family = AF_INET6, .status = RESOLVER_NO_DATA},
	};
	struct bench b;
	struct caller c = {0};
	int fds[4];
	struct endpoint hung = net_hanging("127.0.0.1:0", fds);
	struct host name = host_with_port("slow.test", hung.port);
	struct host address = host_from_endpoint(&hung);

	bench_open(&b, ROWS(rows));
	dial_cancel(NULL);
	dial_to(&b, &c, &name);
	dial_cancel(c.dial); // resolving
	assert_null(c.dial);
	dial_cancel(c.dial);
	net_run(&b.loop, NULL, 50);
	dial_to(&b, &c, &address);
	dial_cancel(c.dial); // before the first turn
	dial_to(&b, &c, &address);
	net_run(&b.loop, NULL, 20);
	dial_cancel(c.dial); // connecting
	c.denied[0] = hung;
	c.denied_count = 1;
	dial_to(&b, &c, &address);
	dial_cancel(c.dial); // failed, not yet reported
	net_run(&b.loop, NULL, 20);
	assert_false(c.done);
	net_close(fds, 4);
	bench_close(&b);
}

static void test_bad_requests(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct host none = {0};

	bench_open(&b, NULL, 0);
	struct dial_request request = request_for(&c, &none);
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), -EINVAL);
	request.host = NULL;
	assert_int_equal(dial_start(&b.dialer, &request, &c.dial), -EINVAL);
	assert_null(c.dial);
	bench_close(&b);
}

// Every allocation fails once: an error, or a failure that is reported; never a leak.
static void test_failing_allocations(void **state)
{
	static const struct script_row rows[] = {
		{.name = "one.test", .family = AF_INET, .ips = {"127.0.0.1"}},
		{.name = "one.test", .family = AF_INET6, .status = RESOLVER_NO_DATA},
	};
	struct endpoint to = ep("127.0.0.1:0");
	int fd = net_listen(&to, 64);
	struct snap_target targets[2] = {{.id = 1, .host = host_with_port("one.test", to.port)},
					 {.id = 2, .host = host_with_port("one.test", to.port)}};
	bool succeeded = false;

	for (long n = 1, hit = 1; hit; n++) {
		struct bench b;
		struct caller c = {0};
		bench_open(&b, ROWS(rows));
		struct dial_request request = request_for(&c, NULL);
		request.targets = targets;
		request.target_count = 2;
		alloc_fail_at(n);
		int r = dial_start(&b.dialer, &request, &c.dial);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_null(c.dial);
		} else {
			wait_done(&b, &c);
			succeeded = succeeded || c.reason == CLOSE_NONE;
			drop(&b, &c);
		}
		bench_close(&b);
	}
	assert_true(succeeded);
	close(fd);
}

static void test_memory(void **state)
{
	static struct dial_memory memory;
	struct endpoint v4 = ep("192.0.2.1:80"), v6 = ep("[2001:db8::1]:80"),
			other = ep("[2001:db8::2]:80"), local = ep("[::1]:80");
	struct host name = host_of("one.test:80");
	uint64_t now = 1000 * MS;

	assert_false(dial_memory_avoids(&memory, &v4, now));
	dial_memory_failed(&memory, &v4, -ECONNREFUSED, now);
	assert_true(dial_memory_avoids(&memory, &v4, now));
	v4.port = 81;
	assert_false(dial_memory_avoids(&memory, &v4, now));
	// What we lack ourselves is not the place's fault.
	dial_memory_failed(&memory, &v4, -EMFILE, now);
	assert_false(dial_memory_avoids(&memory, &v4, now));
	v4.port = 80;
	dial_memory_reached(&memory, &v4, &name, now);
	assert_false(dial_memory_avoids(&memory, &v4, now));
	dial_memory_host_failed(&memory, &name, now);
	assert_true(dial_memory_avoids_host(&memory, &name, now));
	assert_false(dial_memory_avoids_host(&memory, &name, now + DIAL_MEMORY_NS));
	// No IPv6 at all, but for the loopback's.
	dial_memory_failed(&memory, &local, -EADDRNOTAVAIL, now);
	assert_false(dial_memory_avoids_ipv6(&memory, now));
	dial_memory_failed(&memory, &v6, -ENETUNREACH, now);
	assert_true(dial_memory_avoids_ipv6(&memory, now));
	assert_true(dial_memory_avoids(&memory, &other, now));
	dial_memory_reached(&memory, &v6, &name, now);
	assert_false(dial_memory_avoids(&memory, &other, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_source_address),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_name_failures),
		cmocka_unit_test(test_permit_each),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_fall_back),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_target_names),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
