// SPDX-License-Identifier: Apache-2.0
// A whole worker on the simulated network: its configuration, names, records, beginning and end.
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>
#include <urcu/pointer.h>

#include "alloc.h"
#include "base/hash.h"
#include "base/rng.h"
#include "client.h"
#include "config/config.h"
#include "io/helper.h"
#include "io/listener.h"
#include "io/sim_internal.h"
#include "io/sys.h"
#include "obs/access.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "policy/authcache.h"
#include "policy/throttle.h"
#include "snap/snap.h"
#include "upstream/hosts.h"
#include "upstream/resolver.h"
#include "upstream/resolver_ares.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

enum { CONFIG_MAX = 16384, TURNS_MAX = 3000000 };

struct world world;
struct metrics world_metrics;

/*
 * The configuration.
 */

// crypt(3) of "pe": a slow check, by a helper.
#define ERIN                                                                                       \
	"oTKf0l9BCWU9Dt53yAe9RXE2131HETSfHh4sFGAoqwEsC8VNGfeA4ShwSkIk2hmCIzlpTPdbA79bDLQ1pYr7J1"

static const char config_head[] =
	"listeners:\n"
	"  - {name: forward, address: '10.0.0.1:1080', open: true}\n"
	"  - {name: auth, address: '10.0.0.1:1081', authentication: required}\n"
	"  - {name: proxied, address: '10.0.0.1:1082', open: true,\n"
	"     proxy_protocol: {from: [10.1.0.0/16]}}\n"
	"  - {name: required, address: '10.0.0.1:1083', open: true,\n"
	"     proxy_protocol: {from: [10.1.0.0/16], required: true}}\n"
	"  - {name: tls, address: '10.0.0.1:443', protocols: [tls], forward: false}\n"
	"  - {name: raw, address: '10.0.0.1:7777', protocols: [tcp], forward: false}\n"
	"  - {name: reverse, address: '10.0.0.1:8000', protocols: [http], forward: false}\n"
	"  - {name: local, address: '127.0.0.1:1084', authentication: none}\n";

// This one comes and goes.
static const char config_first[] =
	"  - {name: first, address: '10.0.0.1:7778', protocols: [http, tcp], open: true,\n"
	"     server_first_wait: 200ms}\n"
	"routes:\n"
	"  - {name: first, listeners: [first], protocols: [tcp], to: ['10.2.0.1:7001']}\n";

static const char config_routes[] =
	"  - {name: sni, protocols: [tls], sni: [tls.sim], to: ['10.2.0.1:7443']}\n"
	"  - {name: raw, listeners: [raw], protocols: [tcp], send_proxy: v2,\n"
	"     to: ['10.2.0.1:7002', 's1.sim:7002']}\n"
	"  - {name: web, protocols: [http], hosts: [web.sim], to: ['10.2.0.1:80', 'h2.sim:80']}\n"
	"parents:\n"
	"  - {name: http, type: http, address: '10.3.0.1:3128', username: u, password: p}\n"
	"  - {name: socks, type: socks5, address: '10.3.0.1:1080', username: u, password: p}\n"
	"acl:\n"
	"  - {name: no-name, action: deny, domains: [denied.sim]}\n"
	"  - {name: by-http, action: allow, domains: [viah.sim, viaweb.sim], parent: http}\n"
	"  - {name: no-net, action: deny, destinations: [10.9.0.0/16]}\n"
	"  - {name: by-socks, action: allow, domains: [vias.sim], parent: socks}\n";

static size_t config_text(char *text)
{
	const struct world_options *o = &world.options;
	size_t n = 0;
	bool less = world.generation % 2 == 1;

	n += (size_t)snprintf(text + n, CONFIG_MAX - n, "%s%s%s", config_head,
			      less ? "routes:\n" : config_first, config_routes);
	if (less)
		n += (size_t)snprintf(text + n, CONFIG_MAX - n,
				      "  - {name: no-more, action: deny, domains: [s2.sim]}\n");
	n += (size_t)snprintf(
		text + n, CONFIG_MAX - n,
		"users:\n"
		"  - {name: alice, password: pa}\n"
		"  - {name: erin, password_hash: '$6$rounds=1000$sim$" ERIN "'}\n"
		"  - {name: bob, password: pb, limits: {upload: 500kB/s, download: 1MB/s}}\n"
		"  - {name: carol, password: pc, limits: {connections: 2}}\n");
	if (!less)
		n += (size_t)snprintf(text + n, CONFIG_MAX - n, "  - {name: dave, password: pd}\n");
	n += (size_t)snprintf(text + n, CONFIG_MAX - n, "limits:\n  connections: %u\n",
			      o->connections);
	if (o->per_address || o->address_rate)
		n += (size_t)snprintf(
			text + n, CONFIG_MAX - n,
			"  per_address: {connections: %u, upload: %uB/s, download: %uB/s}\n",
			o->per_address, o->address_rate, o->address_rate);
	n += (size_t)snprintf(
		text + n, CONFIG_MAX - n,
		"timeouts: {admission: %ums, resolve: %ums, connect: %ums, idle: %ums,\n"
		"  half_closed: %ums, total: %ums, http_keepalive: %ums, bind: 3s,\n"
		"  udp_idle: %ums}\n",
		o->admission_ms, o->resolve_ms, o->connect_ms, o->idle_ms, o->half_closed_ms,
		o->total_ms, o->keepalive_ms, o->udp_idle_ms);
	n += (size_t)snprintf(text + n, CONFIG_MAX - n,
			      "relay: {pipe_size: %u, coalesce: %uus, splice: %s}\n"
			      "admin: {address: 'off'}\n",
			      o->pipe_size, o->coalesce_us, o->splice ? "true" : "false");
	return n;
}

static struct snap *load(void)
{
	static char text[CONFIG_MAX];
	struct config_errors errors;
	struct snap *snap;
	const struct config_source source = {.path = "schedule",
					     .text = text,
					     .text_len = config_text(text),
					     .wall_ns = sys_wall()};

	config_errors_init(&errors);
	int r = config_load(&source, &errors, &snap);
	if (r < 0) {
		config_errors_print(&errors, stderr);
		sim_fail("the schedule's configuration is not valid: %s", strerror(-r));
	}
	config_errors_release(&errors);
	snap->generation = world.generation + 1;
	return snap;
}

static void listen_on(const struct snap_listener *listener)
{
	const struct sim_faults faults = sim.config.faults;

	// A proxy that cannot listen takes no new configuration: that is not what schedules are about.
	sim.config.faults = (struct sim_faults){0};
	sim_enter(SIM_PROXY);
	int fd = listener_socket(&listener->address, false, true);
	sim_enter(SIM_PEER);
	sim.config.faults = faults;
	if (fd >= 0)
		worker_listen_any(&world.worker, listener->id, fd);
	else if (fd != -EMFILE)
		sim_fail("cannot listen: %s", strerror(-fd));
}

static void change_listeners(void)
{
	const struct snap *snap = world.shared.snap_rcu;

	if (world.generation % 2 == 1) {
		worker_unlisten_any(&world.worker, world.first_id);
		return;
	}
	for (uint32_t i = 0; i < snap->listener_count; i++)
		if (snap->listeners[i].id == world.first_id)
			listen_on(&snap->listeners[i]);
}

void world_reload(void)
{
	struct snap *old = world.shared.snap_rcu;

	if (world.old_count == sizeof(world.old) / sizeof(world.old[0]))
		return;
	sim_trace("reload");
	world.generation++;
	rcu_set_pointer(&world.shared.snap_rcu, load());
	world.old[world.old_count++] = old;
	world.revised_at = sim.now;
	if (!world.draining)
		change_listeners();
	worker_reconfigure_any(&world.worker);
}

void world_drain(void)
{
	sim_trace("drain");
	world.draining = true;
	world.drained_at = sim.now;
	atomic_store(&world.shared.draining_atomic, true);
	worker_drain_any(&world.worker);
}

/*
 * Names.
 */

struct name {
	const char *name;
	enum resolver_status status;
	bool silent;
	const char *v4[3], *v6[3];
};

static const struct name names[] = {
	{"s1.sim", RESOLVER_OK, false, {"10.2.0.1"}, {0}},
	{"s2.sim", RESOLVER_OK, false, {"10.2.0.1"}, {"2001:db8:2::1"}},
	{"happy.sim", RESOLVER_OK, false, {"10.2.0.1"}, {"2001:db8:66::1"}},
	{"many.sim", RESOLVER_OK, false, {"10.67.0.1", "10.68.0.1", "10.2.0.1"}, {0}},
	{"vias.sim",
	 RESOLVER_OK,
	 false,
	 {"10.2.0.1"},
	 {0}}, // its rule stands behind one of addresses
	{"h1.sim", RESOLVER_OK, false, {"10.2.0.1"}, {0}},
	{"h2.sim", RESOLVER_OK, false, {"10.2.0.1"}, {"2001:db8:2::1"}},
	{"denied.sim", RESOLVER_OK, false, {"10.2.0.1"}, {0}},
	{"inner.sim", RESOLVER_OK, false, {"10.9.0.1"}, {0}},
	{"local.sim", RESOLVER_OK, false, {"127.0.0.1"}, {0}},
	{"refuse.sim", RESOLVER_OK, false, {"10.67.0.1"}, {0}},
	{"dark.sim", RESOLVER_OK, false, {"10.66.0.1"}, {0}},
	{"gone.sim", RESOLVER_OK, false, {"10.69.0.1"}, {0}},
	{"nx.sim", RESOLVER_NOT_FOUND, false, {0}, {0}},
	{"fail.sim", RESOLVER_FAILED, false, {0}, {0}},
	{"slow.sim", RESOLVER_TIMEOUT, true, {0}, {0}},
};

static enum sim_fate fate(const struct endpoint *to)
{
	if (to->family == AF_INET6)
		return to->ip[5] == 0x66 ? SIM_FATE_SILENT : SIM_FATE_HOST;
	if (to->ip[0] != 10)
		return SIM_FATE_HOST;
	return to->ip[1] == 66   ? SIM_FATE_SILENT
	       : to->ip[1] == 68 ? SIM_FATE_NO_ROUTE
	       : to->ip[1] == 69 ? SIM_FATE_NO_HOST
				 : SIM_FATE_HOST;
}

struct endpoint world_address(const char *text, uint16_t port)
{
	struct endpoint address;

	if (endpoint_parse_ip(text, strlen(text), &address) < 0)
		sim_fail("no address: %s", text);
	address.port = port;
	return address;
}

struct query {
	struct cds_list_head node;
	struct timer timer;
	struct resolver_entry *entry;
	const struct name *name;
	int family;
};

// The back end of the worker's resolver: answers come after a while, by a timer of the loop.
struct names {
	struct resolver_backend base;
	struct loop *loop;
	struct cds_list_head queries;
};

static void answer(struct loop *loop, struct timer *timer)
{
	struct query *query = caa_container_of(timer, struct query, timer);
	const struct name *name = query->name;
	struct endpoint addresses[3];
	unsigned n = 0;

	cds_list_del(&query->node);
	const char *const *texts = query->family == AF_INET6 ? name->v6 : name->v4;
	for (; name && n < 3 && texts[n]; n++)
		addresses[n] = world_address(texts[n], 0);
	enum resolver_status status = name ? name->status : RESOLVER_NOT_FOUND;
	if (status == RESOLVER_OK && n == 0)
		status = RESOLVER_NO_DATA;
	resolver_answered(query->entry, status, addresses, n, 5 * SECOND);
}

static void ask(struct resolver_backend *base, const char *text, int family,
		struct resolver_entry *entry)
{
	struct names *backend = caa_container_of(base, struct names, base);
	struct query *query = sim_alloc(sizeof(*query));
	struct rng *rng = sim_rng();

	*query = (struct query){.entry = entry, .family = family};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, text) == 0)
			query->name = &names[i];
	cds_list_add(&query->node, &backend->queries);
	if (!query->name)
		sim_fail("somebody asks for %s", text);
	timer_init(&query->timer, answer);
	uint64_t delay = query->name->silent ? 20 * SECOND : sim_spread(rng, 1000, 300 * MS);
	loop_timer_set(backend->loop, &query->timer, backend->loop->now + delay);
}

static void names_free(struct resolver_backend *base)
{
	struct names *backend = caa_container_of(base, struct names, base);
	struct query *query;

	cds_list_for_each_entry(query, &backend->queries, node)
		loop_timer_cancel(backend->loop, &query->timer);
}

static const struct resolver_backend_ops names_ops = {.query = ask, .free = names_free};

int __wrap_resolver_ares_new(struct loop *loop, const struct resolver_config *config,
			     struct resolver_backend **ret_backend);
int __wrap_resolver_ares_new(struct loop *loop, const struct resolver_config *config,
			     struct resolver_backend **ret_backend)
{
	struct names *backend = sim_alloc(sizeof(*backend));

	*backend = (struct names){.base.ops = &names_ops, .loop = loop};
	CDS_INIT_LIST_HEAD(&backend->queries);
	*ret_backend = &backend->base;
	return 0;
}

int __wrap_hosts_read(struct hosts *ret_hosts, const char *path);
int __wrap_hosts_read(struct hosts *ret_hosts, const char *path)
{
	return hosts_parse(ret_hosts, "", 0);
}

/*
 * Records: what the access log would have.
 */

bool __wrap_access_wants(void);
bool __wrap_access_wants(void)
{
	return true;
}

void __wrap_access_write(const struct access_record *given);
void __wrap_access_write(const struct access_record *given)
{
	struct record *record = sim_alloc(sizeof(*record));
	struct client *client = world.by_port[given->client->port];

	*record = (struct record){.reason = given->reason,
				  .request = given->request,
				  .bytes_up = given->bytes_up,
				  .bytes_down = given->bytes_down,
				  .bytes_spliced = given->bytes_spliced,
				  .bytes_copied = given->bytes_copied,
				  .protocol = given->protocol,
				  .status = given->status,
				  .has_status = given->has_status,
				  .at = sim.now};
	sim_trace("record: client %u: %s, %llu up, %llu down", client ? client->end.number : 0,
		  close_reason_name(given->reason), (unsigned long long)given->bytes_up,
		  (unsigned long long)given->bytes_down);
	if (given->request) {
		world.request_up += given->bytes_up;
		world.request_down += given->bytes_down;
	} else {
		world.tunnel_up += given->bytes_up;
		world.tunnel_down += given->bytes_down;
	}
	world.records++;
	if (!client)
		sim_fail("a record of nobody's session");
	record->next = client->records;
	client->records = record;
}

/*
 * What the proxy logs.
 */

static void log_line(void *ctx, enum log_output output, const char *line, size_t len)
{
	// Not a part of the trace: how often a line is repeated depends on what other schedules said.
	if (sim_config()->trace)
		printf("               log: %.*s", (int)len, line);
}

static void log_clock(void *ctx, int64_t *ret_wall, uint64_t *ret_now)
{
	*ret_wall = sys_wall();
	*ret_now = sys_now();
}

/*
 * Beginning and end.
 */

static void free_old(void)
{
	while (world.old_count)
		snap_free(world.old[--world.old_count]);
}

static void turn(uint64_t most)
{
	sim_enter(SIM_PROXY);
	loop_turn(&world.worker.loop, most);
	sim_enter(SIM_PEER);
	// As after the grace period.
	free_old();
	if (++world.turns > TURNS_MAX)
		sim_fail("the loop turns and turns");
	checks_turn();
}

static void listen_all(void)
{
	const struct snap *snap = world.shared.snap_rcu;

	for (uint32_t i = 0; i < snap->listener_count; i++) {
		if (strcmp(snap->listeners[i].name, "first") == 0)
			world.first_id = snap->listeners[i].id;
		listen_on(&snap->listeners[i]);
	}
	turn(0);
}

void world_begin(const struct world_options *options)
{
	struct front_shared *shared = &world.shared;
	const struct accounts_options accounts = {.worker_count = 1, .limit = 1 << 16};

	memset(&world, 0, sizeof(world));
	world.options = *options;
	world.began = sim.now;
	sim_config()->fate = fate;
	sim_config()->quiet = checks_quiet;
	log_set_sink(log_line, log_clock, NULL);
	log_info(LOG_MAIN, "a schedule begins", LOG_UINT("seed", options->seed), LOG_END);
	hash_seed(options->seed);
	rng_init(rng_thread(), options->seed);
	alloc_begin();
	ends_begin();
	if (accounts_new(&accounts, &shared->accounts) < 0 ||
	    throttle_new(1024, &shared->throttle) < 0 ||
	    authcache_new(1024, &shared->authcache) < 0 || helper_new(0, 1024, &shared->helper) < 0)
		sim_fail("no memory for a schedule");
	atomic_store(&shared->next_id_atomic, 1);
	shared->snap_rcu = load();
	const struct sim_faults faults = sim.config.faults;
	sim.config.faults = (struct sim_faults){0};
	const uint32_t descriptors = sim.config.descriptors;
	// A proxy that cannot listen does not start: that is not what schedules are about.
	sim.config.descriptors = 0;
	sim_enter(SIM_PROXY);
	int r = worker_init(&world.worker, 0, -1, shared);
	sim_enter(SIM_PEER);
	if (r < 0)
		sim_fail("the worker does not start: %s", strerror(-r));
	listen_all();
	sim.config.faults = faults;
	sim.config.descriptors = descriptors;
	servers_begin();
}

bool world_excuses(void)
{
	const struct world_options *o = &world.options;

	return o->scarce || o->unreliable || o->hungry || o->drains || o->reloads || o->total_ms;
}

static void take_down(void)
{
	struct front_shared *shared = &world.shared;

	alloc_fail_rate(0);
	sim.config.faults = (struct sim_faults){0};
	sim.config.quiet = NULL;
	helper_free(shared->helper);
	sim_enter(SIM_PROXY);
	worker_release(&world.worker);
	sim_enter(SIM_PEER);
	free_old();
	snap_free(shared->snap_rcu);
	accounts_free(shared->accounts);
	throttle_free(shared->throttle);
	authcache_free(shared->authcache);
	if (sim_open(SIM_PROXY)) {
		sim_print_open(SIM_PROXY, stderr);
		sim_fail("%u descriptors are left open", sim_open(SIM_PROXY));
	}
	if (alloc_live(NULL)) {
		alloc_live(stderr);
		sim_fail("%zu allocations are never freed", alloc_live(NULL));
	}
}

// Time for what is still in a listener's queue.
static void settle(void)
{
	uint64_t until = sim.now + 500 * MS;

	while (sim.now < until)
		turn(until - sim.now);
}

void world_run(void)
{
	const struct world_options *o = &world.options;
	uint64_t limit = sim.now + 1200 * SECOND;

	if (o->hungry)
		alloc_fail_rate((uint32_t)sim_spread(sim_rng(), 20, 20000));
	while (world.clients_left) {
		if (sim.now > limit)
			sim_fail("%u clients are not through", world.clients_left);
		turn(SECOND);
	}
	// What still lives has nobody left to talk to: its own deadlines must end it.
	limit = sim.now + (uint64_t)(o->admission_ms + o->idle_ms + o->connect_ms + o->resolve_ms +
				     o->keepalive_ms + o->half_closed_ms + 5000) *
				  MS;
	settle();
	while (world.worker.front.live && sim.now < limit) {
		turn(SECOND);
		if (!world.worker.front.live)
			settle();
	}
	checks_end();
	metrics_sum(&world_metrics, world.worker.metrics);
	take_down();
}
