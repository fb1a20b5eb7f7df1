// SPDX-License-Identifier: Apache-2.0
// Those with whom one datagram association talks: a bounded table with the longest unused thrown out.
//
// One thread: the worker's.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/hlist.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "base/pool.h"

struct datagram_peer;

// Most peers of one association. One more takes the place of the one that was sent to longest ago,
// whose answers are then foreign.
#define DATAGRAM_PEERS_MAX 1024
#define DATAGRAM_PREFIX_MAX 24

// A decision of the front's about a peer, as long as it may be relied on.
struct datagram_verdict {
	uint64_t generation; // of what it was decided by; 0: not decided
	uint64_t until;      // ns
	uint8_t reason;      // enum close_reason; CLOSE_NONE: allowed
};

struct datagram_peer {
	struct cds_hlist_node node;
	struct cds_list_head recent; // most recently sent to first
	struct endpoint address;
	uint64_t sent_at; // ns: when the client last sent to it; 0: never
	// The front's: what goes in front of each datagram from this peer to the client, and what
	// it decided. `up` holds for datagrams that name the peer by this address, `down` for its
	// answers.
	uint8_t prefix[DATAGRAM_PREFIX_MAX];
	uint8_t prefix_len;
	struct datagram_verdict up, down;
	void *named;
};

struct datagram_peers {
	struct pool *pool; // of struct datagram_peer
	struct cds_hlist_head *buckets;
	struct cds_hlist_head few[8]; // the buckets of a small table
	uint32_t mask, count, limit;
	struct cds_list_head recent;
	struct datagram_peer *last; // found or added last
	// A peer is about to be freed: the front lets go of `named`, and of pointers to it.
	void (*forget)(struct datagram_peers *peers, struct datagram_peer *peer);
	uint64_t evicted;
};

// `limit`: DATAGRAM_PEERS_MAX, or less in tests.
void datagram_peers_init(struct datagram_peers *peers, struct pool *pool, uint32_t limit,
			 void (*forget)(struct datagram_peers *, struct datagram_peer *));
void datagram_peers_release(struct datagram_peers *peers);
// NULL: unknown.
struct datagram_peer *datagram_peers_find(struct datagram_peers *peers,
					  const struct endpoint *address);
// Finds or adds; a new one is zero but for its address, and first to be thrown out. NULL: no memory.
struct datagram_peer *datagram_peers_get(struct datagram_peers *peers,
					 const struct endpoint *address);
// The client sends to it.
static inline void datagram_peers_touch(struct datagram_peers *peers, struct datagram_peer *peer,
					uint64_t now)
{
	peer->sent_at = now;
	if (peers->recent.next != &peer->recent) {
		cds_list_del(&peer->recent);
		cds_list_add(&peer->recent, &peers->recent);
	}
}
