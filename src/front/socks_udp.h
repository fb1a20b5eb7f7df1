// SPDX-License-Identifier: Apache-2.0
// What the files of UDP ASSOCIATE share: the association, and the names that its client sends to.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "base/host.h"
#include "obs/close_reason.h"
#include "proto/socks/socks_udp.h"
#include "relay/datagram.h"
#include "upstream/resolver.h"

struct socks;
struct socks_udp;

enum {
	UDP_NAMES_MAX = 64,   // names of one association; one more takes the place of the oldest
	UDP_PENDING_MAX = 16, // packets that wait for one name
	UDP_PENDING_BYTES = 96 * 1024, // of one association
	UDP_PENDING_ALL = 8 << 20,     // of a worker
};
// How long a decision is relied on when no new configuration comes: rules may have time windows.
#define UDP_DECISION_NS 5000000000ULL

// A packet that waits for its name: a copy, with its headers.
struct udp_pending {
	struct cds_list_head node;
	uint64_t since; // ns
	uint32_t len;
	uint16_t segment, skip;
	uint8_t data[];
};

// A destination that the client names. Peers that it stands for refer to it: they are judged by the
// name as well.
struct udp_name {
	struct cds_list_head recent; // in udp->names
	struct socks_udp *udp;
	uint32_t refs; // the association's, as long as it is in names, and its peers'
	bool listed;
	struct host host;
	struct resolver_wait wait4, wait6;
	struct endpoint found[2][RESOLVER_ADDRESSES_MAX]; // IPv4, IPv6
	uint8_t found_count[2];
	struct endpoint address; // the one taken; unset: none yet
	struct datagram_verdict verdict;
	uint64_t expires; // ns: when to look it up again
	struct cds_list_head pending;
	uint8_t pending_count;
};

struct socks_udp {
	struct datagram datagram;
	struct socks *socks;
	struct deferred deferred;
	struct endpoint bound; // where the client sends to
	struct cds_list_head names;
	uint32_t name_count;
	uint32_t pending_bytes;
	// The header of the last datagram that was let through, and where it went.
	uint8_t header[SOCKS_UDP_HEADER_MAX];
	uint16_t header_len; // 0: none
	struct datagram_peer *peer;
	struct udp_name *name; // of that header; NULL: an address
	bool named;            // the session's destination is set
};

// A destination's verdict that still holds?
bool udp_verdict_holds(const struct socks_udp *udp, const struct datagram_verdict *verdict);
// Decides about an address, or an address of a name, and remembers.
enum close_reason udp_decide(struct socks_udp *udp, const struct host *host,
			     const struct endpoint *address, struct datagram_verdict *verdict);
// The peer with everything that its answers need. NULL: no memory.
struct datagram_peer *udp_peer(struct socks_udp *udp, const struct endpoint *address);
void udp_send(struct socks_udp *udp, struct packet *packet, struct datagram_peer *peer,
	      struct udp_name *name, const struct host *host);

// Sends to a name (host->kind is HOST_NAME), now or when it is resolved; owns the packet. Returns the
// name if the packet is on its way, so that the same header can take the short way next time.
struct udp_name *udp_name_send(struct socks_udp *udp, const struct host *host,
			       struct packet *packet);
bool udp_name_fresh(const struct udp_name *name);
void udp_name_unref(struct udp_name *name);
// Forgets all names and drops what waits.
void udp_names_release(struct socks_udp *udp);
