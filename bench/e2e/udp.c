// SPDX-License-Identifier: Apache-2.0
// UDP: flows that keep a window of datagrams under way to an echo server, singly or in GSO bursts.
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define SOCKS_HEADER 10u
#define BATCH 32u
#define PACKET_MAX (64u << 10)
#define STALL_NS 20000000ull

struct flow;

struct flows {
	struct end *end;
	struct loop loop;
	struct flow *list;
	char *packet; // header and payload of a datagram, `burst` times
	unsigned datagram;
};

struct flow {
	struct io io;
	struct flows *flows;
	uint64_t progress_at;
	unsigned outstanding;
	int control;
};

// One message of a batch: where it came from and how it is segmented.
struct slot {
	struct iovec iov;
	struct sockaddr_in from;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static int udp_socket(bool gro)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, size = 8 << 20;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one))) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

static void batch_init(struct mmsghdr *batch, struct slot *slots, char *data, size_t room)
{
	memset(batch, 0, BATCH * sizeof(*batch));
	for (unsigned i = 0; i < BATCH; i++) {
		slots[i].iov = (struct iovec){.iov_base = data + i * room, .iov_len = room};
		batch[i].msg_hdr = (struct msghdr){
			.msg_name = &slots[i].from,
			.msg_namelen = sizeof(slots[i].from),
			.msg_iov = &slots[i].iov,
			.msg_iovlen = 1,
			.msg_control = slots[i].control,
			.msg_controllen = sizeof(slots[i].control),
		};
	}
}

// Datagrams in a received message; its segment size is 0 when it is a single one.
static unsigned message_count(struct msghdr *msg, unsigned len, unsigned *ret_segment)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int segment = 0;

	if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
		memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	*ret_segment = segment > 0 && (unsigned)segment < len ? (unsigned)segment : 0;
	return *ret_segment ? (len + *ret_segment - 1) / *ret_segment : 1;
}

// Turns a received message into its echo.
static void message_reverse(struct mmsghdr *m, struct slot *slot, unsigned segment)
{
	uint16_t size = (uint16_t)segment;
	struct cmsghdr *c;

	slot->iov.iov_len = m->msg_len;
	if (!segment) {
		m->msg_hdr.msg_control = NULL;
		m->msg_hdr.msg_controllen = 0;
		return;
	}
	m->msg_hdr.msg_controllen = CMSG_SPACE(sizeof(size));
	c = CMSG_FIRSTHDR(&m->msg_hdr);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

static void server_turn(struct end *end, int fd, char *data)
{
	struct mmsghdr batch[BATCH];
	struct slot slots[BATCH];
	unsigned datagrams = 0, segment, sent = 0;
	int n;

	batch_init(batch, slots, data, PACKET_MAX);
	n = recvmmsg(fd, batch, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		datagrams += message_count(&batch[i].msg_hdr, batch[i].msg_len, &segment);
		message_reverse(&batch[i], &slots[i], segment);
	}
	while (n > 0 && sent < (unsigned)n) {
		int k = sendmmsg(fd, batch + sent, (unsigned)n - sent, 0);

		if (k < 0 && errno == EAGAIN)
			break; // lost: the flow's stall timer mends it
		sent += k > 0 ? (unsigned)k : 1;
	}
	count_add(&end->ops_atomic, datagrams);
	count_add(&end->bytes_atomic, (uint64_t)datagrams * end->run->opt->size);
}

int udp_server(struct end *end)
{
	const struct options *opt = end->run->opt;
	char *data = malloc((size_t)BATCH * PACKET_MAX);
	int fd = udp_socket(opt->burst > 1);
	struct epoll_event ev = {.events = EPOLLIN};
	struct loop loop;
	int r = loop_init(&loop);

	if (!data)
		return -ENOMEM;
	if (fd < 0 || r < 0)
		return fd < 0 ? fd : r;
	if (bind(fd, (const struct sockaddr *)&opt->backend, sizeof(opt->backend)))
		return -errno;
	if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	atomic_store(&end->ready, true);
	while (!run_stopping(end)) {
		if (epoll_wait(loop.epoll, &ev, 1, 20) > 0)
			server_turn(end, fd, data);
	}
	return 0;
}

// Fills the window of a flow, by whole bursts.
static void flow_send(struct flow *flow)
{
	const struct options *opt = flow->flows->end->run->opt;
	struct iovec iov = {.iov_base = flow->flows->packet,
			    .iov_len = (size_t)flow->flows->datagram * opt->burst};
	struct mmsghdr batch[BATCH];
	unsigned room = (opt->window - flow->outstanding) / opt->burst;
	int n;

	if (room > BATCH)
		room = BATCH;
	if (room == 0)
		return;
	for (unsigned i = 0; i < room; i++)
		batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	n = sendmmsg(flow->io.fd, batch, room, MSG_DONTWAIT);
	if (n > 0)
		flow->outstanding += (unsigned)n * opt->burst;
}

static void flow_ready(struct io *io, uint32_t events)
{
	struct flow *flow = (struct flow *)io;
	struct end *end = flow->flows->end;
	struct mmsghdr batch[BATCH];
	struct slot slots[BATCH];
	unsigned datagrams = 0, segment;
	char sink[BATCH];
	int n;

	batch_init(batch, slots, sink, 1);
	n = recvmmsg(io->fd, batch, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (int i = 0; i < n; i++)
		datagrams += message_count(&batch[i].msg_hdr, batch[i].msg_len, &segment);
	if (datagrams == 0)
		return;
	count_add(&end->ops_atomic, datagrams);
	count_add(&end->bytes_atomic, (uint64_t)datagrams * end->run->opt->size);
	flow->progress_at = now_ns();
	flow->outstanding -= datagrams < flow->outstanding ? datagrams : flow->outstanding;
	flow_send(flow);
}

static int flow_open(struct flow *flow)
{
	const struct options *opt = flow->flows->end->run->opt;
	struct sockaddr_in relay = opt->proxy;
	int datagram = (int)flow->flows->datagram;
	int fd = udp_socket(opt->burst > 1);

	flow->control = opt->via == VIA_SOCKS5 ? net_associate(opt, &relay) : -1;
	if (fd < 0)
		return fd;
	if (opt->via == VIA_SOCKS5 && flow->control < 0)
		return flow->control;
	if (connect(fd, (const struct sockaddr *)&relay, sizeof(relay)))
		return -errno;
	if (opt->burst > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &datagram, sizeof(datagram)))
		return -errno;
	flow->io = (struct io){.fd = fd, .ready = flow_ready};
	flow->progress_at = now_ns();
	return loop_add(&flow->flows->loop, &flow->io, EPOLLIN);
}

static int flows_init(struct flows *flows, struct end *end)
{
	const struct options *opt = end->run->opt;
	unsigned header = opt->via == VIA_SOCKS5 ? SOCKS_HEADER : 0;
	int r = loop_init(&flows->loop);

	flows->end = end;
	flows->datagram = opt->size + header;
	flows->list = calloc(opt->streams, sizeof(*flows->list));
	flows->packet = calloc(opt->burst, flows->datagram);
	if (r < 0 || !flows->list || !flows->packet)
		return r < 0 ? r : -ENOMEM;
	for (unsigned i = 0; header && i < opt->burst; i++) {
		char *packet = flows->packet + (size_t)i * flows->datagram;

		packet[3] = 1;
		memcpy(packet + 4, &opt->backend.sin_addr, 4);
		memcpy(packet + 8, &opt->backend.sin_port, 2);
	}
	for (unsigned i = 0; r >= 0 && i < opt->streams; i++) {
		flows->list[i].flows = flows;
		r = flow_open(&flows->list[i]);
	}
	return r;
}

// What did not come back within STALL_NS is given up, counted as errors, and sent anew.
static void flows_restart_stalled(struct flows *flows)
{
	struct end *end = flows->end;
	uint64_t now = now_ns();

	for (unsigned i = 0; i < end->run->opt->streams; i++) {
		struct flow *flow = &flows->list[i];

		if (flow->progress_at + STALL_NS > now)
			continue;
		count_add(&end->errors_atomic, flow->outstanding);
		flow->outstanding = 0;
		flow->progress_at = now;
		flow_send(flow);
	}
}

int udp_client(struct end *end)
{
	struct flows flows = {0};
	uint64_t checked_at = now_ns();
	int r = flows_init(&flows, end);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < end->run->opt->streams; i++)
		flow_send(&flows.list[i]);
	atomic_store(&end->ready, true);
	while (!run_stopping(end)) {
		loop_turn(&flows.loop, 5);
		if (now_ns() - checked_at > 5000000) {
			checked_at = now_ns();
			flows_restart_stalled(&flows);
		}
	}
	return 0;
}
