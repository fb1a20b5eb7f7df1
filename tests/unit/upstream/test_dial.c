// SPDX-License-Identifier: Apache-2.0
// Dialling against listeners on loopback: who is reached, in what order, and why not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/host.h"
#include "net.h"
#include "obs/metrics.h"
#include "stream/stream.h"
#include "upstream/dial.h"

static const uint64_t MS = 1000000;

struct bench {
	struct loop loop;
	struct script script;
	struct resolver *resolver;
	struct metrics *metrics;
	struct dialer dialer;
};

// What a dial's owner saw.
struct caller {
	struct dial *dial;
	bool done;
	enum close_reason reason;
	int error;
	struct stream *stream;
	struct endpoint peer;
	struct host target;
	uint64_t parent_id;
	bool plain;
	unsigned parent_status, attempts;
	uint64_t resolve_ns, connect_ns;
	char early[256];
	size_t early_len;
	uint64_t at;
	// What it permits.
	struct endpoint denied[4];
	unsigned denied_count, asked;
	const struct snap_parent *divert;
	struct endpoint asked_for[16];
};

static void bench_open(struct bench *b, const struct script_row *rows, unsigned count)
{
	const struct resolver_config config = {.cache_entries = 100, .hosts_path = ""};

	memset(b, 0, sizeof(*b));
	assert_int_equal(loop_init(&b->loop, 0), 0);
	b->metrics = metrics_new();
	b->script = (struct script){
		.base.ops = &script_ops, .loop = &b->loop, .rows = rows, .row_count = count};
	assert_int_equal(resolver_new(&b->loop, b->metrics, &config, &b->script.base, &b->resolver),
			 0);
	dialer_init(&b->dialer, &b->loop, b->resolver, b->metrics);
}

static void bench_close(struct bench *b)
{
	assert_int_equal(b->dialer.live, 0);
	assert_int_equal(b->metrics->connects_pending, 0);
	dialer_release(&b->dialer);
	resolver_free(b->resolver);
	assert_true(b->script.freed);
	loop_release(&b->loop);
	metrics_free(b->metrics);
}

static void done(struct loop *loop, void *owner, const struct dial_result *result)
{
	struct caller *c = owner;

	assert_false(c->done);
	assert_null(c->dial);
	assert_true((result->reason == CLOSE_NONE) == (result->stream != NULL));
	c->done = true;
	c->reason = result->reason;
	c->error = result->error;
	c->stream = result->stream;
	c->peer = result->peer;
	c->target = *result->target;
	c->parent_id = result->parent_id;
	c->plain = result->plain;
	c->parent_status = result->parent_status;
	c->attempts = result->attempts;
	c->resolve_ns = result->resolve_ns;
	c->connect_ns = result->connect_ns;
	c->early_len = result->early.len;
	assert_true(result->early.len <= sizeof(c->early));
	if (result->early.len)
		memcpy(c->early, result->early.data, result->early.len);
	c->at = sys_now();
}

static enum close_reason permit(void *owner, const struct endpoint *address,
				const struct snap_parent **ret_parent)
{
	struct caller *c = owner;

	assert_null(*ret_parent);
	if (c->asked < 16)
		c->asked_for[c->asked] = *address;
	c->asked++;
	for (unsigned i = 0; i < c->denied_count; i++)
		if (endpoint_same_ip(&c->denied[i], address))
			return CLOSE_ACL_DENIED;
	*ret_parent = c->divert;
	return CLOSE_NONE;
}

static struct dial_request request_for(struct caller *c, const struct host *host)
{
	return (struct dial_request){
		.host = host,
		.resolve_ns = 1000 * MS,
		.connect_ns = 1000 * MS,
		.owner = c,
		.permit = permit,
		.done = done,
	};
}

__attribute__((unused)) static struct host host_of(const char *text)
{
	struct host host;

	assert_int_equal(host_parse(text, strlen(text), 0, &host), 0);
	return host;
}

__attribute__((unused)) static struct host host_with_port(const char *name, uint16_t port)
{
	struct host host;

	assert_int_equal(host_from_name(name, strlen(name), port, &host), 0);
	return host;
}

static void dial_to(struct bench *b, struct caller *c, const struct host *host)
{
	const struct dial_request request = request_for(c, host);

	assert_int_equal(dial_start(&b->dialer, &request, &c->dial), 0);
	assert_false(c->done);
	assert_non_null(c->dial);
}

static void wait_done(struct bench *b, struct caller *c)
{
	net_run(&b->loop, &c->done, 5000);
	assert_true(c->done);
}

static void drop(struct bench *b, struct caller *c)
{
	if (c->stream)
		stream_close(&b->loop, c->stream, STREAM_RST);
	*c = (struct caller){0};
	loop_turn(&b->loop, 0);
}

static void test_address(void **state)
{
	struct bench b;
	struct caller c = {0};
	struct endpoint to = ep("127.0.0.1:0");
	int fd = net_listen(&to, 8);
	struct host host = host_from_endpoint(&to);

	bench_open(&b, NULL, 0);
	dial_to(&b, &c, &host);
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
	int conn = accept(fd, NULL, NULL);
	char buf[8];
	assert_int_equal(stream_write(c.stream, "hello", 5), 5);
	assert_int_equal(read(conn, buf, sizeof(buf)), 5);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
