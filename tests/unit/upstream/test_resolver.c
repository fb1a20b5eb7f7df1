// SPDX-License-Identifier: Apache-2.0
// The resolver's cache, its shared queries and special names, over a scripted back end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "net.h"
#include "obs/metrics.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

struct bench {
	struct loop loop;
	struct script script;
	struct resolver_config config;
	struct resolver *resolver;
	struct metrics *metrics;
};

struct asker {
	struct resolver_wait wait;
	bool done;
	struct resolver_answer answer;
	struct endpoint addresses[RESOLVER_ADDRESSES_MAX];
	struct asker *cancels; // another one, when answered
	struct bench *asks;    // or asks again
};

static void bench_open(struct bench *b, const struct script_row *rows, unsigned count)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(loop_init(&b->loop, 0), 0);
	b->metrics = metrics_new();
	b->script = (struct script){
		.base.ops = &script_ops, .loop = &b->loop, .rows = rows, .row_count = count};
	b->config = (struct resolver_config){.cache_entries = 1000,
					     .ttl_min_ns = 0,
					     .ttl_max_ns = 3600 * SECOND,
					     .ttl_negative_ns = 10 * SECOND,
					     .hosts_path = ""};
	assert_int_equal(
		resolver_new(&b->loop, b->metrics, &b->config, &b->script.base, &b->resolver), 0);
}

static void bench_close(struct bench *b)
{
	resolver_free(b->resolver);
	assert_true(b->script.freed);
	assert_int_equal(b->metrics->dns_cache_entries, 0);
	assert_int_equal(b->metrics->dns_pending, 0);
	loop_release(&b->loop);
	metrics_free(b->metrics);
}

static void keep(struct asker *a, const struct resolver_answer *answer)
{
	assert_false(a->done);
	a->done = true;
	a->answer = *answer;
	if (answer->count)
		memcpy(a->addresses, answer->addresses, answer->count * sizeof(a->addresses[0]));
}

static int ask(struct bench *b, struct asker *a, const char *name, int family);

static void answered(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct asker *a = caa_container_of(wait, struct asker, wait);

	keep(a, answer);
	assert_null(wait->entry);
	if (a->cancels)
		resolver_cancel(&a->cancels->wait);
	if (a->asks) {
		struct asker again = {0};
		assert_int_equal(ask(a->asks, &again, "other.test", AF_INET), 1);
	}
}

static int ask(struct bench *b, struct asker *a, const char *name, int family)
{
	struct resolver_answer answer;

	a->done = false;
	a->wait.done = answered;
	int r = resolver_lookup(b->resolver, name, strlen(name), family, &a->wait, &answer);
	if (r > 0)
		keep(a, &answer);
	return r;
}

static const struct script_row rows[] = {
	{.name = "a.test",
	 .family = AF_INET,
	 .ips = {"192.0.2.1", "192.0.2.2"},
	 .ttl_ns = 60 * SECOND},
	{.name = "a.test", .family = AF_INET6, .ips = {"2001:db8::1"}, .ttl_ns = 60 * SECOND},
	{.name = "slow.test",
	 .family = AF_INET,
	 .ips = {"192.0.2.3"},
	 .delay_ms = 10,
	 .ttl_ns = 60 * SECOND},
	{.name = "other.test", .family = AF_INET, .ips = {"192.0.2.9"}, .ttl_ns = 60 * SECOND},
	{.name = "zero.test", .family = AF_INET, .ips = {"192.0.2.4"}, .ttl_ns = 0},
	{.name = "long.test", .family = AF_INET, .ips = {"192.0.2.4"}, .ttl_ns = UINT64_MAX},
	{.name = "none.test", .family = AF_INET, .status = RESOLVER_NO_DATA, .ttl_ns = 3 * SECOND},
	{.name = "mixed.test", .family = AF_INET6, .ips = {"192.0.2.1"}, .ttl_ns = SECOND},
	{.name = "down.test", .family = AF_INET, .status = RESOLVER_FAILED},
	{.name = "time.test", .family = AF_INET, .status = RESOLVER_TIMEOUT, .delay_ms = 1},
	{.name = "mute.test", .family = AF_INET, .silent = true},
};
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static void test_cache(void **state)
{
	struct bench b;
	struct asker a = {0};
	struct resolver_stats stats;

	bench_open(&b, rows, ROW_COUNT);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_OK);
	assert_false(a.answer.cached);
	assert_int_equal(a.answer.count, 2);
	assert_int_equal(a.addresses[1].ip[3], 2);
	assert_int_equal(a.addresses[0].port, 0);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_true(a.answer.cached);
	assert_int_equal(a.answer.count, 2);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET6), 1);
	assert_int_equal(a.answer.count, 1);
	assert_int_equal(a.addresses[0].family, AF_INET6);
	assert_int_equal(b.script.asked, 2);
	resolver_stats(b.resolver, &stats);
	assert_int_equal(stats.entries, 2);
	assert_int_equal(stats.hits, 1);
	// Until the TTL is over, and not a moment longer.
	b.loop.now += 60 * SECOND - 1;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_true(a.answer.cached);
	b.loop.now += 1;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_false(a.answer.cached);
	resolver_flush(b.resolver);
	resolver_stats(b.resolver, &stats);
	assert_int_equal(stats.entries, 0);
	bench_close(&b);
}

static void test_lifetimes(void **state)
{
	struct bench b;
	struct asker a = {0};

	bench_open(&b, rows, ROW_COUNT);
	// TTL 0: for those who wait, and nobody else.
	assert_int_equal(ask(&b, &a, "zero.test", AF_INET), 1);
	assert_int_equal(ask(&b, &a, "zero.test", AF_INET), 1);
	assert_false(a.answer.cached);
	// Clamped from above.
	assert_int_equal(ask(&b, &a, "long.test", AF_INET), 1);
	assert_int_equal(a.answer.expires, b.loop.now + 3600 * SECOND);
	// Negative: as the SOA says, at most as configured.
	assert_int_equal(ask(&b, &a, "none.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NO_DATA);
	assert_int_equal(a.answer.expires, b.loop.now + 3 * SECOND);
	assert_int_equal(ask(&b, &a, "absent.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NOT_FOUND);
	assert_int_equal(a.answer.expires, b.loop.now + 10 * SECOND);
	assert_int_equal(ask(&b, &a, "absent.test", AF_INET), 1);
	assert_true(a.answer.cached);
	assert_int_equal(b.metrics->dns_lookups[METRIC_DNS_CACHED_NEGATIVE], 1);
	// Addresses of the wrong family are none.
	assert_int_equal(ask(&b, &a, "mixed.test", AF_INET6), 1);
	assert_int_equal(a.answer.status, RESOLVER_NO_DATA);
	// Failures: a second.
	unsigned asked = b.script.asked;
	assert_int_equal(ask(&b, &a, "down.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_FAILED);
	assert_int_equal(ask(&b, &a, "down.test", AF_INET), 1);
	assert_int_equal(b.script.asked, asked + 1);
	b.loop.now += SECOND;
	assert_int_equal(ask(&b, &a, "down.test", AF_INET), 1);
	assert_int_equal(b.script.asked, asked + 2);
	// Clamped from below.
	b.config.ttl_min_ns = 5 * SECOND;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a, "zero.test", AF_INET), 1);
	assert_int_equal(a.answer.expires, b.loop.now + 5 * SECOND);
	bench_close(&b);
}

// Many ask, one query goes out; any may cancel, also while the answers are given.
static void test_shared(void **state)
{
	struct bench b;
	struct asker a[5] = {0};

	bench_open(&b, rows, ROW_COUNT);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(&b, &a[i], "slow.test", AF_INET), 0);
	assert_int_equal(b.script.asked, 1);
	assert_int_equal(b.metrics->dns_pending, 1);
	resolver_cancel(&a[1].wait);
	resolver_cancel(&a[1].wait);
	a[0].cancels = &a[3];
	a[2].asks = &b;
	net_run(&b.loop, &a[4].done, 1000);
	assert_true(a[0].done && a[2].done && a[4].done);
	assert_false(a[1].done || a[3].done);
	assert_int_equal(a[4].answer.count, 1);
	assert_int_equal(b.metrics->dns_lookups[METRIC_DNS_JOINED], 4);
	// All cancelled: the answer is kept all the same.
	resolver_flush(b.resolver);
	assert_int_equal(ask(&b, &a[0], "slow.test", AF_INET), 0);
	resolver_cancel(&a[0].wait);
	net_run(&b.loop, NULL, 30);
	assert_int_equal(ask(&b, &a[0], "slow.test", AF_INET), 1);
	assert_true(a[0].answer.cached);
	bench_close(&b);
}

static void test_bounds(void **state)
{
	struct bench b;
	struct asker a[3] = {0};
	struct resolver_stats stats;
	char name[300];

	bench_open(&b, rows, ROW_COUNT);
	b.config.cache_entries = 200;
	b.config.pending_max = 2;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		assert_int_equal(ask(&b, &a[0], name, AF_INET), 1);
		// Kept in use, so never evicted.
		assert_int_equal(ask(&b, &a[0], "a.test", AF_INET), 1);
	}
	resolver_stats(b.resolver, &stats);
	assert_int_equal(stats.entries, 200);
	assert_int_equal(stats.evicted, 801);
	assert_int_equal(stats.hits, 999);
	assert_in_range(stats.bytes, 200 * 100, 200 * 300);
	assert_int_equal(ask(&b, &a[0], "slow.test", AF_INET), 0);
	assert_int_equal(ask(&b, &a[1], "mute.test", AF_INET), 0);
	assert_int_equal(ask(&b, &a[2], "new.test", AF_INET), -EBUSY);
	assert_int_equal(ask(&b, &a[2], "a.test", AF_INET), 1);
	assert_int_equal(ask(&b, &a[2], "slow.test", AF_INET), 0);
	memset(name, 'a', sizeof(name));
	name[254] = 0;
	assert_int_equal(ask(&b, &a[2], name, AF_INET), -EINVAL);
	assert_int_equal(ask(&b, &a[2], "", AF_INET), -EINVAL);
	assert_int_equal(ask(&b, &a[2], "a.test", AF_UNSPEC), -EINVAL);
	bench_close(&b); // with queries in flight
	assert_null(a[1].wait.entry);
}

static void test_no_cache(void **state)
{
	struct bench b;
	struct asker a[2] = {0};

	bench_open(&b, rows, ROW_COUNT);
	b.config.cache_entries = 0;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a[0], "a.test", AF_INET), 1);
	assert_int_equal(a[0].answer.count, 2);
	assert_int_equal(ask(&b, &a[0], "a.test", AF_INET), 1);
	assert_int_equal(b.script.asked, 2);
	assert_int_equal(ask(&b, &a[0], "slow.test", AF_INET), 0);
	assert_int_equal(ask(&b, &a[1], "slow.test", AF_INET), 0);
	net_run(&b.loop, &a[1].done, 1000);
	assert_true(a[0].done && a[1].done);
	assert_int_equal(b.script.asked, 3);
	bench_close(&b);
}

// The servers fail: what was known serves on for a while (RFC 8767).
static void test_stale(void **state)
{
	static struct script_row own[] = {
		{.name = "a.test", .family = AF_INET, .ips = {"192.0.2.1"}, .ttl_ns = SECOND},
	};
	struct bench b;
	struct asker a = {0};

	own[0].status = RESOLVER_OK;
	bench_open(&b, own, 1);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	own[0] = (struct script_row){
		.name = "a.test", .family = AF_INET, .status = RESOLVER_TIMEOUT};
	b.loop.now += 2 * SECOND;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_OK);
	assert_int_equal(a.answer.count, 1);
	assert_int_equal(b.script.asked, 2);
	b.loop.now += 2 * SECOND;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(b.script.asked, 2); // not asked again for every request
	b.loop.now += 3700 * SECOND;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_TIMEOUT);
	assert_int_equal(a.answer.count, 0);
	// An answer that says no is an answer.
	own[0] = (struct script_row){
		.name = "a.test", .family = AF_INET, .ips = {"192.0.2.1"}, .ttl_ns = SECOND};
	b.loop.now += 2 * SECOND;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_OK);
	own[0].name = "else.test";
	b.loop.now += 2 * SECOND;
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NOT_FOUND);
	bench_close(&b);
}

static void test_special_names(void **state)
{
	char path[] = "/tmp/hosts.XXXXXX";
	static const char text[] = "192.0.2.50 printer printer.test\n127.0.0.9 localhost x.onion\n";
	const struct endpoint loopback = ep("127.0.0.1:0"), loopback6 = ep("[::1]:0");
	struct bench b;
	struct asker a = {0};
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	bench_open(&b, rows, ROW_COUNT);
	assert_int_equal(ask(&b, &a, "localhost", AF_INET), 1);
	assert_true(endpoint_equal(&a.addresses[0], &loopback));
	assert_int_equal(ask(&b, &a, "some.localhost", AF_INET6), 1);
	assert_true(endpoint_equal(&a.addresses[0], &loopback6));
	assert_int_equal(ask(&b, &a, "x.onion", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NOT_FOUND);
	assert_int_equal(ask(&b, &a, "invalid", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NOT_FOUND);
	assert_int_equal(b.script.asked, 0);
	assert_int_equal(ask(&b, &a, "notlocalhost", AF_INET), 1);
	assert_int_equal(b.script.asked, 1);
	// The hosts file, once it is configured; localhost stays what it is.
	assert_int_equal(ask(&b, &a, "printer", AF_INET), 1);
	assert_int_equal(a.answer.status, RESOLVER_NOT_FOUND);
	b.config.hosts_path = path;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a, "printer", AF_INET), 1);
	assert_int_equal(a.answer.count, 1);
	assert_int_equal(ask(&b, &a, "printer.test", AF_INET6), 1);
	assert_int_equal(a.answer.status, RESOLVER_NO_DATA);
	assert_int_equal(ask(&b, &a, "x.onion", AF_INET), 1);
	assert_int_equal(a.answer.count, 1);
	assert_int_equal(ask(&b, &a, "localhost", AF_INET), 1);
	assert_true(endpoint_equal(&a.addresses[0], &loopback));
	unlink(path);
	bench_close(&b);
}

// Other servers may know otherwise: the cache is forgotten. The same ones: it stays.
static void test_configure(void **state)
{
	struct bench b;
	struct asker a = {0};
	struct endpoint servers[2] = {ep("192.0.2.53:53"), ep("192.0.2.54:53")};

	bench_open(&b, rows, ROW_COUNT);
	b.config.servers = servers;
	b.config.server_count = 2;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_true(a.answer.cached);
	b.config.server_count = 1;
	assert_int_equal(resolver_configure(b.resolver, &b.config), 0);
	assert_int_equal(ask(&b, &a, "a.test", AF_INET), 1);
	assert_false(a.answer.cached);
	bench_close(&b);
}

static void test_failing_allocations(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct bench b;
		struct asker a = {0};
		bench_open(&b, rows, ROW_COUNT);
		alloc_fail_at(n);
		int r = ask(&b, &a, "a.test", AF_INET);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(r == 1 || (r == -ENOMEM && hit));
		if (r == 1)
			assert_true(a.answer.status == RESOLVER_OK ||
				    (hit && a.answer.status == RESOLVER_FAILED));
		bench_close(&b);
	}
	for (long n = 1, hit = 1; hit; n++) {
		struct loop loop;
		struct script script = {.base.ops = &script_ops, .loop = &loop};
		const struct endpoint server = ep("127.0.0.1:53");
		struct resolver_config config = {.servers = &server, .server_count = 1};
		struct resolver *resolver = NULL;
		assert_int_equal(loop_init(&loop, 0), 0);
		alloc_fail_at(n);
		int r = resolver_new(&loop, NULL, &config, &script.base, &resolver);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(hit ? r == -ENOMEM && !resolver && !script.freed : r == 0);
		resolver_free(resolver);
		loop_release(&loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_no_cache),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_special_names),
		cmocka_unit_test(test_configure),
		cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
