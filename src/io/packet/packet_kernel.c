// SPDX-License-Identifier: Apache-2.0
// Datagrams over a kernel UDP socket: its life, and receiving in bursts.
#include "io/packet/packet_kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/packet/packet_kernel_internal.h"
#include "io/sys.h"

// Some socket buffer for bursts; the system's own ceiling (net.core.rmem_max) holds.
static const int BUFFER_BYTES = 1024 * 1024;

struct packet_kernel_scratch *packet_kernel_scratch_new(void)
{
	struct packet_kernel_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	for (unsigned i = 0; i < PACKET_BURST; i++) {
		s->rx[i].msg_hdr = (struct msghdr){
			.msg_name = &s->rx_name[i],
			.msg_iov = &s->rx_iov[i],
			.msg_iovlen = 1,
			.msg_control = s->rx_control[i].bytes,
		};
		s->rx[i].msg_hdr.msg_namelen = sizeof(s->rx_name[i]);
		s->rx[i].msg_hdr.msg_controllen = sizeof(s->rx_control[i].bytes);
	}
	return s;
}

void packet_kernel_scratch_free(struct packet_kernel_scratch *s)
{
	free(s);
}

static bool allow(int fd, int level, int name)
{
	const int one = 1;

	return sys_setsockopt(fd, level, name, &one, sizeof(one)) == 0;
}

static void set_options(struct packet_kernel *k, bool v6, unsigned want)
{
	const int zero = 0;
	int fd = k->fd;

	sys_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &BUFFER_BYTES, sizeof(BUFFER_BYTES));
	sys_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &BUFFER_BYTES, sizeof(BUFFER_BYTES));
	if (allow(fd, IPPROTO_UDP, UDP_GRO))
		k->port.caps |= PACKET_CAN_GRO;
	if (sys_setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &zero, sizeof(zero)) == 0)
		k->port.caps |= PACKET_CAN_GSO;
	if (want & PACKET_WANT_LOCAL)
		allow(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO);
	if (want & PACKET_WANT_ECN)
		allow(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS);
}

int packet_kernel_open(struct packet_domain *domain, const struct endpoint *local, unsigned want,
		       struct packet_port **ret_port)
{
	struct packet_kernel *k = calloc(1, sizeof(*k));
	struct sockaddr_storage addr;
	socklen_t len = endpoint_to_sockaddr(local, &addr);
	bool v6 = local->family == AF_INET6;

	if (!k)
		return -ENOMEM;
	k->port = (struct packet_port){.ops = &packet_kernel_ops,
				       .domain = domain,
				       .caps = PACKET_HAS_FD | PACKET_CHECKSUM};
	k->v6 = v6;
	k->gso_max = UINT16_MAX;
	k->copied_max[0] = PACKET_KERNEL_COPIED_MAX;
	k->copied_max[1] = PACKET_KERNEL_COPIED_MAX_PREFIXED;
	int r = k->fd = sys_socket(local->family, SOCK_DGRAM);
	if (r >= 0 && v6)
		r = allow(k->fd, IPPROTO_IPV6, IPV6_V6ONLY) ? 0 : -ENOPROTOOPT;
	if (r >= 0)
		r = sys_bind(k->fd, (struct sockaddr *)&addr, len);
	if (r < 0) {
		if (k->fd >= 0)
			sys_close(k->fd);
		free(k);
		return r;
	}
	set_options(k, v6, want);
	*ret_port = &k->port;
	return 0;
}

int packet_kernel_connect(struct packet_port *port, const struct endpoint *peer)
{
	struct sockaddr_storage addr;
	socklen_t len = endpoint_to_sockaddr(peer, &addr);

	return sys_connect(packet_kernel_of(port)->fd, (struct sockaddr *)&addr, len);
}

int packet_kernel_local(const struct packet_port *port, struct endpoint *ret_local)
{
	const struct packet_kernel *k = caa_container_of(port, struct packet_kernel, port);
	struct sockaddr_storage addr;
	int r = sys_getsockname(k->fd, &addr);

	return r < 0 ? r
		     : endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret_local);
}

static int kernel_fd(const struct packet_port *port)
{
	return caa_container_of(port, const struct packet_kernel, port)->fd;
}

static void kernel_stats(const struct packet_port *port, struct packet_stats *ret_stats)
{
	const struct packet_kernel *k = caa_container_of(port, const struct packet_kernel, port);
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	*ret_stats = port->counts;
	if (sys_getsockopt(k->fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0 &&
	    len > SK_MEMINFO_DROPS * sizeof(info[0]))
		ret_stats->overflowed = info[SK_MEMINFO_DROPS];
}

static void kernel_close(struct packet_port *port)
{
	struct packet_kernel *k = packet_kernel_of(port);

	sys_close(k->fd);
	free(k);
}

// Gives the slots buffers. Returns how many of the first n have one.
static unsigned arm_slots(struct packet_domain *domain, unsigned n)
{
	struct packet_kernel_scratch *s = domain->kernel;

	for (unsigned i = 0; i < n; i++) {
		if (s->rx_buffer[i])
			continue;
		struct packet_buffer *buffer = packet_buffer_take(domain);
		if (!buffer)
			return i;
		domain->armed++;
		s->rx_buffer[i] = buffer;
		s->rx_iov[i] = (struct iovec){packet_buffer_data(buffer), PACKET_DATA_MAX};
	}
	return n;
}

static void read_name(const union packet_name *name, struct endpoint *ret)
{
	if (name->sa.sa_family == AF_INET)
		*ret = endpoint_v4_bytes((const uint8_t *)&name->in.sin_addr,
					 ntohs(name->in.sin_port));
	else
		*ret = endpoint_v6(name->in6.sin6_addr.s6_addr, ntohs(name->in6.sin6_port),
				   name->in6.sin6_scope_id);
}

static void read_control(struct msghdr *msg, struct packet *packet)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int value;

		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			if (value > 0 && (uint32_t)value < packet->len)
				packet->segment = (uint16_t)value;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			packet->local = endpoint_v4_bytes((uint8_t *)&info.ipi_addr, 0);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			bool linked = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr);
			packet->local = endpoint_v6(info.ipi6_addr.s6_addr, 0,
						    linked ? info.ipi6_ifindex : 0);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			packet->ecn = *CMSG_DATA(c) & 3;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			packet->ecn = (uint8_t)(value & 3);
		}
	}
}

// The slot's message becomes a packet, and the slot is made ready for the next one but its buffer.
static void take_slot(struct packet_port *port, unsigned i, struct packet *ret)
{
	struct packet_kernel_scratch *s = port->domain->kernel;
	struct msghdr *msg = &s->rx[i].msg_hdr;

	memset(ret, 0, sizeof(*ret));
	ret->buffer = s->rx_buffer[i];
	ret->data = s->rx_iov[i].iov_base;
	ret->len = s->rx[i].msg_len;
	ret->headroom = PACKET_HEADROOM;
	ret->port = port->number;
	read_name(&s->rx_name[i], &ret->peer);
	if (msg->msg_controllen)
		read_control(msg, ret);
	if (msg->msg_flags & MSG_TRUNC) {
		ret->truncated = true;
		port->counts.truncated++;
	}
	port->counts.received += packet_count(ret);
	port->counts.received_bytes += ret->len;
	msg->msg_namelen = sizeof(s->rx_name[i]);
	msg->msg_controllen = sizeof(s->rx_control[i].bytes);
	s->rx_buffer[i] = NULL;
	port->domain->armed--;
}

// What ICMP says about an earlier send comes as an error of whatever is called next.
bool packet_kernel_is_icmp(int error)
{
	switch (-error) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EACCES:
	case EPROTO:
	case EMSGSIZE:
		return true;
	default:
		return false;
	}
}

static int kernel_rx_burst(struct packet_port *port, struct packet *ret_packets, unsigned n)
{
	struct packet_kernel *k = packet_kernel_of(port);
	struct packet_kernel_scratch *s = port->domain->kernel;
	int got;

	n = arm_slots(port->domain, n < PACKET_BURST ? n : PACKET_BURST);
	if (n == 0)
		return -ENOBUFS;
	for (unsigned swallowed = 0;; swallowed++) {
		got = sys_recvmmsg(k->fd, s->rx, n);
		if (got >= 0 || swallowed == PACKET_BURST || !packet_kernel_is_icmp(got))
			break;
		port->counts.refused++;
	}
	if (got <= 0)
		return got < 0 ? got : -EAGAIN;
	port->counts.bursts_in++;
	port->counts.messages_in += (unsigned)got;
	for (int i = 0; i < got; i++)
		take_slot(port, (unsigned)i, &ret_packets[i]);
	return got;
}

const struct packet_ops packet_kernel_ops = {
	.name = "kernel",
	.rx_burst = kernel_rx_burst,
	.tx_burst = packet_kernel_tx_burst,
	.fd = kernel_fd,
	.stats = kernel_stats,
	.close = kernel_close,
};
