// SPDX-License-Identifier: Apache-2.0
// Clients that send datagrams through an association; servers answer some of them, strangers butt in.
#include "udp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/host.h"
#include "io/sim_internal.h"
#include "io/sys.h"
#include "proto/socks/socks_udp.h"

#define MS UINT64_C(1000000)

enum {
	PAYLOAD_MIN = 16,
	PAYLOAD_MAX = 1400,
	MAGIC = 0x73696d75,
	STRANGER = 0xffffff, // number of nobody
};

struct payload {
	uint32_t magic, number, sequence, echo;
};

static const struct {
	const char *name;
	enum { BY_ADDRESS, BY_NAME, NOWHERE } kind;
} dests[] = {
	{"10.2.0.1", BY_ADDRESS}, {"2001:db8:2::1", BY_ADDRESS}, {"10.2.0.1", BY_ADDRESS},
	{"s1.sim", BY_NAME},      {"s2.sim", BY_NAME},           {"denied.sim", NOWHERE},
	{"10.9.0.1", NOWHERE},    {"nx.sim", NOWHERE},           {"127.0.0.1", NOWHERE},
};

static int open_socket(const struct endpoint *address)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(address, &sa);
	int fd = sys_socket(address->family, SOCK_DGRAM);

	if (fd < 0 || sys_bind(fd, (struct sockaddr *)&sa, len) < 0)
		sim_fail("a peer gets no socket for datagrams");
	return fd;
}

static void send_to(int fd, const struct endpoint *to, void *data, size_t len)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, &sa);
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct mmsghdr msg = {
		.msg_hdr = {
			.msg_name = &sa, .msg_namelen = sa_len, .msg_iov = &iov, .msg_iovlen = 1}};

	sys_sendmmsg(fd, &msg, 1);
}

// The length, or < 0.
static ssize_t receive(int fd, uint8_t *data, size_t size, struct endpoint *ret_from)
{
	struct sockaddr_storage sa;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct mmsghdr msg = {.msg_hdr = {.msg_name = &sa,
					  .msg_namelen = sizeof(sa),
					  .msg_iov = &iov,
					  .msg_iovlen = 1}};
	int n = sys_recvmmsg(fd, &msg, 1);

	if (n <= 0)
		return n < 0 ? n : -EAGAIN;
	if (endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof(sa), ret_from) < 0)
		sim_fail("a datagram of nobody");
	return msg.msg_len;
}

static void fill(uint8_t *data, size_t len, uint32_t number, uint32_t sequence, uint32_t echo)
{
	const struct payload head = {MAGIC, number, sequence, echo};

	memcpy(data, &head, sizeof(head));
	end_pattern(number, (uint64_t)sequence << 20 | 16, data + sizeof(head), len - sizeof(head));
}

static struct payload check_payload(const uint8_t *data, size_t len)
{
	static uint8_t expected[PAYLOAD_MAX];
	struct payload head;

	if (len < sizeof(head) || len > PAYLOAD_MAX)
		sim_fail("a datagram of %zu bytes comes out", len);
	memcpy(&head, data, sizeof(head));
	if (head.magic != MAGIC)
		sim_fail("a datagram comes out as another");
	end_pattern(head.number, (uint64_t)head.sequence << 20 | 16, expected, len - sizeof(head));
	if (memcmp(expected, data + sizeof(head), len - sizeof(head)) != 0)
		sim_fail("a datagram's content is not what was sent");
	return head;
}

static struct udp_talk *talk_of(uint32_t number, uint32_t sequence)
{
	struct end *end = number && number <= end_count ? ends[number] : NULL;
	struct client *client = end ? caa_container_of(end, struct client, end) : NULL;

	if (!client || end->name[0] != 'c' || !client->udp || sequence >= client->udp->sent)
		sim_fail("a datagram comes out that nobody has sent");
	return client->udp;
}

/*
 * Servers.
 */

struct echo {
	int fd;
	struct endpoint address;
	int stranger; // another socket, which has never been sent anything
};

static void served(void *ctx)
{
	struct echo *echo = ctx;
	static uint8_t data[65536];
	struct endpoint from;
	struct rng *rng = sim_rng();

	for (;;) {
		ssize_t n = receive(echo->fd, data, sizeof(data), &from);
		if (n < 0)
			return;
		struct payload head = check_payload(data, (size_t)n);
		if (head.number == STRANGER)
			sim_fail("a stranger's datagram is relayed to a server");
		struct udp_sent *sent =
			&talk_of(head.number, head.sequence)->datagrams[head.sequence];
		sent->at_server++;
		for (unsigned i = (unsigned)rng_below(rng, 3); i > 0; i--) {
			fill(data, (size_t)n, head.number, head.sequence, ++sent->echoed);
			send_to(echo->fd, &from, data, (size_t)n);
		}
		if (rng_below(rng, 8) == 0) {
			fill(data, (size_t)n, STRANGER, 0, 0);
			send_to(echo->stranger, &from, data, (size_t)n);
		}
	}
}

void udp_servers_begin(void)
{
	static const char *const addresses[][2] = {{"10.2.0.1", "10.7.0.1"},
						   {"2001:db8:2::1", "2001:db8:7::1"}};

	for (int i = 0; i < 2; i++) {
		struct echo *echo = sim_alloc(sizeof(*echo));
		struct endpoint stranger = world_address(addresses[i][1], WORLD_ECHO);
		echo->address = world_address(addresses[i][0], WORLD_ECHO);
		echo->fd = open_socket(&echo->address);
		echo->stranger = open_socket(&stranger);
		sim_notify(echo->fd, served, echo);
	}
}

/*
 * Clients.
 */

static size_t write_header(uint8_t *out, const char *name, uint8_t fragment)
{
	struct host host;
	size_t len = strlen(name);

	if (endpoint_parse_ip(name, len, &host.address) == 0)
		host = host_from_endpoint(&(struct endpoint){0});
	if (endpoint_parse_ip(name, len, &host.address) == 0) {
		host.kind = HOST_ADDRESS;
		host.address.port = host.port = WORLD_ECHO;
	} else if (host_from_name(name, len, WORLD_ECHO, &host) < 0) {
		sim_fail("no host: %s", name);
	}
	size_t n = socks_udp_build_host(out, &host);
	out[2] = fragment;
	return n;
}

static void send_one(struct udp_talk *talk)
{
	uint8_t data[SOCKS_UDP_HEADER_MAX + PAYLOAD_MAX];
	struct rng *rng = sim_rng();
	unsigned which = (unsigned)rng_below(rng, sizeof(dests) / sizeof(dests[0]));
	uint8_t fragment = rng_below(rng, 16) == 0;
	unsigned sequence = talk->sent++;
	size_t len = sim_spread(rng, PAYLOAD_MIN, talk->size_max);

	if (len > PAYLOAD_MAX)
		len = PAYLOAD_MAX;
	size_t header = write_header(data, dests[which].name, fragment);
	talk->datagrams[sequence].expected = !fragment && dests[which].kind == BY_ADDRESS;
	fill(data + header, len, talk->client->end.number, sequence, 0);
	send_to(talk->fd, &talk->relay, data, header + len);
	// Half a header, and nothing at all.
	if (rng_below(rng, 16) == 0)
		send_to(talk->fd, &talk->relay, data, rng_below(rng, 5));
}

static void tick(struct sim_event *event)
{
	struct udp_talk *talk = caa_container_of(event, struct udp_talk, timer);
	struct rng *rng = sim_rng();

	if (end_over(&talk->client->end))
		return;
	if (talk->sent == talk->count) {
		end_leave(&talk->client->end);
		end_pump(&talk->client->end);
		return;
	}
	for (unsigned n = 1 + (unsigned)rng_below(rng, 4); n && talk->sent < talk->count; n--)
		send_one(talk);
	uint64_t wait = talk->sent == talk->count ? 1000 * MS : sim_spread(rng, 1000, talk->gap);
	sim_event_set(&talk->timer, sim.now + wait);
}

static void answered(void *ctx)
{
	struct udp_talk *talk = ctx;
	static uint8_t data[65536];
	struct socks_udp_header header;
	struct endpoint from;

	for (;;) {
		ssize_t n = receive(talk->fd, data, sizeof(data), &from);
		if (n == -ECONNREFUSED)
			continue;
		if (n < 0)
			return;
		if (!endpoint_equal(&from, &talk->relay))
			sim_fail("client %u: a datagram from another place than its relay",
				 talk->client->end.number);
		int len = socks_udp_parse(data, (size_t)n, &header);
		if (len < 0 || header.fragment || header.named || header.port != WORLD_ECHO)
			sim_fail("client %u: a datagram without a header",
				 talk->client->end.number);
		struct payload head = check_payload(data + len, (size_t)(n - len));
		if (head.number != talk->client->end.number)
			sim_fail("client %u: gets a datagram of %u", talk->client->end.number,
				 head.number);
		if (head.sequence >= talk->sent || !head.echo ||
		    head.echo > talk->datagrams[head.sequence].echoed)
			sim_fail("client %u: an answer that nobody gave", talk->client->end.number);
		talk->datagrams[head.sequence].back++;
	}
}

void udp_associated(struct client *client, const struct endpoint *relay)
{
	struct udp_talk *talk = sim_alloc(sizeof(*talk));
	struct rng *rng = sim_rng();

	memset(talk, 0, sizeof(*talk));
	client->udp = talk;
	client->connected = true;
	talk->client = client;
	talk->relay = *relay;
	talk->own = client->from;
	talk->own.port = sim_port();
	talk->fd = open_socket(&talk->own);
	talk->count = 1 + (unsigned)rng_below(rng, UDP_DATAGRAMS);
	talk->gap = sim_spread(rng, 10000, 20 * MS);
	talk->size_max = (uint32_t)sim_spread(rng, PAYLOAD_MIN, PAYLOAD_MAX);
	talk->timer.run = tick;
	sim_notify(talk->fd, answered, talk);
	sim_event_set(&talk->timer, sim.now + sim_spread(rng, 1000, 10 * MS));
	if (rng_below(rng, 2)) {
		// Somebody else finds the association's door.
		uint8_t data[SOCKS_UDP_HEADER_MAX + PAYLOAD_MIN];
		struct endpoint other = world_address("10.7.0.2", sim_port());
		int fd = open_socket(&other);
		size_t header = write_header(data, "10.2.0.1", 0);
		fill(data + header, PAYLOAD_MIN, STRANGER, 0, 0);
		send_to(fd, relay, data, header + PAYLOAD_MIN);
		sys_close(fd);
	}
}

void udp_release(struct client *client)
{
	struct udp_talk *talk = client->udp;

	if (!talk || talk->fd < 0)
		return;
	sim_event_cancel(&talk->timer);
	sys_close(talk->fd);
	talk->fd = -1;
}

void udp_check(const struct client *client)
{
	const struct udp_talk *talk = client->udp;
	const struct world_options *o = &world.options;
	const struct sim_faults *f = &sim.config.faults;
	bool exact = !f->datagram_loss && !f->datagram_twice && !f->send_again && !o->rude &&
		     !o->unreliable && !o->scarce && !o->hungry && !o->reloads && !o->drains &&
		     !o->address_rate;

	for (unsigned i = 0; talk && i < talk->sent; i++) {
		const struct udp_sent *sent = &talk->datagrams[i];
		if (!f->datagram_twice && (sent->at_server > 1 || sent->back > sent->echoed))
			sim_fail("client %u: datagram %u came twice", client->end.number, i);
		if (exact && sent->expected && sent->at_server != 1)
			sim_fail("client %u: datagram %u did not arrive", client->end.number, i);
		if (exact && sent->back != sent->echoed)
			sim_fail("client %u: of %u answers to datagram %u came %u",
				 client->end.number, sent->echoed, i, sent->back);
	}
}
