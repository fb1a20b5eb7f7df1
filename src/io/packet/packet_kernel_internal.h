// SPDX-License-Identifier: Apache-2.0
// What the kernel back end's files share.
#pragma once

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <urcu/compiler.h>

#include "io/packet/packet.h"
#include "io/packet/packet_domain.h"

enum {
	PACKET_KERNEL_IOVS = 512,         // of all messages of one call
	PACKET_KERNEL_STAGE = 128 * 1024, // bytes put together in one call
	// Up to so many bytes a segment that is reframed is copied together with its neighbours; above,
	// it gets an iovec, or two where there is a prefix. As bench/micro/bench_packet shows: copying
	// 700 bytes costs what an iovec does, and 1200 what two do.
	PACKET_KERNEL_COPIED_MAX = 704,
	PACKET_KERNEL_COPIED_MAX_PREFIXED = 1216,
};

struct packet_kernel {
	struct packet_port port;
	int fd;
	bool v6;
	uint16_t copied_max[2]; // PACKET_KERNEL_COPIED_MAX, _PREFIXED
	// Longest segment that is worth trying; shrinks when one does not fit the path.
	uint16_t gso_max;
};

union packet_name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

union packet_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) +
		      CMSG_SPACE(sizeof(int))];
};

// A message under construction or on its way out: a range of segments of the packets.
struct packet_message {
	unsigned first;    // index of the first packet
	uint32_t offset;   // of the first segment in it
	unsigned segments; // in all
};

// The arguments of the system calls: the same places each time, filled in anew where they change.
struct packet_kernel_scratch {
	struct mmsghdr rx[PACKET_BURST];
	struct iovec rx_iov[PACKET_BURST];
	union packet_name rx_name[PACKET_BURST];
	union packet_control rx_control[PACKET_BURST];
	struct packet_buffer *rx_buffer[PACKET_BURST]; // NULL: to be taken from the domain

	struct mmsghdr tx[PACKET_BURST];
	struct packet_message tx_message[PACKET_BURST];
	union packet_name tx_name[PACKET_BURST];
	union packet_control tx_control[PACKET_BURST];
	struct iovec tx_iov[PACKET_KERNEL_IOVS];
	uint8_t stage[PACKET_KERNEL_STAGE];
};

extern const struct packet_ops packet_kernel_ops;

static inline struct packet_kernel *packet_kernel_of(struct packet_port *port)
{
	return caa_container_of(port, struct packet_kernel, port);
}

bool packet_kernel_is_icmp(int error);
int packet_kernel_tx_burst(struct packet_port *port, struct packet *packets, unsigned n);
