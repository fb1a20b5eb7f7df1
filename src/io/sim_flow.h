// SPDX-License-Identifier: Apache-2.0
// Simulated TCP: a socket, and the bytes that flow from one to the other.
#pragma once

#include "io/sim_internal.h"

enum { FLOW_SEGMENTS = 32 };
#define FLOW_NO_URGENT UINT64_MAX

enum segment_end { SEGMENT_MORE, SEGMENT_FIN, SEGMENT_RST };

// From one socket to its peer. Positions count bytes since the beginning.
struct sim_flow {
	struct sim_tcp *from, *to;
	uint8_t *ring;
	uint32_t size;           // of the ring: a power of two, at least both buffers
	uint32_t sndbuf, rcvbuf; // of sender and receiver
	uint64_t read, arrived;  // what the receiver took, and has
	uint64_t sent, written;  // what is under way or there, and what the sender gave
	uint64_t acked, window;  // what the sender knows: arrived, and where it must stop
	uint64_t urgent;         // of a byte that recv leaves out
	bool fin, fin_sent;      // the sender's end
	bool over;               // nothing moves any more
	bool ending;             // its last segment was sent
	struct {
		uint64_t at, upto;
		enum segment_end end;
	} segments[FLOW_SEGMENTS]; // under way, a ring
	unsigned first, count;
	struct sim_event arrive, ack;
	uint64_t latest;        // arrival of the last one
	uint64_t latency, rate; // ns; bytes/s, 0: no bound
	uint32_t segment;       // bytes at most
};

enum tcp_state { TCP_FRESH, TCP_LISTENING, TCP_CONNECTING, TCP_CONNECTED, TCP_GONE };

struct sim_tcp {
	struct sim_file file;      // first
	struct cds_list_head node; // sim.sockets
	uint8_t state;             // enum tcp_state
	uint8_t side;
	int family;
	int error; // SO_ERROR, positive
	bool read_shut, write_shut;
	bool done;     // the peer's end has arrived
	bool no_space; // a writer waits for room
	bool orphan;   // closed, and what was written is still to go
	bool accepted; // by the proxy
	bool share, only6, bound;
	struct endpoint local, peer;
	uint32_t sndbuf, rcvbuf; // 0: drawn
	struct sim_flow *out, *in;
	struct sim_event timer; // connecting, or later the network's own faults
	struct sim_event room;  // a send that found no memory may try again
	unsigned tries;
	int fault;               // what the timer brings to a connection
	struct sim_tcp *partner; // while connecting: who will be accepted
	// Listening.
	unsigned backlog, queued;
	struct cds_list_head queue; // of sim_tcp.queue_node
	struct cds_list_head queue_node;
	struct sim_tcp *listener; // while queued
};

static inline struct sim_tcp *tcp_of(struct sim_file *file)
{
	return caa_container_of(file, struct sim_tcp, file);
}

// sim_flow.c
struct sim_flow *flow_new(struct sim_tcp *from, struct sim_tcp *to, uint64_t latency);
// Sends what may be sent.
void flow_push(struct sim_flow *flow);
// A reset: what was not sent is lost.
void flow_reset(struct sim_flow *flow);
void flow_free(struct sim_flow *flow);
uint64_t flow_available(const struct sim_flow *flow);
void flow_copy(const struct sim_flow *flow, void *buf, size_t len);
// The receiver took so many bytes.
void flow_took(struct sim_flow *flow, size_t len);
void flow_write(struct sim_flow *flow, const void *data, size_t len);
uint64_t flow_room(const struct sim_flow *flow);
bool flow_writable(const struct sim_flow *flow);

// sim_tcp.c
// A reset has come in; or the network gave up, with that error.
void tcp_broken(struct sim_tcp *tcp, int error);
// What came in changed the state of a connection.
void tcp_settled(struct sim_tcp *tcp);
