// SPDX-License-Identifier: Apache-2.0
// Dialling on the simulated network: hosts that listen, refuse, hang or cannot be reached, slow and
// silent resolvers, parents of every temper, shortages of descriptors and ports, cancellations; each
// schedule comes from one seed.
//
// What must hold: each dial ends once and within its deadlines; only permitted addresses are
// connected; what can be reached is reached when nothing goes wrong; nothing is left behind.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/addr.h"
#include "base/hash.h"
#include "base/host.h"
#include "base/rng.h"
#include "io/loop.h"
#include "io/sim.h"
#include "io/sys.h"
#include "obs/metrics.h"
#include "stream/stream.h"
#include "upstream/dial.h"
#include "upstream/resolver.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

enum {
	PLACES = 16, // half of them IPv6
	NAMES = 6,   // the last one is the parent's
	PARENTS = 3,
	DIALS = 40,
	TARGETS = 4,
	PORT = 80,
	PARENT_PORT = 3128,
};

static const uint64_t SLACK = 50 * MS; // timer ticks, late waits, calls that cost

enum temper { OBLIGING, REFUSING, SILENT, GARBLED, CLOSING, TEMPERS };

struct world;

struct server {
	struct world *world;
	struct endpoint address;
	int fd;
	bool parent, socks, obliging;
};

struct conn {
	struct conn *next;
	struct server *server;
	int fd;
	enum temper temper;
	unsigned step; // of a parent's handshake
	uint8_t in[2048];
	size_t len;
	const uint8_t *out;
	size_t out_len;
	struct sim_event event; // the next piece of the reply
};

struct name {
	struct host host;
	enum resolver_status status[2];
	bool silent[2];
	uint64_t delay[2];
	struct endpoint addresses[2][4];
	unsigned count[2];
};

struct query {
	struct timer timer;
	struct query *next;
	struct world *world;
	struct name *name;
	struct resolver_entry *entry;
	int family;
};

struct caller {
	struct world *world;
	struct dial *dial;
	struct timer start, cancel;
	struct dial_request request;
	struct host host;
	struct snap_target targets[TARGETS];
	unsigned number;
	bool started, starting, ended, cancelled;
	uint64_t began;
	struct endpoint permitted[64];
	unsigned permitted_count;
};

struct world {
	struct rng rng;
	bool calm; // no faults: what can be reached must be
	struct loop loop;
	struct metrics *metrics;
	struct resolver_backend backend;
	struct resolver *resolver;
	struct dialer dialer;
	struct server servers[PLACES + PARENTS];
	enum sim_fate fates[PLACES];
	bool listening[PLACES], denied[PLACES];
	struct name names[NAMES];
	struct snap_parent parents[PARENTS];
	struct caller callers[DIALS];
	struct conn *conns;
	struct query *queries;
	unsigned over, reached;
};

static struct world *world_now; // for the network's questions

#define MUST(what, ...)                                                                            \
	do {                                                                                       \
		if (!(what))                                                                       \
			sim_fail(__VA_ARGS__);                                                     \
	} while (0)

static bool chance(struct world *w, unsigned percent)
{
	return rng_below(&w->rng, 100) < percent;
}

static struct endpoint place(unsigned i)
{
	uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(i + 1)};

	return i < PLACES / 2 ? endpoint_v4(0xc0000201 + i, PORT) : endpoint_v6(ip, PORT, 0);
}

static int place_of(const struct endpoint *address)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct endpoint here = place(i);
		if (endpoint_same_ip(&here, address))
			return (int)i;
	}
	return -1;
}

static enum sim_fate fate_of(const struct endpoint *to)
{
	int i = place_of(to);

	if (i >= 0)
		return world_now->fates[i];
	return to->family == AF_INET6 ? SIM_FATE_SILENT : SIM_FATE_HOST;
}

// The peers' side.

static void conn_close(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	sim_event_cancel(&conn->event);
	sys_close(conn->fd);
	conn->fd = -1;
}

// Whatever a destination hears can only be the beginning of a PROXY header.
static void check_heard(const struct conn *conn)
{
	static const char v1[] = "PROXY ", v2[] = "\r\n\r\n\0\r\nQUIT\n";
	size_t n1 = conn->len < sizeof(v1) - 1 ? conn->len : sizeof(v1) - 1;
	size_t n2 = conn->len < sizeof(v2) - 1 ? conn->len : sizeof(v2) - 1;

	MUST(memcmp(conn->in, v1, n1) == 0 || memcmp(conn->in, v2, n2) == 0,
	     "a destination heard what nobody said");
}

static void send_piece(struct sim_event *event)
{
	struct conn *conn = caa_container_of(event, struct conn, event);
	struct world *w = conn->server->world;
	size_t piece = 1 + rng_below(&w->rng, conn->out_len);

	ssize_t n = sys_send(conn->fd, conn->out, piece);
	if (n < 0 && n != -EAGAIN) {
		conn_close(conn);
		return;
	}
	if (n > 0) {
		conn->out += n;
		conn->out_len -= (size_t)n;
	}
	if (conn->out_len)
		sim_event_set(event, sys_now() + sim_spread(&w->rng, 1, 100 * MS));
	else if (conn->temper == CLOSING)
		conn_close(conn);
}

static void reply(struct conn *conn, const void *bytes, size_t len)
{
	struct world *w = conn->server->world;

	conn->out = bytes;
	conn->out_len = len;
	sim_event_set(&conn->event, sys_now() + sim_spread(&w->rng, 1, 300 * MS));
}

#define REPLY(conn, text) reply(conn, text, sizeof(text) - 1)

static void http_parent(struct conn *conn)
{
	if (conn->step || !memmem(conn->in, conn->len, "\r\n\r\n", 4))
		return;
	conn->step = 1;
	if (conn->temper == OBLIGING)
		REPLY(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nearly");
	else if (conn->temper == REFUSING)
		REPLY(conn, "HTTP/1.1 403 No\r\n\r\n");
	else if (conn->temper == GARBLED)
		REPLY(conn, "HTTP/1.1 200 OK\r\n: x\r\n\r\n");
	else if (conn->temper == CLOSING)
		REPLY(conn, "HTTP/1.1 200 OK\r\n");
}

// The length of the greeting and the request behind it, as far as it can be told.
static size_t socks_wanted(const struct conn *conn)
{
	const uint8_t *request = conn->in + 3;

	if (conn->len < 8)
		return 8;
	return 3 + 6 + (request[3] == 1 ? 4U : request[3] == 4 ? 16U : 1U + request[4]);
}

static void socks_parent(struct conn *conn)
{
	if (conn->step == 0 && conn->len >= 3) {
		conn->step = 1;
		if (conn->temper != SILENT)
			REPLY(conn, "\5\0");
	} else if (conn->step == 1 && conn->len >= socks_wanted(conn)) {
		conn->step = 2;
		if (conn->temper == OBLIGING)
			REPLY(conn, "\5\0\0\1\0\0\0\0\0\0early");
		else if (conn->temper == REFUSING)
			REPLY(conn, "\5\4\0\1\0\0\0\0\0\0");
		else if (conn->temper == GARBLED)
			REPLY(conn, "\5\0\0\7");
	}
}

static void conn_ready(void *ctx)
{
	struct conn *conn = ctx;

	while (conn->fd >= 0) {
		uint8_t spare[256];
		bool full = conn->len == sizeof(conn->in);
		ssize_t n = full ? sys_recv(conn->fd, spare, sizeof(spare))
				 : sys_recv(conn->fd, conn->in + conn->len,
					    sizeof(conn->in) - conn->len);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			conn_close(conn);
			return;
		}
		if (!full)
			conn->len += (size_t)n;
		if (!conn->server->parent)
			check_heard(conn);
		else if (conn->server->socks)
			socks_parent(conn);
		else
			http_parent(conn);
	}
}

static void server_ready(void *ctx)
{
	struct server *server = ctx;
	struct world *w = server->world;
	struct sockaddr_storage peer;

	for (;;) {
		int fd = sys_accept(server->fd, &peer);
		if (fd < 0)
			return;
		int i = place_of(&server->address);
		MUST(i < 0 || !w->denied[i], "a denied address was connected");
		struct conn *conn = calloc(1, sizeof(*conn));
		conn->server = server;
		conn->fd = fd;
		conn->temper = (enum temper)rng_below(&w->rng, TEMPERS);
		if (server->obliging || chance(w, 50))
			conn->temper = OBLIGING;
		conn->event.run = send_piece;
		conn->next = w->conns;
		w->conns = conn;
		sim_notify(fd, conn_ready, conn);
		conn_ready(conn);
	}
}

static void server_open(struct world *w, struct server *server, struct endpoint address)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&address, &sa);

	*server = (struct server){.world = w, .address = address};
	server->fd = sys_socket(address.family, SOCK_STREAM);
	assert(server->fd >= 0);
	int r = sys_bind(server->fd, (struct sockaddr *)&sa, len);
	assert(r == 0);
	r = sys_listen(server->fd, 128);
	assert(r == 0);
	sim_notify(server->fd, server_ready, server);
}

// The resolver's back end.

static void query_over(struct query *query)
{
	struct query **at = &query->world->queries;

	while (*at != query)
		at = &(*at)->next;
	*at = query->next;
	free(query);
}

static void answer(struct name *name, int family, struct resolver_entry *entry)
{
	int v6 = family == AF_INET6;

	resolver_answered(entry, name->status[v6], name->addresses[v6], name->count[v6],
			  5 * SECOND);
}

static void query_due(struct loop *loop, struct timer *timer)
{
	struct query *query = caa_container_of(timer, struct query, timer);
	struct name *name = query->name;
	struct resolver_entry *entry = query->entry;
	int family = query->family;

	query_over(query);
	answer(name, family, entry);
}

static void backend_query(struct resolver_backend *backend, const char *text, int family,
			  struct resolver_entry *entry)
{
	struct world *w = caa_container_of(backend, struct world, backend);
	struct name *name = w->names;

	while (strcmp(name->host.name, text) != 0)
		name++;
	if (name->silent[family == AF_INET6])
		return;
	if (name->delay[family == AF_INET6] == 0) {
		answer(name, family, entry);
		return;
	}
	struct query *query = calloc(1, sizeof(*query));
	*query = (struct query){
		.next = w->queries, .world = w, .name = name, .entry = entry, .family = family};
	w->queries = query;
	timer_init(&query->timer, query_due);
	loop_timer_set(&w->loop, &query->timer, w->loop.now + name->delay[family == AF_INET6]);
}

static void backend_free(struct resolver_backend *backend)
{
	struct world *w = caa_container_of(backend, struct world, backend);

	while (w->queries) {
		loop_timer_cancel(&w->loop, &w->queries->timer);
		query_over(w->queries);
	}
}

static const struct resolver_backend_ops backend_ops = {.query = backend_query,
							.free = backend_free};

// The callers.

static enum close_reason permit(void *owner, const struct endpoint *address,
				const struct snap_parent **ret_parent)
{
	struct caller *c = owner;
	int i = place_of(address);

	MUST(i >= 0, "asked for an address that nobody named");
	if (c->world->denied[i])
		return CLOSE_ACL_DENIED;
	if (c->permitted_count < 64)
		c->permitted[c->permitted_count++] = *address;
	return CLOSE_NONE;
}

static bool reachable(const struct world *w, const struct endpoint *address)
{
	int i = place_of(address);

	return i >= 0 && w->fates[i] == SIM_FATE_HOST && w->listening[i] && !w->denied[i];
}

// Whether, without faults, that host has to be reached within the caller's patience.
static bool must_reach(const struct caller *c, const struct host *host)
{
	const struct world *w = c->world;

	if (host->kind == HOST_ADDRESS)
		return reachable(w, &host->address);
	for (unsigned i = 0; i < NAMES; i++) {
		const struct name *name = &w->names[i];
		if (strcmp(name->host.name, host->name) != 0)
			continue;
		for (int v6 = 0; v6 < 2; v6++) {
			if (name->silent[v6] || name->status[v6] != RESOLVER_OK ||
			    name->delay[v6] + 100 * MS > c->request.resolve_ns)
				continue;
			for (unsigned k = 0; k < name->count[v6]; k++)
				if (reachable(w, &name->addresses[v6][k]))
					return true;
		}
	}
	return false;
}

static uint64_t patience(const struct caller *c)
{
	unsigned hosts = c->request.host ? 1 : c->request.target_count;

	// Hosts come in one after the other; a parent is one more.
	return (hosts + 1) * (c->request.resolve_ns + DIAL_TARGET_DELAY_NS) +
	       c->request.connect_ns + SLACK;
}

static void check_failure(const struct caller *c, const struct dial_result *result)
{
	const struct world *w = c->world;
	bool must = false;

	MUST(!result->stream, "a stream with a failure");
	MUST(result->reason != CLOSE_INTERNAL, "a failure without a reason");
	// Of a long list the names alone may take longer than the connect deadline.
	if (!w->calm || c->request.connect_ns < 15 * SECOND || c->request.target_count > 2)
		return;
	if (c->request.parent) {
		const struct host *host = c->request.host ? c->request.host : &c->targets[0].host;
		MUST(c->request.parent != &w->parents[PARENTS - 1] ||
			     (host->kind == HOST_ADDRESS && w->denied[place_of(&host->address)]),
		     "dial %u failed (%s) though its parent is willing", c->number,
		     close_reason_name(result->reason));
		return;
	}
	if (c->request.host)
		must = must_reach(c, c->request.host);
	for (unsigned i = 0; i < c->request.target_count; i++)
		must = must || must_reach(c, &c->targets[i].host);
	MUST(!must, "dial %u failed (%s) though its destination can be reached", c->number,
	     close_reason_name(result->reason));
}

static void check_success(const struct caller *c, const struct dial_result *result)
{
	struct endpoint peer;
	bool asked = result->parent_id != 0;

	MUST(result->stream, "success without a stream");
	if (result->stream->ops->peer(result->stream, &peer) == 0)
		MUST(endpoint_equal(&peer, &result->peer), "the peer is another one");
	for (unsigned i = 0; i < c->permitted_count; i++)
		asked = asked || endpoint_equal(&c->permitted[i], &result->peer);
	MUST(asked, "connected without a permit");
	MUST((c->request.parent != NULL) == (result->parent_id != 0), "not by the parent");
	MUST(result->early.len == 0 ||
		     (result->early.len <= 5 &&
		      memcmp("early", result->early.data, result->early.len) == 0),
	     "early bytes are others");
}

static void dialed(struct loop *loop, void *owner, const struct dial_result *result)
{
	struct caller *c = owner;

	MUST(c->started && !c->starting && !c->ended && !c->cancelled, "dial %u ended unasked",
	     c->number);
	MUST(!c->dial, "the slot still points at the dial");
	MUST(loop->now <= c->began + patience(c), "dial %u is %llu ms late", c->number,
	     (unsigned long long)((loop->now - c->began - patience(c)) / MS));
	c->ended = true;
	c->world->over++;
	loop_timer_cancel(loop, &c->cancel);
	sim_trace("dial %u: %s", c->number, close_reason_name(result->reason));
	if (result->reason != CLOSE_NONE) {
		check_failure(c, result);
		return;
	}
	check_success(c, result);
	c->world->reached++;
	stream_close(loop, result->stream, chance(c->world, 50) ? STREAM_FIN : STREAM_RST);
}

static void cancel(struct loop *loop, struct timer *timer)
{
	struct caller *c = caa_container_of(timer, struct caller, cancel);

	MUST(c->dial, "a dial that has not ended is not there");
	c->cancelled = true;
	c->world->over++;
	dial_cancel(c->dial);
	dial_cancel(c->dial);
	MUST(!c->dial, "a cancelled dial is there");
}

static void start(struct loop *loop, struct timer *timer)
{
	struct caller *c = caa_container_of(timer, struct caller, start);

	c->began = loop->now;
	c->started = c->starting = true;
	int r = dial_start(&c->world->dialer, &c->request, &c->dial);
	c->starting = false;
	MUST(r == 0, "dial_start: %d", r);
	if (chance(c->world, 15))
		loop_timer_set(loop, &c->cancel,
			       loop->now + sim_spread(&c->world->rng, 1, 5 * SECOND));
}

static struct host random_host(struct world *w)
{
	if (chance(w, 50))
		return w->names[rng_below(&w->rng, NAMES - 1)].host;
	struct endpoint address = place((unsigned)rng_below(&w->rng, PLACES));
	return host_from_endpoint(&address);
}

static void caller_init(struct world *w, struct caller *c, unsigned number)
{
	memset(c, 0, sizeof(*c));
	c->world = w;
	c->number = number;
	c->request = (struct dial_request){
		.owner = c,
		.permit = permit,
		.done = dialed,
		.resolve_ns = sim_spread(&w->rng, 10 * MS, 6 * SECOND),
		.connect_ns =
			chance(w, 50) ? 20 * SECOND : sim_spread(&w->rng, 10 * MS, 20 * SECOND),
		.send_proxy = (enum snap_send_proxy)rng_below(&w->rng, 3),
		.client = place(0),
		.local = place(1),
	};
	if (chance(w, 60)) {
		c->host = random_host(w);
		c->request.host = &c->host;
	} else {
		c->request.targets = c->targets;
		c->request.target_count = 1 + (uint32_t)rng_below(&w->rng, TARGETS);
		for (unsigned i = 0; i < c->request.target_count; i++)
			c->targets[i] = (struct snap_target){.id = i, .host = random_host(w)};
	}
	if (chance(w, 25))
		c->request.parent = &w->parents[rng_below(&w->rng, PARENTS)];
	timer_init(&c->start, start);
	timer_init(&c->cancel, cancel);
	loop_timer_set(&w->loop, &c->start, w->loop.now + sim_spread(&w->rng, 1, 30 * SECOND));
}

static void make_names(struct world *w)
{
	static const enum resolver_status statuses[] = {
		RESOLVER_OK,        RESOLVER_OK,     RESOLVER_OK,     RESOLVER_NO_DATA,
		RESOLVER_NOT_FOUND, RESOLVER_FAILED, RESOLVER_TIMEOUT};

	for (unsigned i = 0; i < NAMES - 1; i++) {
		struct name *name = &w->names[i];
		char text[32];
		int len = snprintf(text, sizeof(text), "n%u.test", i);
		host_from_name(text, (size_t)len, PORT, &name->host);
		for (int v6 = 0; v6 < 2; v6++) {
			name->status[v6] = statuses[rng_below(&w->rng, 7)];
			name->silent[v6] = chance(w, 10);
			name->delay[v6] = chance(w, 50) ? 0 : sim_spread(&w->rng, MS, 8 * SECOND);
			if (name->status[v6] != RESOLVER_OK)
				continue;
			name->count[v6] = 1 + (unsigned)rng_below(&w->rng, 4);
			for (unsigned k = 0; k < name->count[v6]; k++)
				name->addresses[v6][k] =
					place((unsigned)rng_below(&w->rng, PLACES / 2) +
					      (v6 ? PLACES / 2 : 0));
		}
	}
}

static void make_places(struct world *w)
{
	for (unsigned i = 0; i < PLACES; i++) {
		w->fates[i] = SIM_FATE_HOST;
		if (chance(w, 40))
			w->fates[i] = (enum sim_fate)rng_below(&w->rng, SIM_FATE_NO_HOST + 1);
		w->denied[i] = chance(w, 15);
		w->listening[i] = chance(w, 70);
		if (w->listening[i])
			server_open(w, &w->servers[i], place(i));
	}
	for (unsigned i = 0; i < PARENTS; i++) {
		struct endpoint address = endpoint_v4(0xc6336401 + i, PARENT_PORT);
		struct server *server = &w->servers[PLACES + i];
		server_open(w, server, address);
		server->parent = true;
		server->socks = i == 1 || (i == 2 && chance(w, 50));
		server->obliging = i == 2;
		w->parents[i] = (struct snap_parent){.id = i + 1,
						     .type = server->socks ? SNAP_PARENT_SOCKS5
									   : SNAP_PARENT_HTTP,
						     .target.host = host_from_endpoint(&address)};
	}
}

// The last parent has a name; of its addresses the IPv6 one does not answer.
static void make_named_parent(struct world *w)
{
	static const uint8_t silent[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0xff};
	struct name *name = &w->names[NAMES - 1];

	host_from_name("parent.test", 11, PARENT_PORT, &name->host);
	name->count[0] = name->count[1] = 1;
	name->addresses[0][0] = w->servers[PLACES + PARENTS - 1].address;
	name->addresses[1][0] = endpoint_v6(silent, 0, 0);
	w->parents[PARENTS - 1].target.host = name->host;
}

static struct sim_config random_config(struct world *w, uint64_t seed)
{
	struct sim_config config = {
		.seed = seed,
		.latency_min = 10000,
		.latency_max = 100 * MS,
		.jitter = 10 * MS,
		.buffer_min = 4096,
		.buffer_max = 65536,
		.segment_max = 512,
		.slot_max = 4096,
		.call_ns = 2000,
		.shuffle = true,
		.fate = fate_of,
	};

	w->calm = chance(w, 60);
	if (w->calm) {
		// What may slow a dial down, but is no reason to fail.
		if (chance(w, 50))
			config.faults = (struct sim_faults){
				.send_again = 200000, .send_short = 500000, .late = 10000};
		return config;
	}
	config.faults = (struct sim_faults){
		.socket = 20000,
		.connect = 20000,
		.poll_add = 10000,
		.refuse = 30000,
		.reset = 50000,
		.timeout = 30000,
		.stall = 5000,
		.late = 10000,
		.send_again = 20000,
		.send_short = 20000,
	};
	if (chance(w, 30))
		config.descriptors = 10 + (uint32_t)rng_below(&w->rng, 20);
	return config;
}

static void world_open(struct world *w, uint64_t seed, bool trace)
{
	const struct resolver_config resolver = {.cache_entries = 3, .hosts_path = ""};

	memset(w, 0, sizeof(*w));
	world_now = w;
	rng_init(&w->rng, seed);
	rng_init(rng_thread(), seed);
	hash_seed(seed);
	struct sim_config config = random_config(w, seed);
	config.trace = trace;
	sim_begin(&config);
	sim_enter(SIM_PEER);
	make_places(w);
	make_names(w);
	make_named_parent(w);
	sim_enter(SIM_PROXY);
	w->metrics = metrics_new();
	struct sim_faults faults = sim_config()->faults;
	sim_config()->faults = (struct sim_faults){0};
	int r = loop_init(&w->loop, 0);
	assert(r == 0);
	sim_config()->faults = faults;
	w->backend.ops = &backend_ops;
	r = resolver_new(&w->loop, w->metrics, &resolver, &w->backend, &w->resolver);
	assert(r == 0);
	dialer_init(&w->dialer, &w->loop, w->resolver, w->metrics);
	for (unsigned i = 0; i < DIALS; i++)
		caller_init(w, &w->callers[i], i);
}

static void world_close(struct world *w)
{
	MUST(w->dialer.live == 0, "%u dials live on", w->dialer.live);
	MUST(w->metrics->connects_pending == 0, "connects are pending");
	dialer_release(&w->dialer);
	resolver_free(w->resolver);
	loop_release(&w->loop);
	MUST(sim_open(SIM_PROXY) == 0, "%u descriptors are left open", sim_open(SIM_PROXY));
	metrics_free(w->metrics);
	sim_enter(SIM_PEER);
	while (w->conns) {
		struct conn *conn = w->conns;
		w->conns = conn->next;
		conn_close(conn);
		free(conn);
	}
	for (unsigned i = 0; i < PLACES + PARENTS; i++)
		if (w->servers[i].world)
			sys_close(w->servers[i].fd);
	sim_enter(SIM_PROXY);
}

static uint64_t seed_now;

static void failed(void)
{
	fprintf(stderr, "seed %llu failed: replay with: sim_dial -v %llu\n",
		(unsigned long long)seed_now, (unsigned long long)seed_now);
	abort();
}

// sim_dial [-v] [FIRST [COUNT]]: -v prints every call. Without numbers as many seeds from 1 on as
// TOOLS_SIM_SEEDS says.
int main(int argc, char **argv)
{
	bool trace = argc > 1 && strcmp(argv[1], "-v") == 0;
	const char *more = getenv("TOOLS_SIM_SEEDS");
	uint64_t first = 1, count = more && *more ? strtoull(more, NULL, 10) : 400;
	static struct world world;
	uint64_t reached = 0, ended = 0;

	argc -= 1 + trace;
	argv += 1 + trace;
	if (argc > 0) {
		first = strtoull(argv[0], NULL, 10);
		count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	}
	sim_on_fail(failed);
	for (seed_now = first; seed_now < first + count; seed_now++) {
		world_open(&world, seed_now, trace);
		uint64_t end = world.loop.now + 600 * SECOND;
		while (world.over < DIALS) {
			MUST(world.loop.now < end, "dials do not end");
			loop_turn(&world.loop, SECOND);
		}
		loop_turn(&world.loop, 0);
		reached += world.reached;
		ended += world.over;
		world_close(&world);
	}
	printf("%llu seeds, %llu dials, %llu connected\n", (unsigned long long)count,
	       (unsigned long long)ended, (unsigned long long)reached);
	return 0;
}
