// SPDX-License-Identifier: Apache-2.0
// Datagrams over a kernel UDP socket: sending, with neighbours that are alike as one UDP_SEGMENT message.
#include <errno.h>
#include <string.h>

#include "io/packet/packet_kernel_internal.h"
#include "io/sys.h"

// A segment of the packets: the next one to be built into a message.
struct cursor {
	unsigned packet;
	uint32_t offset;
};

struct tx {
	struct packet_kernel *port;
	struct packet_kernel_scratch *s;
	struct packet *packets;
	unsigned n;
	struct cursor at;
	unsigned messages, iovs;
	uint32_t staged;
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

// Length of the segment as it lies in the packet.
static uint32_t length_in(const struct packet *p, uint32_t offset)
{
	return p->segment ? min_u32(p->segment, p->len - offset) : p->len;
}

static uint32_t length_out(const struct packet *p, uint32_t offset)
{
	return length_in(p, offset) - p->skip + p->prefix_len;
}

static bool alike(const struct packet *a, const struct packet *b)
{
	return memcmp(&a->peer, &b->peer, sizeof(a->peer)) == 0 && a->ecn == b->ecn &&
	       memcmp(&a->local, &b->local, sizeof(a->local)) == 0;
}

static void add_piece(struct tx *tx, struct msghdr *msg, const void *data, size_t len)
{
	struct iovec *last = msg->msg_iovlen ? &msg->msg_iov[msg->msg_iovlen - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
		return;
	}
	msg->msg_iov[msg->msg_iovlen++] = (struct iovec){(void *)data, len};
	tx->iovs++;
}

// Adds the segment at the cursor to the message and moves the cursor.
static void add_segment(struct tx *tx, struct msghdr *msg, bool staged)
{
	struct packet *p = &tx->packets[tx->at.packet];
	uint32_t in = length_in(p, tx->at.offset);
	uint8_t *data = p->data + tx->at.offset + p->skip;
	uint32_t len = in - p->skip;

	if (staged) {
		uint8_t *place = tx->s->stage + tx->staged;
		if (p->prefix_len)
			memcpy(place, p->prefix, p->prefix_len);
		memcpy(place + p->prefix_len, data, len);
		tx->staged += p->prefix_len + len;
		add_piece(tx, msg, place, p->prefix_len + len);
	} else if (p->prefix_len && tx->at.offset == 0 && !p->skip &&
		   p->headroom >= p->prefix_len) {
		memcpy(data - p->prefix_len, p->prefix, p->prefix_len);
		add_piece(tx, msg, data - p->prefix_len, p->prefix_len + len);
	} else {
		if (p->prefix_len)
			add_piece(tx, msg, p->prefix, p->prefix_len);
		add_piece(tx, msg, data, len);
	}
	tx->at.offset += in;
	if (tx->at.offset >= p->len)
		tx->at = (struct cursor){.packet = tx->at.packet + 1};
}

static socklen_t set_name(const struct packet_kernel *k, const struct endpoint *ep,
			  union packet_name *name)
{
	if (ep->family == AF_INET && !k->v6) {
		name->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(ep->port)};
		memcpy(&name->in.sin_addr, ep->ip, 4);
		return sizeof(name->in);
	}
	if (ep->family == AF_INET6) {
		name->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
						  .sin6_port = htons(ep->port),
						  .sin6_scope_id = ep->scope};
		memcpy(&name->in6.sin6_addr, ep->ip, 16);
		return sizeof(name->in6);
	}
	return 0;
}

static void add_control(struct msghdr *msg, uint8_t *buf, int level, int type, const void *data,
			size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(buf + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_control = buf;
	msg->msg_controllen += CMSG_SPACE(len);
}

static void set_control(const struct packet_kernel *k, struct msghdr *msg,
			union packet_control *control, const struct packet *p, uint16_t segment)
{
	uint8_t *buf = control->bytes;

	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	if (segment)
		add_control(msg, buf, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	if (p->local.family == AF_INET && !k->v6) {
		struct in_pktinfo info = {0};
		memcpy(&info.ipi_spec_dst, p->local.ip, 4);
		add_control(msg, buf, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (p->local.family == AF_INET6 && k->v6) {
		struct in6_pktinfo info = {.ipi6_ifindex = p->local.scope};
		memcpy(&info.ipi6_addr, p->local.ip, 16);
		add_control(msg, buf, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (p->ecn) {
		int ecn = p->ecn;
		add_control(msg, buf, k->v6 ? IPPROTO_IPV6 : IPPROTO_IP,
			    k->v6 ? IPV6_TCLASS : IP_TOS, &ecn, sizeof(ecn));
	}
}

// Whether the segment at the cursor may follow in a message of segments of `out` bytes.
static bool may_follow(const struct tx *tx, const struct packet *first, uint32_t out,
		       uint32_t total)
{
	const struct packet *p = &tx->packets[tx->at.packet];
	const uint32_t most = tx->port->v6 ? PACKET_UDP_MAX_V6 : PACKET_UDP_MAX_V4;
	uint32_t len = length_out(p, tx->at.offset);

	return len > 0 && len <= out && total + len <= most && (p == first || alike(first, p)) &&
	       tx->iovs + 2 <= PACKET_KERNEL_IOVS && tx->staged + len <= PACKET_KERNEL_STAGE;
}

// Builds one message from the cursor on.
static void build_message(struct tx *tx)
{
	struct packet_kernel *k = tx->port;
	const struct packet *first = &tx->packets[tx->at.packet];
	struct packet_message *message = &tx->s->tx_message[tx->messages];
	struct msghdr *msg = &tx->s->tx[tx->messages].msg_hdr;
	union packet_name *name = &tx->s->tx_name[tx->messages];
	uint32_t out = length_out(first, tx->at.offset), last = out, total = out;
	bool staged = out <= k->copied_max[first->prefix_len > 0] &&
		      (first->segment || first->skip || first->prefix_len);
	unsigned most = (k->port.caps & PACKET_CAN_GSO) && out > 0 && out <= k->gso_max
				? PACKET_SEGMENTS_MAX
				: 1;

	*message = (struct packet_message){.first = tx->at.packet, .offset = tx->at.offset};
	msg->msg_iov = &tx->s->tx_iov[tx->iovs];
	msg->msg_iovlen = 0;
	add_segment(tx, msg, staged);
	for (message->segments = 1; message->segments < most && tx->at.packet < tx->n &&
				    last == out && may_follow(tx, first, out, total);
	     message->segments++) {
		last = length_out(&tx->packets[tx->at.packet], tx->at.offset);
		total += last;
		add_segment(tx, msg, staged);
	}
	msg->msg_namelen = set_name(k, &first->peer, name);
	msg->msg_name = msg->msg_namelen ? name : NULL;
	set_control(k, msg, &tx->s->tx_control[tx->messages], first,
		    message->segments > 1 ? (uint16_t)out : 0);
	tx->messages++;
}

// As many messages as one call takes.
static void build(struct tx *tx)
{
	tx->messages = tx->iovs = tx->staged = 0;
	while (tx->at.packet < tx->n && tx->messages < PACKET_BURST &&
	       tx->iovs + 2 <= PACKET_KERNEL_IOVS && tx->staged + UINT16_MAX <= PACKET_KERNEL_STAGE)
		build_message(tx);
}

// Books what became of a message on its packets.
static void settle(struct tx *tx, const struct packet_message *message, int error)
{
	struct packet_stats *counts = &tx->port->port.counts;
	unsigned left = message->segments;
	uint32_t offset = message->offset;

	for (struct packet *p = &tx->packets[message->first]; left; p++, offset = 0) {
		uint32_t segment = p->segment ? p->segment : p->len;
		uint32_t rest = p->len - offset;
		uint32_t count = rest > segment ? (rest + segment - 1) / segment : 1;
		if (count > left)
			count = left;
		left -= count;
		if (error) {
			p->error = (int16_t)error;
			continue;
		}
		uint32_t bytes = min_u32(rest, count * segment) - count * p->skip;
		p->sent = (uint16_t)(p->sent + count);
		p->sent_bytes += bytes;
		counts->sent_bytes += bytes;
	}
	if (!error)
		counts->sent += message->segments;
	else if (error == -EMSGSIZE)
		counts->too_large += message->segments;
	else
		counts->failed += message->segments;
}

// The path or the socket does not take segments of this length in one message.
static bool refuses_segments(int error)
{
	return error == -EINVAL || error == -EMSGSIZE || error == -EIO || error == -EOPNOTSUPP ||
	       error == -ENOPROTOOPT;
}

static void learn_limit(struct tx *tx, const struct packet_message *message, int error)
{
	uint32_t out = length_out(&tx->packets[message->first], message->offset);

	if (error == -EINVAL || error == -EMSGSIZE)
		tx->port->gso_max = (uint16_t)(out - 1);
	else
		tx->port->port.caps &= (uint8_t)~PACKET_CAN_GSO;
}

// Sends what was built. 0: all went out or failed for good. -EAGAIN: the socket is full. -ERESTART:
// to be built anew. In both latter cases the cursor is at what comes next.
static int send_messages(struct tx *tx)
{
	struct packet_kernel_scratch *s = tx->s;
	bool repeated = false;

	for (unsigned m = 0; m < tx->messages;) {
		struct packet_message *message = &s->tx_message[m];
		int r = sys_sendmmsg(tx->port->fd, s->tx + m, tx->messages - m);
		tx->port->port.counts.bursts_out++;
		if (r > 0) {
			tx->port->port.counts.messages_out += (unsigned)r;
			for (int i = 0; i < r; i++)
				settle(tx, &message[i], 0);
			m += (unsigned)r;
			repeated = false;
			continue;
		}
		if (r == 0)
			r = -EAGAIN;
		if (r == -EAGAIN || (message->segments > 1 && refuses_segments(r))) {
			tx->at = (struct cursor){message->first, message->offset};
			if (r == -EAGAIN)
				return r;
			learn_limit(tx, message, r);
			return -ERESTART;
		}
		// Perhaps word of an earlier send: then this message has not been looked at.
		if (!repeated && packet_kernel_is_icmp(r) && r != -EMSGSIZE) {
			tx->port->port.counts.refused += r == -ECONNREFUSED;
			repeated = true;
			continue;
		}
		settle(tx, message, r);
		repeated = false;
		m++;
	}
	return 0;
}

int packet_kernel_tx_burst(struct packet_port *port, struct packet *packets, unsigned n)
{
	struct tx tx = {.port = packet_kernel_of(port),
			.s = port->domain->kernel,
			.packets = packets,
			.n = n};
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		packets[i].error = 0;
		packets[i].sent = 0;
		packets[i].sent_bytes = 0;
	}
	while (tx.at.packet < n && r != -EAGAIN) {
		build(&tx);
		r = send_messages(&tx);
	}
	unsigned taken = tx.at.packet;
	if (r == -EAGAIN && tx.at.offset > 0)
		packets[taken++].error = -EAGAIN;
	for (unsigned i = 0; i < taken; i++)
		packet_free(&packets[i]);
	return (int)taken;
}
