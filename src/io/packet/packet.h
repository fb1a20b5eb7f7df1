// SPDX-License-Identifier: Apache-2.0
// Datagrams in and out: bursts of packet descriptors over one interface for every back end.
//
// A port is one way to the network: a kernel UDP socket (packet_kernel.h). AF_XDP and PF_RING
// queues fit the same table. Buffers come from one domain per worker, which all of its ports share,
// so that a packet received on one port is sent on another without a copy of ours.
//
// Ownership: packet_rx_burst gives packets whose buffers are the caller's; each is given back by
// packet_free, or handed on by packet_tx_burst. A packet that is sent piece by piece (several
// descriptors into one buffer) is packet_share()d first, once for each further piece.
//
// Everything belongs to the domain's thread: the worker's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct packet_domain;
struct packet_port;

#define PACKET_BURST 32         // most packets of one burst
#define PACKET_DATA_MAX 65535   // bytes that a buffer takes behind its headroom
#define PACKET_HEADROOM 64      // bytes in front of a packet as it is received
#define PACKET_SEGMENTS_MAX 64  // datagrams of one packet
#define PACKET_UDP_MAX_V4 65507 // largest payload of one datagram
#define PACKET_UDP_MAX_V6 65527
#define PACKET_PREFIX_MAX 64

struct packet_buffer {
	struct packet_domain *domain;
	struct packet_buffer *next; // free list
	uint32_t refs;
};

/*
 * One datagram, or a run of datagrams with the same addresses that lie one behind the other: all
 * but the last are `segment` bytes long, the last may be shorter (what UDP_GRO gives and
 * UDP_SEGMENT takes).
 *
 * For sending, the run may be reframed on the way: of each datagram the first `skip` bytes are left
 * out, and `prefix` is put in front. How that is done best is the back end's business.
 */
struct packet {
	uint8_t *data;
	uint32_t len;      // of all datagrams together
	uint16_t segment;  // 0: one datagram of `len` bytes
	uint16_t headroom; // writable bytes before data
	// Received: who sent it. To send: to whom; unset on a connected port.
	struct endpoint peer;
	// Received: to which of our addresses (PACKET_WANT_LOCAL), else unset. To send: from which;
	// unset: the kernel's choice. The port is not looked at.
	struct endpoint local;
	struct packet_buffer *buffer; // NULL when data is not of the domain (and outlives the call)
	uint64_t cookie;              // the caller's
	const uint8_t *prefix;        // outlives the call
	uint16_t skip, prefix_len;
	uint8_t ecn;    // the two bits (RFC 3168): received with PACKET_WANT_ECN; sent if not 0
	uint8_t port;   // packet_port.number of the port that received it
	bool truncated; // received: the datagram was longer than its buffer
	// After packet_tx_burst: 0, or the negative errno of what could not be sent; and what was sent,
	// in datagrams and in bytes without the prefixes.
	int16_t error;
	uint16_t sent;
	uint32_t sent_bytes;
};

static inline unsigned packet_count(const struct packet *packet)
{
	return packet->segment && packet->len > packet->segment
		       ? (packet->len + packet->segment - 1) / packet->segment
		       : 1;
}
// Bytes that a packet to send is worth on the wire, without the prefixes: what was received less
// what is skipped.
static inline uint32_t packet_payload(const struct packet *packet)
{
	return packet->len - packet_count(packet) * packet->skip;
}

enum packet_caps {
	PACKET_CAN_GRO = 1 << 0, // rx_burst may give runs
	PACKET_CAN_GSO = 1 << 1, // runs go out in one piece; else one by one, which costs more
	PACKET_HAS_FD = 1 << 2,  // readiness can be waited for
	PACKET_IS_L2 = 1 << 3,   // data are whole frames
	PACKET_CHECKSUM = 1 << 4 // the back end fills in and checks checksums
};

enum packet_want {
	PACKET_WANT_LOCAL = 1 << 0, // IP_PKTINFO: packet.local is filled in
	PACKET_WANT_ECN = 1 << 1,
};

// Counted since the port was opened, in datagrams.
struct packet_stats {
	uint64_t received, received_bytes;
	uint64_t sent, sent_bytes;
	uint64_t truncated;  // received longer than the buffer
	uint64_t refused;    // ICMP said that nobody listens there; the error was swallowed
	uint64_t too_large;  // EMSGSIZE
	uint64_t failed;     // other errors of sending
	uint64_t overflowed; // lost because the socket's or ring's queue was full
	uint64_t bursts_in, bursts_out, messages_in,
		messages_out; // system's units: calls, messages
};

struct packet_ops {
	const char *name;
	// See the functions below.
	int (*rx_burst)(struct packet_port *port, struct packet *ret_packets, unsigned n);
	int (*tx_burst)(struct packet_port *port, struct packet *packets, unsigned n);
	int (*flush)(struct packet_port *port);
	int (*fd)(const struct packet_port *port);
	bool (*arm)(struct packet_port *port);
	void (*stats)(const struct packet_port *port, struct packet_stats *ret_stats);
	void (*close)(struct packet_port *port);
};

struct packet_port {
	const struct packet_ops *ops;
	struct packet_domain *domain;
	struct packet_stats counts;
	uint8_t caps;   // enum packet_caps
	uint8_t number; // the caller's, shown in packet.port
};

// `count` buffers of PACKET_HEADROOM + PACKET_DATA_MAX bytes; memory is touched as it is used. At
// least 2 * PACKET_BURST. NULL: no memory.
struct packet_domain *packet_domain_new(unsigned count);
// Ports are closed and packets given back before. NULL is fine.
void packet_domain_free(struct packet_domain *domain);
// Buffers that nobody holds.
unsigned packet_domain_idle(const struct packet_domain *domain);

// An empty packet with a buffer of the domain: data is set, len 0. -ENOBUFS: all are in use.
int packet_alloc(struct packet_domain *domain, struct packet *ret_packet);
// One more descriptor names the packet's buffer.
static inline void packet_share(const struct packet *packet)
{
	if (packet->buffer)
		packet->buffer->refs++;
}
void packet_buffer_free(struct packet_buffer *buffer);
// Gives the buffer back when no other descriptor names it.
static inline void packet_free(struct packet *packet)
{
	if (packet->buffer && --packet->buffer->refs == 0)
		packet_buffer_free(packet->buffer);
	packet->buffer = NULL;
}

// Receives up to n packets (PACKET_BURST at most). Returns how many; less than n says that nothing
// more was there. -EAGAIN: nothing. -ENOBUFS: the domain is used up. Other errors are the port's
// end. Errors of earlier sends (ICMP) are counted and swallowed.
static inline int packet_rx_burst(struct packet_port *port, struct packet *ret_packets, unsigned n)
{
	return port->ops->rx_burst(port, ret_packets, n);
}
/*
 * Sends the first k of n packets and returns k: less than n when there was no room for more, which
 * the caller may drop or try again. Of the k taken each buffer is given back, and the outcome is in
 * `error`, `sent` and `sent_bytes`: one that cannot be sent (too large, unreachable, forbidden) does
 * not hold up those behind it. A run for whose end there is no room is taken, with -EAGAIN.
 *
 * Neighbours that are alike (peer, local, ecn, length) may go out together.
 */
static inline int packet_tx_burst(struct packet_port *port, struct packet *packets, unsigned n)
{
	return port->ops->tx_burst(port, packets, n);
}
// Makes sure that what tx_burst took is on its way, and takes back buffers that were sent.
static inline int packet_flush(struct packet_port *port)
{
	return port->ops->flush ? port->ops->flush(port) : 0;
}
// To be watched for input, edge-triggered; -1: there is none, poll.
static inline int packet_fd(const struct packet_port *port)
{
	return port->ops->fd(port);
}
// Asks to be told by the descriptor of what comes next. False: call rx_burst again instead (there is
// something already, or the back end must be polled).
static inline bool packet_arm(struct packet_port *port)
{
	return !port->ops->arm || port->ops->arm(port);
}
static inline void packet_stats(const struct packet_port *port, struct packet_stats *ret_stats)
{
	port->ops->stats(port, ret_stats);
}
// Frees the port. Its watch must be gone. NULL is fine.
static inline void packet_close(struct packet_port *port)
{
	if (port)
		port->ops->close(port);
}
