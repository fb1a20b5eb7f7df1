// SPDX-License-Identifier: Apache-2.0
// For the tests of dialling: a loop with a dialer and a scripted resolver, and a dial's owner.
#pragma once

#include "base/host.h"
#include "net.h"
#include "obs/metrics.h"
#include "stream/stream.h"
#include "upstream/dial.h"

#define MS 1000000ULL

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

static inline void bench_open(struct bench *b, const struct script_row *rows, unsigned count)
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

static inline void bench_close(struct bench *b)
{
	assert_int_equal(b->dialer.live, 0);
	assert_int_equal(b->metrics->connects_pending, 0);
	dialer_release(&b->dialer);
	resolver_free(b->resolver);
	assert_true(b->script.freed);
	loop_release(&b->loop);
	metrics_free(b->metrics);
}

static inline void done(struct loop *loop, void *owner, const struct dial_result *result)
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

static inline enum close_reason permit(void *owner, const struct endpoint *address,
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

static inline struct dial_request request_for(struct caller *c, const struct host *host)
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

static inline struct host host_of(const char *text)
{
	struct host host;

	assert_int_equal(host_parse(text, strlen(text), 0, &host), 0);
	return host;
}

static inline struct host host_with_port(const char *name, uint16_t port)
{
	struct host host;

	assert_int_equal(host_from_name(name, strlen(name), port, &host), 0);
	return host;
}

static inline void dial_to(struct bench *b, struct caller *c, const struct host *host)
{
	const struct dial_request request = request_for(c, host);

	assert_int_equal(dial_start(&b->dialer, &request, &c->dial), 0);
	assert_false(c->done);
	assert_non_null(c->dial);
}

static inline void wait_done(struct bench *b, struct caller *c)
{
	net_run(&b->loop, &c->done, 5000);
	assert_true(c->done);
}

static inline void drop(struct bench *b, struct caller *c)
{
	if (c->stream)
		stream_close(&b->loop, c->stream, STREAM_RST);
	*c = (struct caller){0};
	loop_turn(&b->loop, 0);
}

// The next connection that comes to a listener while the loop turns.
static inline int net_accept(struct bench *b, int listener)
{
	uint64_t end = sys_now() + 3000 * MS;
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};

	while (poll(&poll_fd, 1, 0) == 0) {
		assert_true(sys_now() < end);
		loop_turn(&b->loop, MS);
	}
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static inline void net_expect(struct bench *b, int fd, const void *bytes, size_t len)
{
	uint64_t end = sys_now() + 3000 * MS;
	char got[2048];
	size_t n = 0;

	assert_true(len <= sizeof(got));
	while (n < len) {
		ssize_t r = read(fd, got + n, len - n);
		assert_true(r > 0 || (r < 0 && errno == EAGAIN));
		assert_true(sys_now() < end);
		if (r > 0)
			n += (size_t)r;
		else
			loop_turn(&b->loop, MS);
	}
	assert_memory_equal(got, bytes, len);
}

// Two listeners, one for each family, on one port. False: there is no IPv6 here.
static inline bool net_twins(struct endpoint *v4, struct endpoint *v6, int *fd4, int *fd6)
{
	for (int i = 0; i < 50; i++) {
		*v4 = ep("127.0.0.1:0");
		*fd4 = net_bind(v4, SOCK_STREAM);
		assert_true(*fd4 >= 0);
		*v6 = ep("[::1]:0");
		v6->port = v4->port;
		int probe = socket(AF_INET6, SOCK_STREAM, 0);
		if (probe < 0) {
			close(*fd4);
			return false;
		}
		close(probe);
		*fd6 = net_bind(v6, SOCK_STREAM);
		if (*fd6 >= 0)
			return true;
		close(*fd4);
	}
	return false;
}
