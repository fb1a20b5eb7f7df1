// SPDX-License-Identifier: Apache-2.0
// The pool of idle connections: what fits, what is thrown out, and when.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "net.h"
#include "obs/metrics.h"
#include "stream/tcp.h"
#include "upstream/conn_pool.h"

#define MS 1000000ULL

struct bench {
	struct loop loop;
	struct conn_pool pool;
	struct metrics *metrics;
};

static const struct conn_pool_config small = {
	.idle_max = 4, .idle_per_key = 2, .idle_ns = 100 * MS};

static void bench_open(struct bench *b, const struct conn_pool_config *config)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(loop_init(&b->loop, 0), 0);
	b->metrics = metrics_new();
	assert_int_equal(conn_pool_init(&b->pool, &b->loop, b->metrics, config), 0);
}

static void bench_close(struct bench *b)
{
	conn_pool_release(&b->pool);
	assert_int_equal(b->metrics->pool_idle, 0);
	loop_release(&b->loop);
	metrics_free(b->metrics);
}

// A fresh connection of the pool; the peer's end goes to *ret_peer.
static struct pooled *fresh(struct bench *b, const struct conn_pool_key *key, int *ret_peer)
{
	struct endpoint peer = ep("192.0.2.1:80");
	struct stream *stream;
	struct pooled *pooled;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_int_equal(tcp_stream_new(&b->loop, fds[0], STREAM_OUT, &stream), 0);
	assert_int_equal(conn_pool_adopt(&b->pool, key, stream, &peer, &pooled), 0);
	assert_int_equal(pooled->uses, 0);
	*ret_peer = fds[1];
	return pooled;
}

static bool is_closed(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0;
}

static struct host host_of(const char *text)
{
	struct host host;

	assert_int_equal(host_parse(text, strlen(text), 0, &host), 0);
	return host;
}

static void test_reuse(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80"), other = host_of("example.test:81"),
			  address = host_of("192.0.2.1:80");
	const struct conn_pool_key key = {.host = &host}, keys[] = {{.host = &other},
								    {.host = &address},
								    {.host = &host, .parent = 1},
								    {.host = &host, .variant = 1}};
	int peer;

	bench_open(&b, &small);
	assert_null(conn_pool_take(&b.pool, &key, NULL, NULL));
	struct pooled *pooled = fresh(&b, &key, &peer);
	assert_null(conn_pool_take(&b.pool, &key, NULL, NULL)); // in use
	conn_pool_put(&b.pool, pooled);
	net_run(&b.loop, NULL, 10);
	assert_int_equal(b.metrics->pool_idle, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_null(conn_pool_take(&b.pool, &keys[i], NULL, NULL));
	assert_ptr_equal(conn_pool_take(&b.pool, &key, NULL, NULL), pooled);
	assert_int_equal(pooled->uses, 1);
	assert_null(conn_pool_take(&b.pool, &key, NULL, NULL));
	assert_int_equal(stream_write(pooled->stream, "x", 1), 1);
	conn_pool_close(&b.pool, pooled, STREAM_FIN);
	conn_pool_close(&b.pool, NULL, STREAM_FIN);
	assert_int_equal(b.pool.live, 0);
	assert_int_equal(b.metrics->pool_requests[METRIC_POOL_HIT], 1);
	close(peer);
	bench_close(&b);
}

// The peer ends, or says something that nobody asked for.
static void test_peer_moves(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80");
	const struct conn_pool_key key = {.host = &host};
	int peer;

	bench_open(&b, &small);
	struct pooled *pooled = fresh(&b, &key, &peer);
	conn_pool_put(&b.pool, pooled);
	net_run(&b.loop, NULL, 5);
	close(peer);
	net_run(&b.loop, NULL, 10);
	assert_int_equal(b.pool.idle, 0);
	assert_null(conn_pool_take(&b.pool, &key, NULL, NULL));

	pooled = fresh(&b, &key, &peer);
	conn_pool_put(&b.pool, pooled);
	net_run(&b.loop, NULL, 5);
	assert_int_equal(write(peer, "x", 1), 1);
	net_run(&b.loop, NULL, 10);
	assert_int_equal(b.pool.live, 0);
	assert_true(is_closed(peer) || errno == ECONNRESET);
	close(peer);

	// Known when it is put back already.
	pooled = fresh(&b, &key, &peer);
	assert_int_equal(write(peer, "x", 1), 1);
	net_run(&b.loop, NULL, 5);
	conn_pool_put(&b.pool, pooled);
	assert_int_equal(b.pool.live, 0);
	close(peer);
	pooled = fresh(&b, &key, &peer);
	close(peer);
	net_run(&b.loop, NULL, 5);
	conn_pool_put(&b.pool, pooled);
	assert_int_equal(b.pool.live, 0);
	// A bit that stands for bytes read long ago is no harm.
	pooled = fresh(&b, &key, &peer);
	pooled->stream->ready |= STREAM_IN;
	conn_pool_put(&b.pool, pooled);
	assert_int_equal(b.pool.idle, 1);
	bench_close(&b);
	assert_true(is_closed(peer));
	close(peer);
}

static void test_limits(void **state)
{
	struct bench b;
	const struct host a = host_of("a.test:80"), z = host_of("z.test:80"),
			  m = host_of("m.test:1");
	const struct conn_pool_key key_a = {.host = &a}, key_z = {.host = &z}, key_m = {.host = &m};
	struct pooled *pooled[6];
	int peers[6];

	bench_open(&b, &small);
	for (int i = 0; i < 3; i++)
		pooled[i] = fresh(&b, &key_a, &peers[i]);
	for (int i = 0; i < 3; i++)
		conn_pool_put(&b.pool, pooled[i]);
	assert_int_equal(b.pool.idle, 2);
	assert_true(is_closed(peers[0])); // the oldest of the key
	for (int i = 3; i < 5; i++) {
		pooled[i] = fresh(&b, &key_z, &peers[i]);
		conn_pool_put(&b.pool, pooled[i]);
	}
	pooled[5] = fresh(&b, &key_m, &peers[5]);
	conn_pool_put(&b.pool, pooled[5]);
	assert_int_equal(b.pool.idle, 4);
	assert_true(is_closed(peers[1])); // the oldest of all
	// The most recently used one first.
	assert_ptr_equal(conn_pool_take(&b.pool, &key_z, NULL, NULL), pooled[4]);
	conn_pool_put(&b.pool, pooled[4]);

	struct conn_pool_config less = small;
	less.idle_max = 1;
	conn_pool_configure(&b.pool, &less);
	assert_int_equal(b.pool.idle, 1);
	less.idle_ns = 0;
	conn_pool_configure(&b.pool, &less);
	assert_int_equal(b.pool.idle, 0);
	close(peers[0]);
	pooled[0] = fresh(&b, &key_a, &peers[0]);
	conn_pool_put(&b.pool, pooled[0]); // pooling is off
	assert_int_equal(b.pool.live, 0);
	net_close(peers, 6);
	bench_close(&b);
}

static void test_idle_timeout(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80");
	const struct conn_pool_key key = {.host = &host};
	int peers[2];

	bench_open(&b, &small);
	struct pooled *first = fresh(&b, &key, &peers[0]), *second = fresh(&b, &key, &peers[1]);
	conn_pool_put(&b.pool, first);
	net_run(&b.loop, NULL, 60);
	conn_pool_put(&b.pool, second);
	net_run(&b.loop, NULL, 60);
	assert_int_equal(b.pool.idle, 1);
	assert_true(is_closed(peers[0]));
	// One that is used does not age.
	assert_ptr_equal(conn_pool_take(&b.pool, &key, NULL, NULL), second);
	net_run(&b.loop, NULL, 120);
	assert_int_equal(b.pool.live, 1);
	conn_pool_put(&b.pool, second);
	net_run(&b.loop, NULL, 130);
	assert_int_equal(b.pool.live, 0);
	assert_true(is_closed(peers[1]));
	net_close(peers, 2);
	bench_close(&b);
}

static enum close_reason deny(void *owner, const struct endpoint *peer,
			      const struct snap_parent **ret_parent)
{
	++*(int *)owner;
	return CLOSE_ACL_DENIED;
}

static enum close_reason divert(void *owner, const struct endpoint *peer,
				const struct snap_parent **ret_parent)
{
	static const struct snap_parent parent = {.id = 1};

	*ret_parent = &parent;
	return CLOSE_NONE;
}

static bool match_peer(void *ctx, const struct pooled *pooled)
{
	return endpoint_equal(ctx, &pooled->peer);
}

static void test_policy(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80");
	const struct conn_pool_key key = {.host = &host};
	struct endpoint peer_address = ep("192.0.2.1:80"), else_address = ep("192.0.2.2:80");
	int peer, asked = 0;

	bench_open(&b, &small);
	struct pooled *pooled = fresh(&b, &key, &peer);
	conn_pool_put(&b.pool, pooled);
	// Another user may not go there: it stays for those who may.
	assert_null(conn_pool_take(&b.pool, &key, deny, &asked));
	assert_int_equal(asked, 1);
	assert_null(conn_pool_take(&b.pool, &key, divert, NULL));
	assert_int_equal(b.pool.idle, 1);
	assert_int_equal(conn_pool_drop(&b.pool, match_peer, &else_address), 0);
	assert_int_equal(conn_pool_drop(&b.pool, match_peer, &peer_address), 1);
	assert_true(is_closed(peer));
	close(peer);
	// Flushed: what is in use goes when it comes back.
	pooled = fresh(&b, &key, &peer);
	assert_int_equal(conn_pool_drop(&b.pool, NULL, NULL), 0);
	assert_int_equal(b.pool.live, 1);
	conn_pool_put(&b.pool, pooled);
	assert_int_equal(b.pool.live, 0);
	close(peer);
	pooled = fresh(&b, &key, &peer);
	conn_pool_put(&b.pool, pooled);
	assert_int_equal(b.pool.idle, 1);
	close(peer);
	bench_close(&b);
}

static void test_bound_to_a_client(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80");
	const struct conn_pool_key shared = {.host = &host};
	const struct conn_pool_key own = {.host = &host, .session = 7};
	const struct conn_pool_key other = {.host = &host, .session = 8};
	int peer;

	bench_open(&b, &small);
	struct pooled *pooled = fresh(&b, &shared, &peer);
	conn_pool_bind(pooled, &own);
	conn_pool_put(&b.pool, pooled);
	assert_null(conn_pool_take(&b.pool, &shared, NULL, NULL));
	assert_null(conn_pool_take(&b.pool, &other, NULL, NULL));
	assert_ptr_equal(conn_pool_take(&b.pool, &own, NULL, NULL), pooled);
	conn_pool_close(&b.pool, pooled, STREAM_FIN);
	close(peer);
	bench_close(&b);
}

static void test_no_memory(void **state)
{
	struct bench b;
	const struct host host = host_of("example.test:80");
	const struct conn_pool_key key = {.host = &host};
	struct pooled *pooled = NULL;
	struct endpoint peer = ep("192.0.2.1:80");
	struct conn_pool pool;

	bench_open(&b, &small);
	alloc_fail_at(1);
	assert_int_equal(conn_pool_adopt(&b.pool, &key, NULL, &peer, &pooled), -ENOMEM);
	assert_null(pooled);
	assert_int_equal(b.pool.live, 0);
	alloc_fail_at(1);
	assert_int_equal(conn_pool_init(&pool, &b.loop, NULL, &small), -ENOMEM);
	alloc_fail_at(0);
	conn_pool_release(&pool);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reuse),     cmocka_unit_test(test_peer_moves),
		cmocka_unit_test(test_limits),    cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_policy),    cmocka_unit_test(test_bound_to_a_client),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
