// SPDX-License-Identifier: Apache-2.0
// UDP associations and BIND on the simulated network: a whole worker, clients that send to good, denied,
// silent and named destinations, strangers that send to whatever they find, reloads, lost, late and
// doubled datagrams, runs of datagrams, shortages of descriptors and memory; each schedule from a seed.
//
// What must hold: nothing gets to a destination that the client did not send there, and nothing to a
// client but answers of those that it has sent to, each whole and unchanged; a denied destination gets
// nothing; every datagram that the proxy reads is relayed or counted as dropped; the records tell the
// bytes that were relayed; a BIND takes the announced peer alone; nothing is left behind.
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/compiler.h>
#include <urcu/pointer.h>

#include "alloc.h"
#include "base/hash.h"
#include "base/host.h"
#include "base/rng.h"
#include "config/config.h"
#include "front/session.h"
#include "io/helper.h"
#include "io/listener.h"
#include "io/sim_internal.h"
#include "io/sys.h"
#include "obs/access.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "policy/authcache.h"
#include "policy/throttle.h"
#include "proto/socks/socks_udp.h"
#include "snap/snap.h"
#include "upstream/hosts.h"
#include "upstream/resolver.h"
#include "upstream/resolver_ares.h"
#include "worker/worker.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

enum { CLIENTS = 8, PLACES = 6, DATAGRAMS = 64, BODY_MAX = 4000, OUTSIDE = 64, PORT = 5000 };

#define ASKED 0x41534b44u    // from a client
#define ANSWERED 0x414e5357u // from a destination
#define STRANGE 0x53545241u  // from neither

#define MUST(what, ...)                                                                            \
	do {                                                                                       \
		if (!(what))                                                                       \
			sim_fail(__VA_ARGS__);                                                     \
	} while (0)

// What every datagram begins with; what follows is made from it.
struct tag {
	uint32_t magic, who, number, len;
};

struct place {
	const char *ip;
	bool silent, denied, goes; // goes: denied after a reload
	int fd;
	struct endpoint address;
};

static struct place places[PLACES] = {
	{.ip = "10.2.0.1"},
	{.ip = "10.2.0.2", .goes = true},
	{.ip = "10.2.0.3", .silent = true},
	{.ip = "2001:db8:2::1"},
	{.ip = "10.9.0.1", .denied = true},
	{.ip = "10.2.0.5"},
};

struct name {
	const char *name;
	enum resolver_status status;
	bool silent;
	const char *v4[3], *v6[3];
	uint32_t reaches; // bits of places
};

static const struct name names[] = {
	{"s0.sim", RESOLVER_OK, false, {"10.2.0.1"}, {0}, 1},
	{"both.sim", RESOLVER_OK, false, {"10.2.0.5"}, {"2001:db8:2::1"}, 1 << 5 | 1 << 3},
	{"goes.sim", RESOLVER_OK, false, {"10.2.0.2"}, {0}, 1 << 1},
	{"six.sim", RESOLVER_OK, false, {0}, {"2001:db8:2::1"}, 1 << 3},
	{"inner.sim", RESOLVER_OK, false, {"10.9.0.1"}, {0}, 0},
	{"denied.sim", RESOLVER_OK, false, {"10.2.0.1"}, {0}, 0},
	{"nx.sim", RESOLVER_NOT_FOUND, false, {0}, {0}, 0},
	{"slow.sim", RESOLVER_TIMEOUT, true, {0}, {0}, 0},
	{"peer.sim", RESOLVER_OK, false, {"10.4.0.7", "10.4.0.9"}, {0}, 0},
};
enum { NAMES = 8 }; // that datagrams go to

struct client {
	unsigned number;
	int control, udp, peer; // -1: closed; peer: of a BIND
	bool binds, over, by_reset;
	uint8_t in[64];
	size_t in_len;
	bool asked, associated, second, tunnel, got_peer;
	const char *announced; // of a BIND; NULL: anybody
	bool foreign;          // the peer is not the one
	struct endpoint from, relay, peer_address;
	struct sim_event step;
	unsigned left;               // datagrams to be sent
	uint32_t sent;               // so far
	uint32_t allowed[DATAGRAMS]; // bits of the places that each may reach
	uint64_t sent_at[DATAGRAMS];
	uint32_t sent_to; // bits of places
	uint64_t records, peer_got, got;
};

static struct {
	uint64_t seed;
	bool calm, hungry, reloads;
	uint32_t rate;
	struct worker worker;
	struct front_shared shared;
	struct snap *old[8];
	unsigned old_count, generation;
	uint64_t revised_at; // when the goer was denied last; 0: it is not
	struct client clients[CLIENTS];
	struct endpoint outside[OUTSIDE]; // where the proxy was seen
	unsigned outside_count;
	int stranger;
	struct sim_event mischief, reload;
	uint64_t record_up, record_down;
	uint64_t delivered, answered;
} w;

static bool chance(unsigned percent)
{
	return rng_below(sim_rng(), 100) < percent;
}

static struct endpoint address_of(const char *ip, uint16_t port)
{
	struct endpoint address;

	if (endpoint_parse_ip(ip, strlen(ip), &address) < 0)
		sim_fail("no address: %s", ip);
	address.port = port;
	return address;
}

/*
 * Configuration and names.
 */

static struct snap *load(void)
{
	static char text[2048];
	struct config_errors errors;
	struct snap *snap;
	int len = snprintf(
		text, sizeof(text),
		"listeners: [{name: main, address: '10.0.0.1:1080', open: true}]\n"
		"acl:\n"
		"  - {name: no-name, action: deny, domains: [denied.sim]}\n"
		"  - {name: no-net, action: deny, destinations: [10.9.0.0/16]}\n%s"
		"timeouts: {udp_idle: 2s, bind: 3s, resolve: 2s, admission: 5s, idle: 20s,\n"
		"  half_closed: 5s}\n"
		"limits: {per_address: {upload: %uB/s}}\n"
		"admin: {address: 'off'}\n",
		w.generation % 2 ? "  - {name: gone, action: deny, destinations: [10.2.0.2]}\n"
				 : "",
		w.rate);
	const struct config_source source = {
		.path = "schedule", .text = text, .text_len = (size_t)len, .wall_ns = sys_wall()};

	config_errors_init(&errors);
	if (config_load(&source, &errors, &snap) < 0) {
		config_errors_print(&errors, stderr);
		sim_fail("the configuration is not valid");
	}
	config_errors_release(&errors);
	snap->generation = w.generation + 1;
	return snap;
}

struct query {
	struct query *next;
	struct timer timer;
	struct resolver_entry *entry;
	const struct name *name;
	int family;
};

static struct {
	struct resolver_backend base;
	struct loop *loop;
	struct query *queries;
} backend;

static void answer_query(struct loop *loop, struct timer *timer)
{
	struct query *query = caa_container_of(timer, struct query, timer);
	const struct name *name = query->name;
	const char *const *texts = query->family == AF_INET6 ? name->v6 : name->v4;
	struct endpoint addresses[3];
	unsigned n = 0;

	for (; n < 3 && texts[n]; n++)
		addresses[n] = address_of(texts[n], 0);
	enum resolver_status status = name->status;
	if (status == RESOLVER_OK && n == 0)
		status = RESOLVER_NO_DATA;
	resolver_answered(query->entry, status, addresses, n, SECOND);
}

static void ask(struct resolver_backend *base, const char *text, int family,
		struct resolver_entry *entry)
{
	struct query *query = sim_alloc(sizeof(*query));

	*query = (struct query){.entry = entry, .family = family, .next = backend.queries};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, text) == 0)
			query->name = &names[i];
	MUST(query->name, "somebody asks for %s", text);
	backend.queries = query;
	timer_init(&query->timer, answer_query);
	uint64_t delay = query->name->silent ? 8 * SECOND : sim_spread(sim_rng(), 1000, 300 * MS);
	loop_timer_set(backend.loop, &query->timer, backend.loop->now + delay);
}

static void backend_free(struct resolver_backend *base)
{
	for (struct query *query = backend.queries; query; query = query->next)
		loop_timer_cancel(backend.loop, &query->timer);
}

static const struct resolver_backend_ops backend_ops = {.query = ask, .free = backend_free};

int __wrap_resolver_ares_new(struct loop *loop, const struct resolver_config *config,
			     struct resolver_backend **ret_backend);
int __wrap_resolver_ares_new(struct loop *loop, const struct resolver_config *config,
			     struct resolver_backend **ret_backend)
{
	backend.base.ops = &backend_ops;
	backend.loop = loop;
	backend.queries = NULL;
	*ret_backend = &backend.base;
	return 0;
}

int __wrap_hosts_read(struct hosts *ret_hosts, const char *path);
int __wrap_hosts_read(struct hosts *ret_hosts, const char *path)
{
	return hosts_parse(ret_hosts, "", 0);
}

bool __wrap_access_wants(void);
bool __wrap_access_wants(void)
{
	return true;
}

void __wrap_access_write(const struct access_record *record);
void __wrap_access_write(const struct access_record *record)
{
	sim_trace("record: %s, %llu up, %llu down", close_reason_name(record->reason),
		  (unsigned long long)record->bytes_up, (unsigned long long)record->bytes_down);
	MUST(record->reason != CLOSE_INTERNAL, "an internal error");
	if (record->protocol == METRIC_PROTOCOL_UDP) {
		w.record_up += record->bytes_up;
		w.record_down += record->bytes_down;
	}
}

/*
 * Datagrams.
 */

static uint8_t body_byte(const struct tag *tag, uint32_t i)
{
	return (uint8_t)(tag->number * 31 + tag->who * 7 + i);
}

// Returns the length.
static size_t fill(uint8_t *data, uint32_t magic, uint32_t who, uint32_t number, uint32_t len)
{
	struct tag tag = {magic, who, number, len};

	memcpy(data, &tag, sizeof(tag));
	for (uint32_t i = 0; i < len; i++)
		data[sizeof(tag) + i] = body_byte(&tag, i);
	return sizeof(tag) + len;
}

static struct tag check(const char *where, const uint8_t *data, size_t len)
{
	struct tag tag;

	MUST(len >= sizeof(tag), "%s: a datagram of %zu bytes", where, len);
	memcpy(&tag, data, sizeof(tag));
	MUST(len == sizeof(tag) + tag.len, "%s: %zu bytes of a datagram of %zu", where, len,
	     sizeof(tag) + tag.len);
	for (uint32_t i = 0; i < tag.len; i++)
		MUST(data[sizeof(tag) + i] == body_byte(&tag, i), "%s: other bytes", where);
	return tag;
}

static int open_udp(struct endpoint *address)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(address, &sa);
	int fd = sys_socket(address->family, SOCK_DGRAM);

	MUST(fd >= 0 && sys_bind(fd, (struct sockaddr *)&sa, len) == 0, "no address");
	MUST(sys_getsockname(fd, &sa) == 0, "no name");
	endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof(sa), address);
	return fd;
}

static void send_datagram(int fd, const struct endpoint *to, uint8_t *data, size_t len)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, &sa);
	struct iovec iov = {data, len};
	struct mmsghdr message = {
		.msg_hdr = {
			.msg_name = &sa, .msg_namelen = sa_len, .msg_iov = &iov, .msg_iovlen = 1}};

	sys_sendmmsg(fd, &message, 1);
}

// The next one that came, or -EAGAIN.
static ssize_t receive(int fd, uint8_t *data, size_t room, struct endpoint *ret_from)
{
	struct sockaddr_storage sa;
	struct iovec iov = {data, room};
	struct mmsghdr message = {.msg_hdr = {.msg_name = &sa,
					      .msg_namelen = sizeof(sa),
					      .msg_iov = &iov,
					      .msg_iovlen = 1}};
	int r = sys_recvmmsg(fd, &message, 1);

	if (r < 0)
		return r;
	endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof(sa), ret_from);
	return message.msg_len;
}

/*
 * Destinations.
 */

static void arrived_at_place(struct place *place, const uint8_t *data, size_t len,
			     const struct endpoint *from)
{
	unsigned index = (unsigned)(place - places);
	static uint8_t reply[sizeof(struct tag) + BODY_MAX];

	if (len == 0)
		return;
	struct tag tag = check("a destination", data, len);
	MUST(tag.magic == ASKED, "a destination got what no client said");
	MUST(from->ip[0] == 0xcb || from->family == AF_INET6, "a client got past the proxy");
	MUST(tag.who < CLIENTS && tag.number < w.clients[tag.who].sent, "nobody sent that");
	struct client *client = &w.clients[tag.who];
	MUST(client->allowed[tag.number] >> index & 1,
	     "destination %u got what was not for it: %u of client %u, for %x", index, tag.number,
	     tag.who, client->allowed[tag.number]);
	// What was on its way at the reload may still come.
	MUST(!place->goes || !w.revised_at || client->sent_at[tag.number] < w.revised_at + SECOND,
	     "a destination got something long after it was denied");
	w.delivered++;
	if (w.outside_count < OUTSIDE)
		w.outside[w.outside_count++] = *from;
	if (place->silent)
		return;
	unsigned count = (unsigned)rng_below(sim_rng(), 4);
	uint32_t size = (uint32_t)sim_spread(sim_rng(), 1, BODY_MAX);
	for (unsigned i = 0; i < count; i++) {
		size_t n = fill(reply, ANSWERED, index, tag.who << 8 | tag.number, size);
		send_datagram(place->fd, from, reply, n);
	}
}

static void place_ready(void *ctx)
{
	struct place *place = ctx;
	static uint8_t data[65536];
	struct endpoint from;
	ssize_t n;

	while ((n = receive(place->fd, data, sizeof(data), &from)) >= 0)
		arrived_at_place(place, data, (size_t)n, &from);
}

/*
 * Clients of UDP ASSOCIATE.
 */

static void leave(struct client *client)
{
	if (client->over)
		return;
	sim_trace("client %u leaves", client->number);
	client->over = true;
	sim_event_cancel(&client->step);
	if (client->control >= 0) {
		if (client->by_reset)
			sys_abort(client->control);
		else
			sys_close(client->control);
	}
	if (client->udp >= 0)
		sys_close(client->udp);
	if (client->peer >= 0)
		sys_close(client->peer);
	client->control = client->udp = client->peer = -1;
}

static void client_datagrams(void *ctx)
{
	struct client *client = ctx;
	static uint8_t data[65536];
	struct socks_udp_header header;
	struct endpoint from;
	ssize_t n;

	while (client->udp >= 0 && (n = receive(client->udp, data, sizeof(data), &from)) >= 0) {
		MUST(endpoint_equal(&from, &client->relay), "an answer from elsewhere");
		int r = socks_udp_parse(data, (size_t)n, &header);
		MUST(r > 0 && !header.fragment && !header.named, "an answer without a header");
		struct tag tag = check("a client", data + r, (size_t)n - (size_t)r);
		MUST(tag.magic == ANSWERED, "a client got what no destination said");
		MUST(tag.number >> 8 == client->number, "a client got another's answer");
		MUST(endpoint_equal(&header.address, &places[tag.who].address),
		     "an answer under another's name");
		MUST(client->sent_to >> tag.who & 1, "an answer from somebody who was not asked");
		w.answered++;
	}
}

static size_t put_host(uint8_t *data, const char *text)
{
	struct host host;

	MUST(host_from_name(text, strlen(text), PORT, &host) == 0, "no host: %s", text);
	return socks_udp_build_host(data, &host);
}

// One datagram, or a few of one length to one destination.
static void client_sends(struct client *client)
{
	static uint8_t data[SOCKS_UDP_HEADER_MAX + sizeof(struct tag) + BODY_MAX];
	unsigned count = chance(30) ? 1 + (unsigned)rng_below(sim_rng(), 12) : 1;
	uint32_t size = (uint32_t)sim_spread(sim_rng(), 1, BODY_MAX);
	const struct name *name = chance(30) ? &names[rng_below(sim_rng(), NAMES)] : NULL;
	struct place *place = &places[rng_below(sim_rng(), PLACES)];
	size_t head = put_host(data, name ? name->name : place->ip);
	uint32_t reaches = name ? name->reaches : place->denied ? 0 : 1u << (place - places);

	for (; count && client->left; count--, client->left--) {
		uint32_t number = client->sent++;
		client->allowed[number] = reaches;
		client->sent_at[number] = sim.now;
		size_t len = head + fill(data + head, ASKED, client->number, number, size);
		data[2] = chance(3) ? 1 : 0;
		if (data[2]) {
			client->allowed[number] = 0;
		} else {
			client->sent_to |= reaches;
			if (chance(3))
				len = head; // an empty one
		}
		send_datagram(client->udp, &client->relay, data, len);
	}
	if (chance(5)) { // nonsense
		size_t len = rng_below(sim_rng(), 40);
		memset(data, (int)rng_below(sim_rng(), 6), len);
		send_datagram(client->udp, &client->relay, data, len);
	}
}

/*
 * Clients of BIND, and their peers.
 */

static void peer_ready(void *ctx)
{
	struct client *client = ctx;
	uint8_t data[64];
	ssize_t n;

	while (client->peer >= 0 && (n = sys_recv(client->peer, data, sizeof(data))) != -EAGAIN) {
		if (n <= 0) {
			sys_close(client->peer);
			client->peer = -1;
			return;
		}
		MUST(!client->foreign, "a foreign peer got something");
		for (ssize_t i = 0; i < n; i++)
			MUST(data[i] == (uint8_t)(client->number + client->peer_got++),
			     "a peer got other bytes");
	}
}

static void peer_connects(struct client *client)
{
	struct endpoint from = address_of(client->foreign ? "10.4.0.8"
					  : chance(50)    ? "10.4.0.7"
							  : "10.4.0.9",
					  0);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&from, &sa);
	int fd = client->peer = sys_socket(AF_INET, SOCK_STREAM);

	if (client->announced && strcmp(client->announced, "10.4.0.7") == 0 && !client->foreign) {
		from = address_of("10.4.0.7", 0);
		len = endpoint_to_sockaddr(&from, &sa);
	}
	MUST(fd >= 0 && sys_bind(fd, (struct sockaddr *)&sa, len) == 0, "no socket for a peer");
	MUST(sys_getsockname(fd, &sa) == 0, "no name");
	endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof(sa), &client->peer_address);
	len = endpoint_to_sockaddr(&client->relay, &sa);
	sys_connect(fd, (struct sockaddr *)&sa, len);
	sim_notify(fd, peer_ready, client);
}

static void second_reply(struct client *client, const struct endpoint *address)
{
	uint8_t data[32];

	client->second = true;
	MUST(client->peer_address.port, "a second reply before there was a peer");
	MUST(endpoint_equal(address, &client->peer_address), "the second reply names another");
	MUST(!client->foreign, "a foreign peer was let in");
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(client->number + i);
	sys_send(client->control, data, sizeof(data));
}

/*
 * The control connection.
 */

static void reply(struct client *client)
{
	struct endpoint address;

	while (client->in_len >= 2 && !(client->binds && client->second)) {
		if (!client->asked) {
			client->asked = true;
			MUST(client->in[0] == 5 && client->in[1] == 0, "no log-in is wanted");
			memmove(client->in, client->in + 2, client->in_len -= 2);
			continue;
		}
		if (client->in_len < 10)
			return;
		if (client->in[1] != 0) {
			MUST(!w.calm || client->binds, "an association is refused: %u",
			     client->in[1]);
			leave(client);
			return;
		}
		MUST(client->in[3] == 1, "a reply with another family");
		address = endpoint_v4_bytes(client->in + 4,
					    (uint16_t)(client->in[8] << 8 | client->in[9]));
		memmove(client->in, client->in + 10, client->in_len -= 10);
		if (client->associated) {
			second_reply(client, &address);
			return;
		}
		client->associated = true;
		client->relay = address;
		sim_event_set(&client->step, sim.now + sim_spread(sim_rng(), 1000, 500 * MS));
	}
}

static void control_ready(void *ctx)
{
	struct client *client = ctx;
	ssize_t n;

	while (client->control >= 0 &&
	       (n = sys_recv(client->control, client->in + client->in_len,
			     sizeof(client->in) - client->in_len)) != -EAGAIN) {
		if (n == -EINPROGRESS || n == -ENOTCONN)
			return;
		if (n <= 0) {
			MUST(!w.calm || client->left == 0 || client->binds || !client->associated,
			     "an association ends too early");
			leave(client);
			return;
		}
		client->in_len += (size_t)n;
		reply(client);
	}
}

static void say_request(struct client *client)
{
	uint8_t data[3 + SOCKS_UDP_HEADER_MAX] = {5, 1, 0, 5, client->binds ? 2 : 3, 0, 1};
	size_t len = 13;

	if (client->binds && client->announced) {
		len = 3 + put_host(data + 3, client->announced);
		data[3] = 5;
		data[4] = 2;
	} else if (!client->binds && chance(30)) {
		memcpy(data + 7, client->from.ip, 4);
		data[11] = (uint8_t)(client->from.port >> 8);
		data[12] = (uint8_t)client->from.port;
	}
	sys_send(client->control, data, len);
}

static void connect_control(struct client *client)
{
	struct endpoint to = address_of("10.0.0.1", 1080);
	struct sockaddr_storage sa;
	struct endpoint from = client->from;

	from.port = 0;
	socklen_t len = endpoint_to_sockaddr(&from, &sa);
	int fd = client->control = sys_socket(AF_INET, SOCK_STREAM);
	MUST(fd >= 0 && sys_bind(fd, (struct sockaddr *)&sa, len) == 0, "no socket for a client");
	len = endpoint_to_sockaddr(&to, &sa);
	sys_connect(fd, (struct sockaddr *)&sa, len);
}

static void step(struct sim_event *event)
{
	struct client *client = caa_container_of(event, struct client, step);
	uint64_t next = sim_spread(sim_rng(), 1000, 400 * MS);

	if (client->control < 0) {
		connect_control(client);
		next = 2 * SECOND;
		sim_event_set(event, sim.now + next);
		return;
	}
	if (!client->in_len && !client->tunnel && !client->asked && !client->associated) {
		// The connection stands by now, or never will.
		client->tunnel = true;
		sim_notify(client->control, control_ready, client);
		say_request(client);
		sim_event_set(event, sim.now + 30 * SECOND);
		return;
	}
	if (!client->associated || (client->binds && client->got_peer)) {
		leave(client);
		return;
	}
	if (client->binds) {
		client->got_peer = true;
		peer_connects(client);
		sim_event_set(event, sim.now + 10 * SECOND);
		return;
	}
	if (client->left == 0) {
		// Some leave, some wait for the idle time to end it.
		client->by_reset = chance(20);
		if (chance(70))
			leave(client);
		else
			sim_event_set(event, sim.now + 20 * SECOND);
		return;
	}
	client_sends(client);
	// Never silent for the idle time, unless it is calm anyway.
	sim_event_set(event, sim.now + next);
}

static void client_begin(unsigned number)
{
	static const char *const announced[] = {"10.4.0.7", "peer.sim", NULL};
	struct client *client = &w.clients[number];
	char ip[32];

	*client = (struct client){.number = number, .control = -1, .udp = -1, .peer = -1};
	client->binds = chance(25);
	client->announced = announced[rng_below(sim_rng(), 3)];
	client->foreign = client->announced && chance(30);
	client->left = 1 + (unsigned)rng_below(sim_rng(), DATAGRAMS);
	snprintf(ip, sizeof(ip), "10.1.0.%u", number % 3 + 1);
	client->from = address_of(ip, 0);
	if (!client->binds) {
		client->udp = open_udp(&client->from);
		sim_notify(client->udp, client_datagrams, client);
	}
	client->step.run = step;
	sim_event_set(&client->step, sim.now + sim_spread(sim_rng(), 1, 2 * SECOND));
}

/*
 * Those who have no business here.
 */

static void mischief(struct sim_event *event)
{
	static uint8_t data[SOCKS_UDP_HEADER_MAX + sizeof(struct tag) + 100];
	struct client *client = &w.clients[rng_below(sim_rng(), CLIENTS)];
	size_t head = put_host(data, places[0].ip);

	if (client->associated && !client->binds) {
		size_t len = head + fill(data + head, STRANGE, 0, 0, 50);
		send_datagram(w.stranger, &client->relay, data, len);
	}
	if (w.outside_count) {
		size_t len = fill(data, STRANGE, 0, 0, 50);
		send_datagram(w.stranger, &w.outside[rng_below(sim_rng(), w.outside_count)], data,
			      len);
	}
	sim_event_set(event, sim.now + sim_spread(sim_rng(), MS, SECOND));
}

static void reload(struct sim_event *event)
{
	if (w.old_count < sizeof(w.old) / sizeof(w.old[0])) {
		struct snap *old = w.shared.snap_rcu;
		sim_trace("reload");
		w.generation++;
		rcu_set_pointer(&w.shared.snap_rcu, load());
		w.old[w.old_count++] = old;
		w.revised_at = w.generation % 2 ? sim.now : 0;
		worker_reconfigure_any(&w.worker);
	}
	sim_event_set(event, sim.now + sim_spread(sim_rng(), 100 * MS, 5 * SECOND));
}

/*
 * A schedule.
 */

static void turn(uint64_t most)
{
	sim_enter(SIM_PROXY);
	loop_turn(&w.worker.loop, most);
	sim_enter(SIM_PEER);
	while (w.old_count)
		snap_free(w.old[--w.old_count]);
}

static struct sim_config draw_config(uint64_t seed, bool trace)
{
	struct rng rng;
	struct sim_config config = {
		.seed = seed,
		.latency_min = 10000,
		.latency_max = 20 * MS,
		.jitter = 5 * MS,
		.buffer_min = 4096,
		.buffer_max = 65536,
		.segment_max = 512,
		.slot_max = 4096,
		.call_ns = 2000,
		.shuffle = true,
		.trace = trace,
	};

	rng_init(&rng, seed);
	w.calm = rng_below(&rng, 100) < 40;
	if (w.calm)
		return config;
	w.hungry = rng_below(&rng, 3) == 0;
	w.reloads = rng_below(&rng, 2) == 0;
	w.rate = rng_below(&rng, 3) ? 0 : 5000 + (uint32_t)rng_below(&rng, 100000);
	if (rng_below(&rng, 2))
		config.faults = (struct sim_faults){.datagram_loss = 100000,
						    .datagram_twice = 100000,
						    .datagram_late = 200000,
						    .stall = 5000,
						    .late = 10000,
						    .reset = 20000};
	if (rng_below(&rng, 2))
		config.faults.send_again = 50000;
	if (rng_below(&rng, 3) == 0) {
		config.faults.socket = config.faults.poll_add = config.faults.option = 30000;
		config.descriptors = 12 + (uint32_t)rng_below(&rng, 30);
	}
	return config;
}

static void begin(uint64_t seed, bool trace)
{
	struct front_shared *shared = &w.shared;
	const struct accounts_options accounts = {.worker_count = 1, .limit = 1 << 10};

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	struct sim_config config = draw_config(seed, trace);
	const struct sim_faults faults = config.faults;
	const uint32_t descriptors = config.descriptors;
	config.faults = (struct sim_faults){0};
	config.descriptors = 0;
	hash_seed(seed);
	rng_init(rng_thread(), seed);
	sim_begin(&config);
	sim_enter(SIM_PEER);
	alloc_begin();
	MUST(accounts_new(&accounts, &shared->accounts) == 0 &&
		     throttle_new(64, &shared->throttle) == 0 &&
		     authcache_new(64, &shared->authcache) == 0 &&
		     helper_new(0, 64, &shared->helper) == 0,
	     "no memory");
	atomic_store(&shared->next_id_atomic, 1);
	shared->snap_rcu = load();
	sim_enter(SIM_PROXY);
	MUST(worker_init(&w.worker, 0, -1, shared) == 0, "the worker does not start");
	const struct snap_listener *listener = &shared->snap_rcu->listeners[0];
	int fd = listener_socket(&listener->address, false, true);
	MUST(fd >= 0, "cannot listen");
	sim_enter(SIM_PEER);
	worker_listen_any(&w.worker, listener->id, fd);
	turn(0);
	for (unsigned i = 0; i < PLACES; i++) {
		places[i].address = address_of(places[i].ip, PORT);
		// The last one is not there.
		places[i].fd = i == PLACES - 1 ? -1 : open_udp(&places[i].address);
		if (places[i].fd >= 0)
			sim_notify(places[i].fd, place_ready, &places[i]);
	}
	struct endpoint stranger = address_of("10.8.0.1", 666);
	w.stranger = open_udp(&stranger);
	for (unsigned i = 0; i < CLIENTS; i++)
		client_begin(i);
	w.mischief.run = mischief;
	sim_event_set(&w.mischief, sim.now + 100 * MS);
	w.reload.run = reload;
	if (w.reloads)
		sim_event_set(&w.reload, sim.now + SECOND);
	sim_config()->faults = faults;
	sim_config()->descriptors = descriptors;
	if (w.hungry)
		alloc_fail_rate((uint32_t)sim_spread(sim_rng(), 100, 30000));
}

static void check_counts(void)
{
	const struct metrics *m = w.worker.metrics;
	uint64_t accounted =
		m->datagrams[METRIC_DIRECTION_UP] + m->datagrams[METRIC_DIRECTION_DOWN];

	for (unsigned i = 0; i < METRIC_DATAGRAM_DROP_COUNT; i++)
		accounted += m->datagrams_dropped[i];
	MUST(accounted == sim.datagrams_read[SIM_PROXY],
	     "%llu datagrams were read, %llu accounted for",
	     (unsigned long long)sim.datagrams_read[SIM_PROXY], (unsigned long long)accounted);
	MUST(m->datagram_bytes[METRIC_DIRECTION_UP] == w.record_up &&
		     m->datagram_bytes[METRIC_DIRECTION_DOWN] == w.record_down,
	     "records tell %llu up and %llu down, metrics %llu and %llu",
	     (unsigned long long)w.record_up, (unsigned long long)w.record_down,
	     (unsigned long long)m->datagram_bytes[METRIC_DIRECTION_UP],
	     (unsigned long long)m->datagram_bytes[METRIC_DIRECTION_DOWN]);
	if (w.calm)
		MUST(m->datagrams[METRIC_DIRECTION_UP] >= w.delivered,
		     "more was delivered than relayed");
	MUST(m->udp_associations_live == 0, "associations live on");
	for (unsigned i = 0; i < METRIC_PROTOCOL_COUNT; i++)
		MUST(m->connections_live[i] == 0, "connections live on");
	MUST(w.worker.front.udp_pending_bytes == 0, "bytes wait for names");
}

static void end(void)
{
	struct front_shared *shared = &w.shared;

	alloc_fail_rate(0);
	sim_config()->faults = (struct sim_faults){0};
	sim_event_cancel(&w.mischief);
	sim_event_cancel(&w.reload);
	for (uint64_t until = sim.now + 10 * SECOND; sim.now < until;)
		turn(until - sim.now);
	MUST(w.worker.front.live == 0, "%u sessions live on", w.worker.front.live);
	check_counts();
	helper_free(shared->helper);
	sim_enter(SIM_PROXY);
	worker_release(&w.worker);
	sim_enter(SIM_PEER);
	snap_free(shared->snap_rcu);
	accounts_free(shared->accounts);
	throttle_free(shared->throttle);
	authcache_free(shared->authcache);
	if (sim_open(SIM_PROXY))
		sim_print_open(SIM_PROXY, stderr);
	MUST(!sim_open(SIM_PROXY), "%u descriptors are left open", sim_open(SIM_PROXY));
	if (alloc_live(NULL))
		alloc_live(stderr);
	MUST(!alloc_live(NULL), "%zu allocations are never freed", alloc_live(NULL));
}

static bool all_over(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (!w.clients[i].over)
			return false;
	return true;
}

static void failed(void)
{
	fprintf(stderr, "seed %llu failed; again, with the trace: sim_udp -v %llu\n",
		(unsigned long long)w.seed, (unsigned long long)w.seed);
	_exit(1);
}

// sim_udp [-v] [FIRST [COUNT]]: -v prints every call. Without numbers as many seeds from 1 on as
// TOOLS_SIM_SEEDS says.
int main(int argc, char **argv)
{
	bool trace = argc > 1 && strcmp(argv[1], "-v") == 0;
	const char *more = getenv("TOOLS_SIM_SEEDS");
	uint64_t first = 1, count = more && *more ? strtoull(more, NULL, 10) : 400;
	uint64_t delivered = 0, answered = 0;

	argc -= 1 + trace;
	argv += 1 + trace;
	if (argc > 0) {
		first = strtoull(argv[0], NULL, 10);
		count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	}
	sim_on_fail(failed);
	for (uint64_t seed = first; seed < first + count; seed++) {
		begin(seed, trace);
		for (uint64_t until = sim.now + 300 * SECOND; !all_over();) {
			MUST(sim.now < until, "clients are not through");
			turn(SECOND);
		}
		end();
		delivered += w.delivered;
		answered += w.answered;
	}
	printf("%llu seeds, %llu datagrams delivered, %llu answers\n", (unsigned long long)count,
	       (unsigned long long)delivered, (unsigned long long)answered);
	return 0;
}
