// SPDX-License-Identifier: Apache-2.0
// The simulated network: its clock, its peers, its faults. Programs that link it instead of the kernel's
// calls run the whole proxy from one seed.
//
// It is a small kernel in one thread. Two sides share it: the proxy, whose calls go through the faults
// and cost time, and the peers (clients and servers of a test), who use the same calls without either.
// Each side has descriptors of its own, numbered as the kernel does: the lowest free one is next.
//
// TCP behaves as in Linux where a program can tell: bounded buffers, EPOLLOUT only after a full one,
// edge-triggered readiness with the state as it is when it is fetched, half-close, a reset for data that
// nobody reads, what a reset leaves readable, urgent data, full listen queues. What a real network only
// does now and then happens often: bytes in small pieces, long delays, arrivals between any two calls.
//
// The clock stands still but for what calls cost, and jumps to the next event when the proxy waits.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct endpoint;
struct rng;

enum sim_side { SIM_PROXY, SIM_PEER, SIM_SIDES };

// What becomes of a connection to an address.
enum sim_fate {
	SIM_FATE_HOST,     // a host: it listens there, or refuses
	SIM_FATE_SILENT,   // no answer
	SIM_FATE_NO_ROUTE, // connect fails at once
	SIM_FATE_NO_HOST,  // it fails after a while
};

// Chances in a million, of each call of the proxy (or connection, or segment where said).
struct sim_faults {
	uint32_t socket, accept, connect, poll_add, pipe,
		option;                  // out of descriptors, memory, ports
	uint32_t pipe_size;              // the default instead
	uint32_t send_again, send_short; // no memory for a moment: writability comes back later
	uint32_t splice_short, splice_memory;
	uint32_t refuse;  // of a connection: refused though somebody listens
	uint32_t reset;   // of a connection: reset at both ends, some time
	uint32_t timeout; // of a connection: ETIMEDOUT at the proxy's end, some time
	uint32_t stall;   // of a segment: it and what follows come much later
	uint32_t late;    // of a wait: it ends some milliseconds late
	uint32_t datagram_loss, datagram_twice, datagram_late;
};

struct sim_config {
	uint64_t seed;
	struct sim_faults faults;
	uint32_t descriptors;              // of the proxy at most; 0: as many as it likes
	uint64_t latency_min, latency_max; // ns, one way; each connection has its own
	uint64_t jitter;                   // ns, most for a segment
	uint64_t rate_min, rate_max;       // bytes/s of a connection; 0: no bound
	uint32_t buffer_min, buffer_max;   // socket buffers, bytes
	uint32_t segment_max;              // bytes; pieces are 1 to so many
	uint32_t slot_max;                 // bytes that a pipe's slot holds, at most 4096
	uint32_t call_ns;                  // most that a call of the proxy costs
	bool shuffle;                      // readiness is reported in any order
	bool trace;                        // print every call and event
	// The fate of a connection from the proxy; NULL: all are hosts.
	enum sim_fate (*fate)(const struct endpoint *to);
	// The proxy waits, nothing is on the network, and the clock is about to go on to `until`.
	void (*quiet)(uint64_t until);
};

// A new universe; the old one is gone with all that was in it.
void sim_begin(const struct sim_config *config);
// The settings in force; they may be changed at any time.
struct sim_config *sim_config(void);
// Whose calls the next ones are; returns whose they were.
enum sim_side sim_enter(enum sim_side side);
// Numbers for peers and schedules, apart from those that the network draws.
struct rng *sim_rng(void);
// A number from min to max, the magnitudes evenly likely.
uint64_t sim_spread(struct rng *rng, uint64_t min, uint64_t max);

// Something that happens at a time. Embedded; zeroed is not set.
struct sim_event {
	uint64_t at, sequence;
	uint32_t place; // in the heap, + 1
	bool network;   // something is on its way
	void (*run)(struct sim_event *event);
};
void sim_event_set(struct sim_event *event, uint64_t at);
void sim_event_cancel(struct sim_event *event);
// Events of the network that are to come.
unsigned sim_on_the_way(void);
// Runs events up to that time and sets the clock to it: for tests without a loop.
void sim_run(uint64_t until);

// A peer is told (soon, not at once) that something happened to its socket: bytes, room, a connection, an
// end. At most once until it was told. The socket may be closed in there.
typedef void sim_notify_fn(void *ctx);
void sim_notify(int fd, sim_notify_fn *notify, void *ctx);
// The next byte that is written is urgent (MSG_OOB).
void sim_send_urgent(int fd, uint8_t byte);
// Sizes of a listening (for what it accepts) or fresh socket's buffers.
void sim_set_buffers(int fd, uint32_t send, uint32_t receive);

// Bytes of a socket: written by its owner, and read.
struct sim_counts {
	uint64_t written, read;
};
void sim_counts(int fd, struct sim_counts *ret_counts);

unsigned sim_open(enum sim_side side);
void sim_print_open(enum sim_side side, FILE *out);

// The trace: printed when the configuration says so, and summed up always.
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t sim_trace_hash(void);
// The simulation found something that must not be: prints it and ends the schedule (the handler does
// not return).
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void sim_on_fail(void (*handler)(void));
uint64_t sim_calls(void);
