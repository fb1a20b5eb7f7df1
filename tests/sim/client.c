// SPDX-License-Identifier: Apache-2.0
// Clients: a request by the rules of some protocol (or not), then the stream.
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <urcu/compiler.h>

#include "http.h"
#include "io/sim_internal.h"
#include "proto/proxyproto/proxyproto.h"
#include "server.h"
#include "udp.h"

#define MS UINT64_C(1000000)

struct dest {
	const char *name;
	uint16_t port;
	enum expect expect;
	bool is_address;
};

// Where clients that name a destination want to go.
static const struct dest dests[] = {
	{"10.2.0.1", WORLD_STREAM, EXPECT_OK, true},
	{"2001:db8:2::1", WORLD_STREAM, EXPECT_OK, true},
	{"s1.sim", WORLD_STREAM, EXPECT_OK, false},
	{"s2.sim", WORLD_STREAM, EXPECT_OK, false},
	{"happy.sim", WORLD_STREAM, EXPECT_OK, false},
	{"many.sim", WORLD_STREAM, EXPECT_OK, false},
	{"viah.sim", WORLD_STREAM, EXPECT_OK, false},
	{"vias.sim", WORLD_STREAM, EXPECT_OK, false},
	// Below: where nobody gets.
	{"10.67.0.1", WORLD_STREAM, EXPECT_FAIL, true},
	{"10.66.0.1", WORLD_STREAM, EXPECT_FAIL, true},
	{"10.9.0.1", WORLD_STREAM, EXPECT_FAIL, true},
	{"127.0.0.1", WORLD_STREAM, EXPECT_FAIL, true},
	{"denied.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"inner.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"local.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"refuse.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"dark.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"gone.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"nx.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"fail.sim", WORLD_STREAM, EXPECT_FAIL, false},
	{"slow.sim", WORLD_STREAM, EXPECT_FAIL, false},
};
enum { DESTS = sizeof(dests) / sizeof(dests[0]), DESTS_OK = 8 };

static const char *const kind_names[CLIENT_KINDS] = {
	[CLIENT_SOCKS4] = "socks4",
	[CLIENT_SOCKS4A] = "socks4a",
	[CLIENT_SOCKS5] = "socks5",
	[CLIENT_SOCKS5_AUTH] = "socks5 with log-in",
	[CLIENT_CONNECT] = "connect",
	[CLIENT_CONNECT_AUTH] = "connect with log-in",
	[CLIENT_BIND] = "bind",
	[CLIENT_UDP] = "udp",
	[CLIENT_TLS] = "tls",
	[CLIENT_RAW] = "raw",
	[CLIENT_HTTP] = "http",
	[CLIENT_HTTP_AUTH] = "http with log-in",
	[CLIENT_HTTP_REVERSE] = "http to a route",
	[CLIENT_FIRST] = "silent raw",
	[CLIENT_GARBAGE] = "garbage",
	[CLIENT_SILENT] = "slow",
};

const char *client_kind_name(enum client_kind kind)
{
	return kind_names[kind];
}

struct end *client_server(const struct client *client)
{
	// Either has told its number to the other.
	if (client->end.from)
		return ends[client->end.from];
	for (uint32_t i = 1; i <= end_count; i++)
		if (ends[i]->from == client->end.number)
			return ends[i];
	return NULL;
}

/*
 * Messages.
 */

static void add_step(struct client *client, const void *bytes, size_t len, enum reply reply)
{
	uint8_t *copy = sim_alloc(len + 1);
	unsigned i = client->step_count++;

	memcpy(copy, bytes, len);
	client->steps[i].bytes = copy;
	client->steps[i].len = len;
	client->steps[i].reply = reply;
}

static const struct dest *draw_dest(struct client *client, bool address4)
{
	struct rng *rng = sim_rng();
	const struct dest *dest;

	do
		dest = &dests[rng_below(rng, rng_below(rng, 6) ? DESTS_OK : DESTS)];
	while (address4 && (!dest->is_address || strchr(dest->name, ':')));
	client->dest = dest->name;
	if (client->expect == EXPECT_OK)
		client->expect = dest->expect;
	return dest;
}

static void socks4(struct client *client, bool a)
{
	const struct dest *dest = draw_dest(client, !a);
	uint8_t out[512] = {4, 1, (uint8_t)(dest->port >> 8), (uint8_t)dest->port};
	size_t n = 8;

	if (a) {
		out[7] = 1;
	} else {
		struct endpoint to = world_address(dest->name, 0);
		memcpy(out + 4, to.ip, 4);
	}
	memcpy(out + n, "me", 3);
	n += 3;
	if (a) {
		size_t len = strlen(dest->name) + 1;
		memcpy(out + n, dest->name, len);
		n += len;
	}
	add_step(client, out, n, REPLY_SOCKS4);
}

static void socks5_request(struct client *client)
{
	const struct dest *dest = draw_dest(client, false);
	uint8_t out[300] = {5, 1, 0};
	size_t n = 3, len = strlen(dest->name);
	struct endpoint to;

	if (dest->is_address) {
		to = world_address(dest->name, 0);
		out[n++] = to.family == AF_INET6 ? 4 : 1;
		memcpy(out + n, to.ip, to.family == AF_INET6 ? 16 : 4);
		n += to.family == AF_INET6 ? 16 : 4;
	} else {
		out[n++] = 3;
		out[n++] = (uint8_t)len;
		memcpy(out + n, dest->name, len);
		n += len;
	}
	out[n++] = (uint8_t)(dest->port >> 8);
	out[n++] = (uint8_t)dest->port;
	add_step(client, out, n, REPLY_SOCKS5);
}

// Whom the client waits for comes soon, or does not; or another one does.
static void socks5_bind(struct client *client)
{
	uint8_t out[10] = {5, 2, 0, 1, 10, 2, 0, 1};

	// RFC 1928 has no rule for the port: what an FTP server would be announced with.
	add_step(client, "\5\1\0", 3, REPLY_CHOICE_NONE);
	add_step(client, out, sizeof(out), REPLY_SOCKS5);
	add_step(client, "", 0, REPLY_SOCKS5);
	client->optimistic = false;
}

static void bound(struct client *client, const struct endpoint *address)
{
	struct rng *rng = sim_rng();
	uint64_t at = sim.now + sim_spread(rng, 1000, 300 * MS);

	if (world.options.rude && rng_below(rng, 4) == 0) {
		client->expect = EXPECT_ANY;
		if (rng_below(rng, 2))
			return; // nobody comes
		server_visit("10.7.0.1", address, sim.now + sim_spread(rng, 1000, 300 * MS), true);
	}
	server_visit("10.2.0.1", address, at, false);
}

static void socks5_udp(struct client *client)
{
	add_step(client, "\5\1\0", 3, REPLY_CHOICE_NONE);
	add_step(client, "\5\3\0\1\0\0\0\0\0\0", 10, REPLY_SOCKS5);
	client->optimistic = false;
}

static struct endpoint reply_address(const uint8_t *in)
{
	return in[3] == 4 ? endpoint_v6(in + 4, (uint16_t)(in[20] << 8 | in[21]), 0)
			  : endpoint_v4_bytes(in + 4, (uint16_t)(in[8] << 8 | in[9]));
}

struct login {
	const char *user, *password, *basic;
};

static const struct login logins[] = {
	{"alice", "pa", "YWxpY2U6cGE="}, {"alice", "pa", "YWxpY2U6cGE="},
	{"bob", "pb", "Ym9iOnBi"},       {"carol", "pc", "Y2Fyb2w6cGM="},
	{"dave", "pd", "ZGF2ZTpwZA=="},  {"erin", "pe", "ZXJpbjpwZQ=="},
	{"alice", "no", "YWxpY2U6bm8="}, {"erin", "no", "ZXJpbjpubw=="},
};

static const struct login *draw_login(struct client *client)
{
	const struct login *login =
		&logins[rng_below(sim_rng(), sizeof(logins) / sizeof(logins[0]))];

	client->user = login->user;
	if (strcmp(login->password, "no") == 0)
		client->expect = EXPECT_FAIL;
	else if (strcmp(login->user, "carol") == 0 || strcmp(login->user, "dave") == 0)
		client->expect = EXPECT_ANY; // her limit, and he may be gone
	return login;
}

static void socks5(struct client *client, bool auth)
{
	if (!auth) {
		add_step(client, "\5\2\0\1", 4, REPLY_CHOICE_NONE);
		socks5_request(client);
		return;
	}
	const struct login *login = draw_login(client);
	char out[64];
	int n = snprintf(out, sizeof(out), "\1%c%s%c%s", (int)strlen(login->user), login->user,
			 (int)strlen(login->password), login->password);
	add_step(client, "\5\2\0\2", 4, REPLY_CHOICE_PASSWORD);
	add_step(client, out, (size_t)n, REPLY_AUTH);
	socks5_request(client);
}

static void connect_method(struct client *client, bool auth)
{
	const struct dest *dest = draw_dest(client, false);
	char out[512], authority[128], login[128] = "";

	if (auth)
		snprintf(login, sizeof(login), "Proxy-Authorization: Basic %s\r\n",
			 draw_login(client)->basic);
	snprintf(authority, sizeof(authority), strchr(dest->name, ':') ? "[%s]:%u" : "%s:%u",
		 dest->name, dest->port);
	int n = snprintf(out, sizeof(out), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", authority,
			 authority, login);
	add_step(client, out, (size_t)n, REPLY_CONNECT);
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

// A ClientHello in several records.
static void tls(struct client *client)
{
	struct rng *rng = sim_rng();
	uint8_t hello[2048] = {1, 0, 0, 0, 3, 3};
	uint8_t out[4096];
	size_t n = 6 + 32, out_len = 0;
	bool known = rng_below(rng, 6) != 0;
	const char *name = known ? "tls.sim" : "other.sim";
	size_t name_len = strlen(name), pad = rng_below(rng, 1200);

	hello[n++] = 0; // session id
	memcpy(hello + n, "\0\2\x13\1\1\0", 6);
	n += 6;
	size_t extensions = n;
	n += 2;
	put16(hello + n, 21); // padding
	put16(hello + n + 2, pad);
	n += 4 + pad;
	put16(hello + n, 0); // server_name
	put16(hello + n + 2, name_len + 5);
	put16(hello + n + 4, name_len + 3);
	hello[n + 6] = 0;
	put16(hello + n + 7, name_len);
	memcpy(hello + n + 9, name, name_len);
	n += 9 + name_len;
	put16(hello + extensions, n - extensions - 2);
	put16(hello + 2, n - 4);
	for (size_t at = 0; at < n;) {
		size_t part = 1 + rng_below(rng, rng_below(rng, 2) ? n : 64);
		if (part < n / 20)
			part = n / 20 + 1;
		if (part > n - at)
			part = n - at;
		memcpy(out + out_len, "\x16\3\1", 3);
		put16(out + out_len + 3, part);
		memcpy(out + out_len + 5, hello + at, part);
		out_len += 5 + part;
		at += part;
	}
	end_say(&client->end, out, out_len);
	client->prefix = (uint32_t)out_len;
	client->expect = known ? EXPECT_OK : EXPECT_CLOSED;
}

static void garbage(struct client *client)
{
	static const char *const texts[] = {
		"\5\0",
		"\5\1\1",
		"\4\1",
		"\4\2\0\120\12\2\0\1me",
		"\5\1\0\5\2\0\1\12\2\0\1\0\120",
		"GET / HTTP/1.1\r\n\r\n",
		"GET /\r\n",
		"CONNECT s1.sim HTTP/1.1\r\n\r\n",
		"CONNECT s1.sim:7000 HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
		"SSH-2.0-me\r\n",
		"\26\3\1\0\5\2",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
		"\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
		"EHLO me\r\n",
		"POST http://h1.sim/ HTTP/1.1\r\nHost: h1.sim\r\nContent-Length: 4\r\n"
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	};
	struct rng *rng = sim_rng();
	uint8_t out[4096];
	size_t n = 0;

	unsigned which = (unsigned)rng_below(rng, sizeof(texts) / sizeof(texts[0]));
	if (rng_below(rng, 3)) {
		n = strlen(texts[which]) + rng_below(rng, 3);
		memcpy(out, texts[which], strlen(texts[which]) + 1);
		memset(out + strlen(texts[which]) + 1, 0, 3);
	}
	size_t more = rng_below(rng, 3) ? 0 : rng_below(rng, 2000);
	for (size_t i = 0; i < more; i++)
		out[n++] = (uint8_t)rng_next(rng);
	if (n == 0)
		out[n++] = 'x';
	end_say(&client->end, out, n);
	client->expect = EXPECT_CLOSED;
}

/*
 * Replies.
 */

static void refused(struct client *client, unsigned code)
{
	client->refused = true;
	client->code = code;
	sim_trace("client %u is refused: %u", client->end.number, code);
	if (rng_below(sim_rng(), 2))
		end_leave(&client->end);
	else
		end_close(&client->end, false);
}

static void granted(struct client *client)
{
	sim_trace("client %u is connected to %s", client->end.number,
		  client->dest ? client->dest : "a route");
	client->connected = true;
	end_stream(&client->end);
}

// The reply's length, 0: more is needed. *ret_code: 0 is success.
static size_t read_reply(const struct client *client, enum reply reply, unsigned *ret_code)
{
	const uint8_t *in = client->end.in;
	size_t len = client->end.in_len;
	uint8_t *end;

	*ret_code = 0;
	switch (reply) {
	case REPLY_CHOICE_NONE:
	case REPLY_CHOICE_PASSWORD:
		if (len < 2)
			return 0;
		if (in[0] != 5 || (in[1] != 255 && in[1] != (reply == REPLY_CHOICE_NONE ? 0 : 2)))
			sim_fail("client %u: wrong method %u", client->end.number, in[1]);
		*ret_code = in[1] == 255 ? 255 : 0;
		return 2;
	case REPLY_AUTH:
		*ret_code = len < 2 ? 0 : in[1];
		return len < 2 ? 0 : 2;
	case REPLY_SOCKS4:
		if (len < 8)
			return 0;
		*ret_code = in[1] == 90 ? 0 : in[1];
		if (in[0] != 0)
			sim_fail("client %u: no SOCKS4 reply", client->end.number);
		return 8;
	case REPLY_SOCKS5:
		if (len < 5 || len < (in[3] == 4 ? 22U : 10U))
			return 0;
		if (in[0] != 5 || in[2] != 0 || (in[3] != 1 && in[3] != 4))
			sim_fail("client %u: no SOCKS5 reply", client->end.number);
		*ret_code = in[1];
		return in[3] == 4 ? 22 : 10;
	case REPLY_CONNECT:
		end = memmem(in, len, "\r\n\r\n", 4);
		if (!end)
			return 0;
		if (memcmp(in, "HTTP/1.1 ", 9) != 0)
			sim_fail("client %u: no HTTP reply", client->end.number);
		*ret_code = (unsigned)((in[9] - '0') * 100 + (in[10] - '0') * 10 + in[11] - '0');
		if (*ret_code == 200)
			*ret_code = 0;
		return (size_t)(end + 4 - in);
	}
	return 0;
}

static void say_next(struct client *client)
{
	while (client->said < client->step_count &&
	       (client->said <= client->step || client->optimistic)) {
		end_say(&client->end, client->steps[client->said].bytes,
			client->steps[client->said].len);
		client->said++;
	}
}

static void input(struct end *end)
{
	struct client *client = caa_container_of(end, struct client, end);

	while (client->step < client->step_count && !client->refused) {
		unsigned code;
		size_t n = read_reply(client, client->steps[client->step].reply, &code);
		if (n == 0)
			return;
		struct endpoint address = {0};
		if (client->steps[client->step].reply == REPLY_SOCKS5)
			address = reply_address(end->in);
		end_take(end, n);
		client->step++;
		if (code) {
			refused(client, code);
			return;
		}
		if (client->kind == CLIENT_UDP && client->step == client->step_count)
			udp_associated(client, &address);
		else if (client->step == client->step_count)
			granted(client);
		else
			say_next(client);
		if (client->kind == CLIENT_BIND && client->step == 2)
			bound(client, &address);
	}
}

static void raw_input(struct end *end)
{
	struct client *client = caa_container_of(end, struct client, end);

	if (client->kind == CLIENT_FIRST)
		granted(client);
	else
		end_leave(end); // what answers garbage
}

static void connected(struct end *end)
{
	struct client *client = caa_container_of(end, struct client, end);

	switch (client->kind) {
	case CLIENT_RAW:
	case CLIENT_TLS:
		granted(client);
		break;
	case CLIENT_FIRST:
	case CLIENT_SILENT:
	case CLIENT_GARBAGE:
		break;
	default:
		say_next(client);
		end->talking = client->optimistic;
	}
}

static void ended(struct end *end)
{
	// Before the stream: nothing more will come.
	udp_release(caa_container_of(end, struct client, end));
	end_close(end, false);
}

static const struct end_ops client_ops = {.input = input, .connected = connected, .ended = ended};
static const struct end_ops raw_ops = {.input = raw_input, .connected = connected, .ended = ended};

/*
 * A client's beginning.
 */

static void proxy_header(struct client *client)
{
	uint8_t out[PROXYPROTO_V1_BUILD_MAX + PROXYPROTO_V2_BUILD_MAX];
	struct endpoint to = world_address("198.51.100.1", 443);

	// Its real port, so that its records are found.
	struct endpoint claimed = world_address("192.0.2.7", client->from.port);
	size_t n = rng_below(sim_rng(), 2)
			   ? proxyproto_build_v1((char *)out, &claimed, &to)
			   : proxyproto_build_v2(out, &claimed, &to, PROXYPROTO_STREAM);
	end_say(&client->end, out, n);
}

static uint16_t listener_of(struct client *client)
{
	switch (client->kind) {
	case CLIENT_SOCKS5_AUTH:
	case CLIENT_CONNECT_AUTH:
	case CLIENT_HTTP_AUTH:
		return WORLD_LISTEN_AUTH;
	case CLIENT_HTTP_REVERSE:
		return WORLD_LISTEN_REVERSE;
	case CLIENT_UDP: // whom a header names sends no datagrams
		return WORLD_LISTEN_FORWARD;
	case CLIENT_TLS:
		return WORLD_LISTEN_TLS;
	case CLIENT_RAW:
		return WORLD_LISTEN_RAW;
	case CLIENT_FIRST:
		return WORLD_LISTEN_FIRST;
	case CLIENT_GARBAGE:
	case CLIENT_SILENT:
		return rng_below(sim_rng(), 2) ? WORLD_LISTEN_FORWARD : WORLD_LISTEN_TLS;
	default:
		return rng_below(sim_rng(), 4)   ? WORLD_LISTEN_FORWARD
		       : rng_below(sim_rng(), 2) ? WORLD_LISTEN_PROXIED
						 : WORLD_LISTEN_REQUIRED;
	}
}

static void compose(struct client *client)
{
	switch (client->kind) {
	case CLIENT_SOCKS4:
	case CLIENT_SOCKS4A:
		socks4(client, client->kind == CLIENT_SOCKS4A);
		break;
	case CLIENT_SOCKS5:
	case CLIENT_SOCKS5_AUTH:
		socks5(client, client->kind == CLIENT_SOCKS5_AUTH);
		break;
	case CLIENT_CONNECT:
	case CLIENT_CONNECT_AUTH:
		connect_method(client, client->kind == CLIENT_CONNECT_AUTH);
		break;
	case CLIENT_BIND:
		socks5_bind(client);
		break;
	case CLIENT_UDP:
		socks5_udp(client);
		break;
	case CLIENT_TLS:
		tls(client);
		break;
	case CLIENT_GARBAGE:
		garbage(client);
		break;
	case CLIENT_HTTP:
	case CLIENT_HTTP_AUTH:
	case CLIENT_HTTP_REVERSE:
		http_client_compose(client);
		if (client->kind == CLIENT_HTTP_AUTH)
			client->http->basic = draw_login(client)->basic;
		break;
	case CLIENT_SILENT:
		if (rng_below(sim_rng(), 2))
			end_say(&client->end, "GET http://s", 12);
		client->end.out_piece = 1;
		client->end.out_gap = 900 * MS;
		client->expect = EXPECT_CLOSED;
		break;
	default:
		break;
	}
}

static void begin(struct sim_event *event)
{
	struct client *client = caa_container_of(event, struct client, begin);

	client->from.port = sim_port();
	world.by_port[client->from.port] = client;
	if (client->to.port == WORLD_LISTEN_REQUIRED ||
	    (client->to.port == WORLD_LISTEN_PROXIED && rng_below(sim_rng(), 2)))
		proxy_header(client);
	compose(client);
	sim_trace("client %u: %s from port %u to port %u, %s", client->end.number,
		  kind_names[client->kind], client->from.port, client->to.port,
		  client->dest ? client->dest : "-");
	end_connect(&client->end, &client->from, &client->to);
}

static void misbehave(struct plan *plan, uint64_t size_max)
{
	struct rng *rng = sim_rng();

	switch (rng_below(rng, 6)) {
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
	case 3:
		plan->life = sim_spread(rng, 1 * MS, 5000 * MS);
		break;
	default:
		break;
	}
}

void client_new(enum client_kind kind, uint64_t at)
{
	struct client *client = sim_alloc(sizeof(*client));
	struct rng *rng = sim_rng();
	const struct world_options *o = &world.options;
	char address[32];

	memset(client, 0, sizeof(*client));
	client->kind = kind;
	end_init(&client->end, "client",
		 kind >= CLIENT_FIRST  ? &raw_ops
		 : kind >= CLIENT_HTTP ? &http_client_ops
				       : &client_ops);
	snprintf(address, sizeof(address), "10.1.0.%u", 1 + (unsigned)rng_below(rng, 3));
	client->from = world_address(address, 0);
	client->to = world_address("10.0.0.1", 0);
	client->to.port = listener_of(client);
	plan_draw(&client->end.plan, o->size_max);
	if (o->rude)
		misbehave(&client->end.plan, o->size_max);
	client->optimistic = rng_below(rng, 4) == 0;
	if (rng_below(rng, 3) == 0) {
		client->end.out_piece = 1 + (uint32_t)rng_below(rng, 8);
		client->end.out_gap = sim_spread(rng, 1000, 5 * MS);
	}
	client->begin.run = begin;
	sim_event_set(&client->begin, at);
	world.clients_left++;
}
