// SPDX-License-Identifier: Apache-2.0
// Relays datagrams between one client and many destinations: an association.
//
// The front says what a client's datagram means (where to, what of it is payload) and who may talk
// to whom; here are the sockets, the bursts, the peers, the limits and the counts. Towards the
// client there is one port, towards the destinations one for each IP version, opened when first
// needed.
//
// An answer is relayed only from an address (with its port) to which the client has sent within
// the idle time, and as long as the front allows it. Nothing is queued: what the kernel does not
// take at once, and what is above a rate limit, is dropped and counted.
//
// One thread: the worker's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/pool.h"
#include "io/loop.h"
#include "io/packet/packet.h"
#include "obs/close_reason.h"
#include "obs/metrics.h"
#include "policy/bucket.h"
#include "relay/datagram_peers.h"

struct account;
struct datagram;

enum datagram_direction { DATAGRAM_UP, DATAGRAM_DOWN };

#define DATAGRAM_BATCH 64

// What all associations of a worker share.
struct datagram_env {
	struct loop *loop;
	unsigned worker; // number, for per-worker counters
	struct metrics *metrics;
	struct packet_domain *domain; // NULL until the first association
	struct pool peers;
	// Packets on their way to one port; empty between events.
	struct packet batch[DATAGRAM_BATCH];
	unsigned batched;
	enum datagram_direction batch_direction;
	struct packet_port *batch_port;
};

struct datagram_ops {
	// A packet came from the client (or, before datagram_fix_client, from its address): calls
	// datagram_send for what is to be sent of it, datagram_drop for the rest. Owns the packet.
	void (*input)(struct datagram *d, struct packet *packet);
	// May this peer's answers pass, as the front sees it now?
	bool (*allowed)(struct datagram *d, struct datagram_peer *peer);
	// The peer is about to be freed.
	void (*forget)(struct datagram *d, struct datagram_peer *peer);
	// So much was relayed.
	void (*moved)(struct datagram *d, enum datagram_direction direction, uint64_t datagrams,
		      uint64_t bytes);
	// Its time is over (CLOSE_IDLE_TIMEOUT, CLOSE_TOTAL_TIMEOUT) or its socket broke: the front
	// is to call datagram_close.
	void (*over)(struct datagram *d, enum close_reason reason);
};

struct datagram_side {
	struct packet_port *port; // NULL: not opened
	struct watch watch;
	struct datagram *datagram;
	bool more; // to be read on in the next turn
};

struct datagram {
	struct datagram_env *env;
	const struct datagram_ops *ops;
	struct datagram_side client, up4, up6;
	struct endpoint peer; // the client; its port is 0 until it is known
	bool connected;       // the client's port hears and speaks to `peer` alone
	struct datagram_peers peers;
	struct account *account[2];       // user, address: borrowed; may be NULL
	struct bucket_claim claims[2][2]; // by direction; see account_claims
	bool limited[2];
	uint64_t idle_ns;  // without a datagram in either direction, and for answers; 0: no limit
	uint64_t deadline; // ns, absolute; UINT64_MAX: none
	uint64_t active;   // ns: when a datagram was last relayed
	struct timer timer;
	struct task task;
	bool open;
};

void datagram_env_init(struct datagram_env *env, struct loop *loop, unsigned worker,
		       struct metrics *metrics);
void datagram_env_release(struct datagram_env *env);

/*
 * Opens the client's port on `local` (its port is not looked at) and waits for datagrams from
 * `client`; a port of 0 there is learned by datagram_fix_client. Fields to set before: env, ops,
 * account, idle_ns, deadline; the rest zero. `ret_bound`: where the client shall send to.
 * -EMFILE, -ENFILE, -ENOMEM, -EADDRNOTAVAIL, -EADDRINUSE, ...: nothing is held.
 */
int datagram_open(struct datagram *d, const struct endpoint *local, const struct endpoint *client,
		  struct endpoint *ret_bound);
// Closes the sockets and forgets the peers. The struct must live until the end of the turn.
// Idempotent, and fine after a failed open.
void datagram_close(struct datagram *d);

// Changes the idle time and the deadline while it runs.
void datagram_times(struct datagram *d, uint64_t idle_ns, uint64_t deadline);
// Sets or, with none limited, removes the rate limits; also while it runs.
void datagram_limit(struct datagram *d, const struct bucket_claim up[2],
		    const struct bucket_claim down[2]);

// From now on the client is this endpoint and no other.
void datagram_fix_client(struct datagram *d, const struct endpoint *client);
static inline bool datagram_client_known(const struct datagram *d)
{
	return d->peer.port != 0;
}

// Sends a packet (data, len, segment, skip, buffer set) to a peer: takes one share of the buffer.
// Returns the datagrams that the limits let through; whether they went out is told by `moved`.
unsigned datagram_send(struct datagram *d, struct packet *packet, struct datagram_peer *peer);
// Sends what was batched: before memory that is not of the domain is freed. Done by itself after
// ops->input.
void datagram_flush(struct datagram *d);
// Counts datagrams as dropped.
static inline void datagram_drop(struct datagram *d, enum metric_datagram_drop why, uint64_t count)
{
	metric_add(&d->env->metrics->datagrams_dropped[why], count);
}
