// SPDX-License-Identifier: Apache-2.0
// What one worker needs to serve clients: its sessions and the contexts that they use.
//
// `struct front` belongs to its worker's thread. `struct front_shared` is one for the process; its
// members lock or publish for themselves.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <urcu/list.h>

#include "base/pool.h"
#include "io/loop.h"
#include "relay/datagram.h"
#include "relay/relay.h"

struct accounts;
struct authcache;
struct dialer;
struct flight;
struct helper;
struct metrics;
struct snap;
struct throttle;
struct conn_pool;

enum { FRONT_SCRATCH = 96 * 1024 };

struct front_shared {
	struct snap *snap_rcu; // the snapshot in force; published by control
	struct accounts *accounts;
	struct throttle *throttle;
	struct authcache *authcache;
	struct helper *helper;
	_Atomic uint32_t live_atomic; // sessions of all workers
	_Atomic uint64_t next_id_atomic;
	_Atomic bool draining_atomic;
};

struct front {
	struct loop *loop;
	unsigned worker; // number
	struct front_shared *shared;
	struct relay_env relay;
	struct datagram_env datagrams;
	uint32_t udp_pending_bytes; // of datagrams that wait for names
	struct dialer *dialer;
	struct conn_pool *pool;
	struct metrics *metrics;
	struct flight *flight;
	struct pool sessions_pool;
	struct cds_list_head sessions; // struct session, oldest first
	struct cds_list_head *walk;    // the next of a walk through them that rests; NULL: none
	uint8_t *scratch;              // FRONT_SCRATCH bytes, for a message being written
	uint32_t live;
};

// The contexts it points to are the caller's and outlive it. -ENOMEM.
int front_init(struct front *front, struct loop *loop, unsigned worker, struct metrics *metrics,
	       struct front_shared *shared);
// Closes every session. On the worker's own thread when it has one: sessions belong to it.
void front_close_all(struct front *front);
// What is left is closed too.
void front_release(struct front *front);

// The snapshot in force. Valid until the end of the loop's turn.
const struct snap *front_snap(const struct front *front);

// Whether the proxy is draining: connections end after what they are at.
bool front_draining(const struct front *front);

// Takes an accepted socket; always takes ownership of it.
void front_accept(struct front *front, uint64_t listener_id, int fd, const struct sockaddr *peer);

// Takes over the settings of the snapshot in force.
void front_configure(struct front *front);

// After a new snapshot was published: ends the sessions that it no longer allows, and renews limits.
void front_revalidate(struct front *front);

// Ends idle keep-alive connections and silent clients, lets the others finish.
void front_drain(struct front *front);
