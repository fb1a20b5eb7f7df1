// SPDX-License-Identifier: Apache-2.0
// What the files of the simulated network share.
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <urcu/compiler.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "base/rng.h"
#include "io/sim.h"

enum sim_kind {
	SIM_TCP,
	SIM_UDP,
	SIM_PIPE_OUT, // read end
	SIM_PIPE_IN,  // write end
	SIM_POLL,
	SIM_WAKE,
};

struct sim_file {
	uint8_t kind;               // enum sim_kind
	uint8_t side;               // enum sim_side
	int fd;                     // -1: closed, and living on
	struct cds_list_head items; // of polls that watch it
	sim_notify_fn *notify;
	void *notify_ctx;
	struct sim_event notify_event;
};

enum { SIM_FDS = 1 << 13, SIM_EVENTS = 1 << 18 };

struct sim {
	struct sim_config config;
	uint64_t now;
	int64_t wall_offset;
	uint64_t calls;
	enum sim_side side;
	unsigned depth; // events inside events
	struct rng rng; // the network's and the faults'
	struct rng script;
	struct sim_file **files[SIM_SIDES];
	unsigned open[SIM_SIDES];
	int lowest[SIM_SIDES]; // no descriptor below is free
	struct sim_event **heap;
	uint32_t heap_count;
	uint64_t sequence;
	unsigned on_the_way;
	uint64_t hash;
	struct cds_list_head sockets; // struct sim_tcp.node: all there ever were
	struct cds_list_head datagram_sockets;
	uint64_t datagrams_read[SIM_SIDES];
	uint16_t next_port;
};
extern struct sim sim;

// sim.c
// Memory until the next sim_begin. Not zeroed.
void *sim_alloc(size_t size);
// A power of two; given back by size.
void *sim_ring_alloc(size_t size);
void sim_ring_free(void *ring, size_t size);
bool sim_chance(uint32_t per_million);
// From 0 to max.
uint64_t sim_upto(uint64_t max);
int sim_install(struct sim_file *file, enum sim_kind kind); // a descriptor, or -EMFILE
// The file of a descriptor. A wrong one ends the schedule when it is the proxy's.
struct sim_file *sim_file(int fd);
struct sim_file *sim_file_of(int fd, enum sim_kind kind);
// Takes the descriptor away; the file may live on.
void sim_uninstall(struct sim_file *file);
// Runs the first event, whenever it is; false: there is none before `until`.
bool sim_run_one(uint64_t until);
// Before each call of the proxy: time passes, and what comes in meanwhile is in.
void sim_call(void);
void sim_result(const char *call, int fd, int64_t result);
// One of the errors that say that something has run out.
int sim_shortage(void);

// sim_poll.c
uint32_t sim_file_ready(struct sim_file *file);
// Something happened to the file: `events` came up.
void sim_wake(struct sim_file *file, uint32_t events);
void sim_unpoll(struct sim_file *file);
void sim_poll_close(struct sim_file *file);
uint32_t sim_poll_ready(struct sim_file *file);
uint32_t sim_wake_ready(struct sim_file *file);

// sim_tcp.c
int sim_tcp_new(int family);
uint32_t sim_tcp_ready(struct sim_file *file);
void sim_tcp_close(struct sim_file *file, bool abort);
int sim_tcp_bind(struct sim_file *file, const struct endpoint *to);
int sim_tcp_listen(struct sim_file *file, int backlog);
int sim_tcp_accept(struct sim_file *file, struct endpoint *ret_peer);
int sim_tcp_connect(struct sim_file *file, const struct endpoint *to);
int sim_tcp_error(struct sim_file *file); // and clears it
ssize_t sim_tcp_recv(struct sim_file *file, void *buf, size_t len);
ssize_t sim_tcp_sendv(struct sim_file *file, const struct iovec *iov, int iovcnt);
int sim_tcp_shutdown(struct sim_file *file, int how);
void sim_tcp_option(struct sim_file *file, int level, int name, int value);
int sim_tcp_name(struct sim_file *file, bool peer, struct endpoint *ret);
// For splice. What may be read now, as recv would give it (0, -EAGAIN, ...), without taking it; and how
// much send would take.
ssize_t sim_tcp_readable(struct sim_file *file);
void sim_tcp_take(struct sim_file *file, void *buf, size_t len);
ssize_t sim_tcp_writable(struct sim_file *file, size_t len);
void sim_tcp_put(struct sim_file *file, const void *data, size_t len);

// sim_pipe.c
int sim_pipe_new(int ret_fds[2], size_t size, size_t *ret_size);
void sim_pipe_close(struct sim_file *file);
uint32_t sim_pipe_ready(struct sim_file *file);
ssize_t sim_splice(struct sim_file *in, struct sim_file *out, size_t len);

// sim_udp.c
int sim_udp_new(int family);
uint32_t sim_udp_ready(struct sim_file *file);
void sim_udp_close(struct sim_file *file);
int sim_udp_bind(struct sim_file *file, const struct endpoint *to);
void sim_udp_option(struct sim_file *file, int level, int name, int value);
int sim_udp_connect(struct sim_file *file, const struct endpoint *to);
int sim_udp_name(struct sim_file *file, bool peer, struct endpoint *ret);
int sim_udp_error(struct sim_file *file);
int sim_udp_recvmmsg(struct sim_file *file, struct mmsghdr *msgs, unsigned n);
int sim_udp_sendmmsg(struct sim_file *file, struct mmsghdr *msgs, unsigned n);

// The next port that nobody has been given.
uint16_t sim_port(void);
