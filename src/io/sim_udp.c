// SPDX-License-Identifier: Apache-2.0
// Simulated UDP: datagrams that come late, twice, in another order, or not at all.
#include "io/sim_internal.h"

#include <netinet/udp.h>

#define SECOND_NS UINT64_C(1000000000)
enum { QUEUE_MAX = 64, DATAGRAM_MAX = 65507 };

struct datagram {
	struct cds_list_head node; // of the receiver's queue
	struct sim_event event;
	struct endpoint from, to;
	int family; // of the sender's socket
	size_t len, room;
	uint8_t *bytes;
};

struct udp {
	struct sim_file file;      // first
	struct cds_list_head node; // sim.datagram_sockets
	struct cds_list_head queue;
	unsigned queued;
	int family, error;
	bool only6;
	bool gro;                    // runs of datagrams are received in one piece
	struct endpoint local, peer; // peer: connected
};

static struct udp *udp_of(struct sim_file *file)
{
	return caa_container_of(file, struct udp, file);
}

int sim_udp_new(int family)
{
	struct udp *udp = sim_alloc(sizeof(*udp));

	*udp = (struct udp){.family = family};
	int fd = sim_install(&udp->file, SIM_UDP);
	if (fd < 0)
		return fd;
	CDS_INIT_LIST_HEAD(&udp->queue);
	cds_list_add_tail(&udp->node, &sim.datagram_sockets);
	return fd;
}

uint32_t sim_udp_ready(struct sim_file *file)
{
	const struct udp *udp = udp_of(file);

	return EPOLLOUT | (udp->queued ? EPOLLIN : 0) | (udp->error ? EPOLLERR : 0);
}

static void datagram_free(struct datagram *datagram)
{
	sim_ring_free(datagram->bytes, datagram->room);
	sim_ring_free(datagram, 256);
}

void sim_udp_close(struct sim_file *file)
{
	struct udp *udp = udp_of(file);

	while (!cds_list_empty(&udp->queue)) {
		struct datagram *datagram =
			cds_list_first_entry(&udp->queue, struct datagram, node);
		cds_list_del(&datagram->node);
		datagram_free(datagram);
	}
	cds_list_del(&udp->node);
}

static bool takes(const struct udp *udp, const struct endpoint *to)
{
	if (udp->local.port != to->port)
		return false;
	if (endpoint_is_unspecified(&udp->local))
		return udp->local.family == to->family || (udp->family == AF_INET6 && !udp->only6);
	return endpoint_same_ip(&udp->local, to);
}

int sim_udp_bind(struct sim_file *file, const struct endpoint *to)
{
	struct udp *udp = udp_of(file), *other;

	if (endpoint_is_set(&udp->local))
		return -EINVAL;
	udp->local = *to;
	if (!udp->local.port)
		udp->local.port = sim_port();
	cds_list_for_each_entry(other, &sim.datagram_sockets, node)
	{
		if (other != udp && endpoint_equal(&other->local, &udp->local)) {
			udp->local = (struct endpoint){0};
			return -EADDRINUSE;
		}
	}
	return 0;
}

static void bind_somewhere(struct udp *udp)
{
	static const uint8_t any[16];

	if (!endpoint_is_set(&udp->local))
		udp->local = udp->family == AF_INET6 ? endpoint_v6(any, sim_port(), 0)
						     : endpoint_v4(0, sim_port());
}

int sim_udp_name(struct sim_file *file, bool peer, struct endpoint *ret)
{
	const struct udp *udp = udp_of(file);

	if (peer && !endpoint_is_set(&udp->peer))
		return -ENOTCONN;
	*ret = peer ? udp->peer : udp->local;
	if (!endpoint_is_set(ret))
		*ret = udp->family == AF_INET6 ? endpoint_v6((uint8_t[16]){0}, 0, 0)
					       : endpoint_v4(0, 0);
	return 0;
}

int sim_udp_error(struct sim_file *file)
{
	int error = udp_of(file)->error;

	udp_of(file)->error = 0;
	return error;
}

// Where it comes from as the receiver sees it.
static struct endpoint source_of(const struct udp *udp, const struct endpoint *to)
{
	static const uint8_t proxy6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	if (!endpoint_is_unspecified(&udp->local))
		return udp->local;
	if (endpoint_is_loopback(to)) {
		struct endpoint from = *to;
		from.port = udp->local.port;
		return from;
	}
	return to->family == AF_INET6 ? endpoint_v6(proxy6, udp->local.port, 0)
				      : endpoint_v4(0xcb007101, udp->local.port);
}

int sim_udp_connect(struct sim_file *file, const struct endpoint *to)
{
	struct udp *udp = udp_of(file);

	if (udp->family == AF_INET && to->family == AF_INET6)
		return -EAFNOSUPPORT;
	bind_somewhere(udp);
	udp->peer = *to;
	udp->local = source_of(udp, to);
	return 0;
}

void sim_udp_option(struct sim_file *file, int level, int name, int value)
{
	if (level == IPPROTO_UDP && name == UDP_GRO)
		udp_of(file)->gro = value != 0;
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		udp_of(file)->only6 = value != 0;
}

static void unreachable(const struct endpoint *sender, const struct endpoint *to)
{
	struct udp *udp;

	// Only a connected socket hears of it.
	cds_list_for_each_entry(udp, &sim.datagram_sockets, node)
	{
		if (takes(udp, sender) && endpoint_equal(&udp->peer, to)) {
			udp->error = ECONNREFUSED;
			sim_wake(&udp->file, EPOLLERR);
		}
	}
}

static void datagram_arrived(struct sim_event *event)
{
	struct datagram *datagram = caa_container_of(event, struct datagram, event);
	struct udp *udp, *found = NULL;

	cds_list_for_each_entry(udp, &sim.datagram_sockets, node)
	{
		bool foreign =
			endpoint_is_set(&udp->peer) && !endpoint_equal(&udp->peer, &datagram->from);
		if (takes(udp, &datagram->to) && !foreign &&
		    (!found || endpoint_is_set(&udp->peer)))
			found = udp;
	}
	if (!found)
		unreachable(&datagram->from, &datagram->to);
	if (!found || found->queued >= QUEUE_MAX) {
		datagram_free(datagram);
		return;
	}
	cds_list_add_tail(&datagram->node, &found->queue);
	found->queued++;
	sim_wake(&found->file, EPOLLIN);
}

static void launch(const struct endpoint *from, const struct endpoint *to, const uint8_t *bytes,
		   size_t len)
{
	struct datagram *datagram = sim_ring_alloc(256);
	const struct sim_faults *faults = &sim.config.faults;
	size_t room = 64;

	_Static_assert(sizeof(*datagram) <= 256, "a datagram's place");
	while (room < len)
		room *= 2;
	*datagram = (struct datagram){.from = *from,
				      .to = *to,
				      .len = len,
				      .room = room,
				      .bytes = sim_ring_alloc(room),
				      .event = {.network = true, .run = datagram_arrived}};
	memcpy(datagram->bytes, bytes, len);
	uint64_t delay = sim.config.latency_min + sim_upto(sim.config.jitter);
	if (sim_upto(999999) < faults->datagram_late)
		delay += sim_upto(SECOND_NS / 10);
	sim_event_set(&datagram->event, sim.now + delay);
}

static void send_one(const struct endpoint *from, const struct endpoint *to, const uint8_t *bytes,
		     size_t len)
{
	const struct sim_faults *faults = &sim.config.faults;

	if (faults->datagram_loss && sim_upto(999999) < faults->datagram_loss)
		return;
	launch(from, to, bytes, len);
	if (faults->datagram_twice && sim_upto(999999) < faults->datagram_twice)
		launch(from, to, bytes, len);
}

// The size of the parts (UDP_SEGMENT), or 0.
static size_t segment_of(const struct msghdr *msg)
{
	struct msghdr *mutable = (struct msghdr *)msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mutable); c; c = CMSG_NXTHDR(mutable, c)) {
		uint16_t size;
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_SEGMENT)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size;
	}
	return 0;
}

static int send_message(struct udp *udp, struct mmsghdr *message)
{
	static uint8_t bytes[DATAGRAM_MAX];
	const struct msghdr *msg = &message->msg_hdr;
	struct endpoint to = udp->peer;
	size_t len = 0;

	if (udp->error)
		return -sim_udp_error(&udp->file);
	if (msg->msg_name && endpoint_from_sockaddr(msg->msg_name, msg->msg_namelen, &to) < 0)
		return -EINVAL;
	if (!endpoint_is_set(&to))
		return -EDESTADDRREQ;
	if (udp->family == AF_INET && to.family == AF_INET6)
		return -EAFNOSUPPORT;
	if (sim_chance(sim.config.faults.send_again))
		return sim_upto(3) ? -EAGAIN : -ENOBUFS;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (len + msg->msg_iov[i].iov_len > sizeof(bytes))
			return -EMSGSIZE;
		memcpy(bytes + len, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		len += msg->msg_iov[i].iov_len;
	}
	bind_somewhere(udp);
	struct endpoint from = source_of(udp, &to);
	size_t part = segment_of(msg);
	if (sim.side == SIM_PROXY && sim.config.fate && sim.config.fate(&to) == SIM_FATE_NO_ROUTE)
		return -ENETUNREACH;
	for (size_t at = 0; at < len || at == 0; at += part ? part : len + 1)
		send_one(&from, &to, bytes + at, part && len - at > part ? part : len - at);
	message->msg_len = (unsigned)len;
	return 0;
}

int sim_udp_sendmmsg(struct sim_file *file, struct mmsghdr *msgs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int r = send_message(udp_of(file), &msgs[i]);
		// As sendmmsg(2): what went before an error is told, the error the next time.
		if (r < 0)
			return i ? (int)i : r;
	}
	return (int)n;
}

static struct datagram *next_of(struct udp *udp)
{
	struct datagram *datagram = cds_list_first_entry(&udp->queue, struct datagram, node);

	cds_list_del(&datagram->node);
	udp->queued--;
	sim.datagrams_read[udp->file.side]++;
	return datagram;
}

// As if they had come as one piece (UDP_GRO): those behind the first that are like it go with it. Says so
// in the control message.
static void gather(struct udp *udp, const struct datagram *first, struct mmsghdr *message)
{
	struct msghdr *msg = &message->msg_hdr;
	size_t last = first->len, len = first->len;
	int segment = (int)first->len;

	if (!udp->gro || !first->len || sim_upto(3) == 0 || msg->msg_iovlen != 1 ||
	    msg->msg_controllen < CMSG_SPACE(sizeof(segment)))
		return;
	for (unsigned n = 1; n < 64 && udp->queued && last == first->len && sim_upto(20); n++) {
		struct datagram *datagram =
			cds_list_first_entry(&udp->queue, struct datagram, node);
		if (!endpoint_equal(&datagram->from, &first->from) || !datagram->len ||
		    datagram->len > first->len || len + datagram->len > msg->msg_iov[0].iov_len)
			break;
		next_of(udp);
		last = datagram->len;
		memcpy((uint8_t *)msg->msg_iov[0].iov_base + len, datagram->bytes, last);
		len += last;
		datagram_free(datagram);
	}
	if (len == first->len)
		return;
	message->msg_len = (unsigned)len;
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_GRO;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	msg->msg_controllen = CMSG_SPACE(sizeof(segment));
}

static void receive(struct udp *udp, struct mmsghdr *message)
{
	struct datagram *datagram = next_of(udp);
	struct msghdr *msg = &message->msg_hdr;
	const size_t control = msg->msg_controllen;
	size_t len = 0;

	for (size_t i = 0; i < msg->msg_iovlen && len < datagram->len; i++) {
		size_t left = datagram->len - len;
		size_t part = left < msg->msg_iov[i].iov_len ? left : msg->msg_iov[i].iov_len;
		memcpy(msg->msg_iov[i].iov_base, datagram->bytes + len, part);
		len += part;
	}
	msg->msg_flags = len < datagram->len ? MSG_TRUNC : 0;
	msg->msg_controllen = 0;
	message->msg_len = (unsigned)len;
	if (msg->msg_name) {
		struct sockaddr_storage addr;
		socklen_t size = udp->family == AF_INET6
					 ? endpoint_to_sockaddr6(&datagram->from, &addr)
					 : endpoint_to_sockaddr(&datagram->from, &addr);
		memcpy(msg->msg_name, &addr, size < msg->msg_namelen ? size : msg->msg_namelen);
		msg->msg_namelen = size;
	}
	msg->msg_controllen = control;
	gather(udp, datagram, message);
	if (message->msg_len == len)
		msg->msg_controllen = 0;
	datagram_free(datagram);
}

int sim_udp_recvmmsg(struct sim_file *file, struct mmsghdr *msgs, unsigned n)
{
	struct udp *udp = udp_of(file);
	unsigned i = 0;

	if (udp->error)
		return -sim_udp_error(file);
	for (; i < n && udp->queued; i++)
		receive(udp, &msgs[i]);
	return i ? (int)i : -EAGAIN;
}
