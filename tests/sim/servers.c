// SPDX-License-Identifier: Apache-2.0
// Servers: what they want before the stream (nothing, a PROXY header, a ClientHello), and parents.
#include "world.h"

#include <errno.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/rng.h"
#include "client.h"
#include "io/sim_internal.h"
#include "io/sys.h"
#include "proto/proxyproto/proxyproto.h"
#include "server.h"
#include "udp.h"

#define MS UINT64_C(1000000)

struct place {
	const char *address;
	uint16_t port;
	const struct end_ops *ops;
	const char *name;
};

struct listening {
	int fd;
	const struct place *place;
};

static struct server *server_of(struct end *end)
{
	return caa_container_of(end, struct server, end);
}

static void stream(struct end *end)
{
	end_stream(end);
}

static void proxied(struct end *end)
{
	struct proxyproto header;
	int n = proxyproto_parse(end->in, end->in_len, &header, NULL);

	if (n == 0)
		return;
	if (n < 0 || header.kind != PROXYPROTO_PROXIED)
		sim_fail("a server gets no PROXY header");
	if (!world.by_port[header.source.port])
		sim_fail("a PROXY header names a client that is none");
	end_take(end, (size_t)n);
	end_stream(end);
}

// The whole ClientHello, over as many records as it takes.
static void hello(struct end *end)
{
	const uint8_t *in = end->in;
	size_t at = 0, payload = 0, total = 0;
	uint8_t head[4];

	while (at + 5 <= end->in_len) {
		size_t len = (size_t)in[at + 3] << 8 | in[at + 4];
		if (in[at] != 22)
			sim_fail("a TLS server gets another record than a handshake");
		if (at + 5 + len > end->in_len)
			return;
		for (size_t i = 0; i < len && payload + i < 4; i++)
			head[payload + i] = in[at + 5 + i];
		payload += len;
		at += 5 + len;
		if (payload >= 4)
			total = 4 + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
		if (total && payload >= total) {
			end_take(end, at);
			end_stream(end);
			return;
		}
	}
}

static void parent_http(struct end *end)
{
	uint8_t *over = memmem(end->in, end->in_len, "\r\n\r\n", 4);
	struct rng *rng = sim_rng();

	server_of(end)->parent = true;
	if (end->in_len >= 8 && memcmp(end->in, "CONNECT ", 8) != 0) {
		end->ops = &http_server_ops; // plain requests come in absolute-form
		end->ops->input(end);
		return;
	}
	if (!over)
		return;
	if (memcmp(end->in, "CONNECT viah.sim:7000 HTTP/1.1\r\n", 32) != 0 ||
	    !memmem(end->in, end->in_len, "Proxy-Authorization: Basic dTpw\r\n", 33))
		sim_fail("the parent gets another request than it should");
	end_take(end, (size_t)(over + 4 - end->in));
	if (rng_below(rng, 2)) {
		end->out_piece = 1 + (uint32_t)rng_below(rng, 20);
		end->out_gap = sim_spread(rng, 1000, 2 * MS);
	}
	if (world.options.rude && rng_below(rng, 8) == 0) {
		static const char *const texts[] = {"HTTP/1.1 403 No\r\n\r\n",
						    "HTTP/1.1 407 No\r\n\r\n",
						    "HTTP/1.1 200 Yes\r\nbad\r\n\r\n", "no"};
		const char *text = texts[rng_below(rng, 4)];
		end_say(end, text, strlen(text));
		end_leave(end);
		return;
	}
	if (rng_below(rng, 4) == 0)
		end_say(end, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	end_say(end, "HTTP/1.1 200 Connected\r\nX: y\r\n\r\n", 32);
	end_stream(end);
}

static void parent_socks(struct end *end)
{
	struct server *server = server_of(end);
	const uint8_t *in = end->in;

	if (server->step == 0 && end->in_len >= 2 && end->in_len >= 2U + in[1]) {
		end_take(end, 2U + in[1]);
		end_say(end, "\5\2", 2);
		server->step++;
	}
	if (server->step == 1 && end->in_len >= 5) {
		if (memcmp(in, "\1\1u\1p", 5) != 0)
			sim_fail("the parent gets another log-in than it should");
		end_take(end, 5);
		end_say(end, "\1\0", 2);
		server->step++;
	}
	// The rules decide by address, so this is what the parent gets.
	if (server->step == 2 && end->in_len >= 4 + 4 + 2) {
		bool web = memcmp(in, "\5\1\0\1\12\2\0\1\0\x50", 10) == 0;
		if (!web && memcmp(in, "\5\1\0\1\12\2\0\1\x1b\x58", 10) != 0)
			sim_fail("the parent gets another request than it should");
		end_take(end, 10);
		if (world.options.rude && rng_below(sim_rng(), 8) == 0) {
			end_say(end, "\5\5\0\1\0\0\0\0\0\0", 10);
			end_leave(end);
			return;
		}
		end_say(end, "\5\0\0\1\12\2\0\1\0\0", 10);
		if (web) {
			end->ops = &http_server_ops;
			end->ops->input(end);
			return;
		}
		end_stream(end);
	}
}

static void ended(struct end *end)
{
	end_close(end, false);
}

static void visiting(struct end *end)
{
	if (!server_of(end)->stranger)
		end_stream(end);
}

static void visitor_heard(struct end *end)
{
	// Only a stranger gets here: the others are in the stream.
	sim_fail("a stranger is talked to");
}

static void visit(struct sim_event *event)
{
	struct server *server = caa_container_of(event, struct server, delay);

	end_connect(&server->end, &server->from, &server->to);
}

static const struct end_ops visitor_ops = {
	.input = visitor_heard, .connected = visiting, .ended = ended};

void server_visit(const char *from, const struct endpoint *to, uint64_t at, bool stranger)
{
	struct server *server = sim_alloc(sizeof(*server));

	memset(server, 0, sizeof(*server));
	end_init(&server->end, "server", &visitor_ops);
	plan_draw(&server->end.plan, world.options.size_max);
	server->from = world_address(from, 0);
	server->to = *to;
	server->stranger = stranger;
	server->delay.run = visit;
	sim_event_set(&server->delay, at);
}

static const struct end_ops stream_ops = {.input = stream, .ended = ended};
static const struct end_ops proxied_ops = {.input = proxied, .ended = ended};
static const struct end_ops tls_ops = {.input = hello, .ended = ended};
static const struct end_ops parent_http_ops = {.input = parent_http, .ended = ended};
static const struct end_ops parent_socks_ops = {.input = parent_socks, .ended = ended};

static const struct place places[] = {
	{"10.2.0.1", WORLD_STREAM, &stream_ops, "server"},
	{"2001:db8:2::1", WORLD_STREAM, &stream_ops, "server"},
	{"10.2.0.1", WORLD_STREAM_FIRST, &stream_ops, "server"},
	{"10.2.0.1", WORLD_STREAM_PROXIED, &proxied_ops, "server"},
	{"10.2.0.1", WORLD_STREAM_TLS, &tls_ops, "server"},
	{"10.2.0.1", WORLD_HTTP, &http_server_ops, "web server"},
	{"2001:db8:2::1", WORLD_HTTP, &http_server_ops, "web server"},
	{"10.3.0.1", WORLD_PARENT_HTTP, &parent_http_ops, "parent"},
	{"10.3.0.1", WORLD_PARENT_SOCKS, &parent_socks_ops, "parent"},
};

static void misbehave(struct plan *plan, uint64_t size_max)
{
	struct rng *rng = sim_rng();

	switch (rng_below(rng, 8)) {
	case 0:
		plan->reset_at = rng_below(rng, plan->total + 1);
		break;
	case 1:
		plan->after = AFTER_CLOSE;
		break;
	case 2:
		plan->stall_at = rng_below(rng, size_max);
		plan->stall = NEVER;
		plan->life = sim_spread(rng, 100 * MS, 30000 * MS);
		break;
	default:
		break;
	}
}

static void accept_one(const struct place *place, int fd)
{
	struct server *server = sim_alloc(sizeof(*server));
	struct end *end = &server->end;

	memset(server, 0, sizeof(*server));
	end_init(end, place->name, place->ops);
	plan_draw(&end->plan, world.options.size_max);
	if (world.options.rude && place->ops != &http_server_ops)
		misbehave(&end->plan, world.options.size_max);
	if (rng_below(sim_rng(), 3) == 0) {
		end->out_piece = 1 + (uint32_t)sim_spread(sim_rng(), 1, 20000);
		if (end->out_piece < world.options.size_max / 300)
			end->out_piece = (uint32_t)(world.options.size_max / 300);
		end->out_gap = sim_spread(sim_rng(), 1000, 5 * MS);
	}
	if (place->port == WORLD_STREAM_FIRST ||
	    (place->ops == &stream_ops && rng_below(sim_rng(), 2)))
		end_stream(end);
	end_accept(end, fd);
}

static void arrival(void *ctx)
{
	struct listening *listening = ctx;
	struct sockaddr_storage peer;

	for (;;) {
		int fd = sys_accept(listening->fd, &peer);
		if (fd < 0)
			return;
		accept_one(listening->place, fd);
	}
}

void servers_begin(void)
{
	udp_servers_begin();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct listening *listening = sim_alloc(sizeof(*listening));
		struct endpoint address = world_address(places[i].address, places[i].port);
		struct sockaddr_storage sa;
		socklen_t len = endpoint_to_sockaddr(&address, &sa);
		int fd = sys_socket(address.family, SOCK_STREAM);
		if (sys_bind(fd, (struct sockaddr *)&sa, len) < 0)
			sim_fail("a server has no address");
		sys_listen(fd, (int)sim_spread(sim_rng(), 1, 64));
		*listening = (struct listening){fd, &places[i]};
		sim_notify(fd, arrival, listening);
	}
}
