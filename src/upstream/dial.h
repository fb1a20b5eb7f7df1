// SPDX-License-Identifier: Apache-2.0
// One attempt to reach a destination: resolve, permit, connect (Happy Eyeballs), parent, PROXY
// header.
//
// A worker has one dialer; everything here belongs to its loop's thread. A dial ends in exactly one
// call of `done`, unless it was cancelled before; `done` is never called from inside dial_start. It
// frees itself. Nothing of the snapshot is kept: the request's pointers need to live only until
// dial_start returns.
//
// What happens, in order:
// - Direct (no parent): each name is resolved; AAAA and A run side by side, a late AAAA is waited
//   for 50 ms (RFC 8305, 3). Addresses alternate between the families, IPv6 first; one is started
//   each 250 ms, or at once when the last one failed; the first that connects wins, the others are
//   closed (RFC 8305, 4 and 5). `permit` is asked for every address right before it is connected.
//   The addresses of one family are taken in rotation, those that failed in the last ten seconds
//   last (dial_memory.h); where IPv6 has no way out, IPv4 goes first (RFC 6724, rule 1).
// - A list of targets is taken in rotation, targets that failed lately last. The next target comes in as soon as all addresses of
//   the ones before failed, or after DIAL_TARGET_DELAY_NS without a connection.
// - With a parent, the parent is resolved and connected in the same way, but without `permit`: it
// is
//   the operator's choice. It gets the destination unresolved. `permit` is asked for a destination
//   that is an address.
// - With send_proxy, the header goes ahead of everything else, to the destination (so through the
//   parent's tunnel).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slice.h"
#include "obs/close_reason.h"
#include "snap/route.h"
#include "upstream/dial_memory.h"

struct dial;
struct host;
struct loop;
struct metrics;
struct resolver;
struct stream;

#define DIAL_TARGETS_MAX 64                  // of a request; more are not looked at
#define DIAL_ADDRESSES_MAX 16                // of one target; more are not tried
#define DIAL_ATTEMPTS_MAX 6                  // connects in flight of one dial
#define DIAL_ATTEMPT_DELAY_NS 250000000ULL   // RFC 8305, 5
#define DIAL_RESOLUTION_DELAY_NS 50000000ULL // RFC 8305, 3
#define DIAL_TARGET_DELAY_NS 1000000000ULL

struct dialer {
	struct loop *loop;
	struct resolver *resolver; // NULL: names fail with CLOSE_RESOLVE_FAILED
	struct metrics *metrics;   // NULL: nothing is counted
	uint32_t live;
	uint16_t turns[256]; // rotation of target lists, by a hash of the list
	uint32_t answers;    // rotation of the addresses of a name
	struct dial_memory memory;
};

// What became of a dial. Valid only during the call of `done`.
struct dial_result {
	enum close_reason reason; // CLOSE_NONE: connected. Else the most telling failure
	int error;                // the negative errno behind it, or 0
	// The caller's from here on; NULL unless connected. on_ready is not set, the ready bits
	// are.
	struct stream *stream;
	struct endpoint
		peer;        // what was connected to (the parent, when there is one), or tried last
	struct host *target; // the destination that was taken (of a list: which one)
	uint64_t parent_id;  // snap_parent.id of the parent taken, 0: direct
	bool plain;          // connected to an HTTP parent without a tunnel (request.parent_plain)
	uint16_t parent_status; // HTTP status or SOCKS reply code of a parent that refused, else 0
	uint16_t attempts;      // connects started
	uint64_t resolve_ns;    // from the start to the first address; 0 when nothing was resolved
	uint64_t connect_ns;    // from the first connect to here, the parent's handshake included
	// What the peer sent behind the parent's reply: the first bytes of the stream, already
	// read.
	struct slice early;
};

/*
 * May this address be connected? CLOSE_NONE: yes; else the reason, usually CLOSE_ACL_DENIED,
 * CLOSE_LOCAL_DESTINATION_DENIED or CLOSE_ADMIN_DESTINATION_DENIED: the address is skipped, and the
 * reason is the dial's when nothing else can be reached either. `address` has its port.
 *
 * A rule may send the address through a parent: then *ret_parent is set (it is NULL before; not
 * asked for when the dial has a parent already). The dial commits itself to that parent and gives
 * it this address. Must not start, cancel or close anything.
 */
typedef enum close_reason dial_permit_fn(void *owner, const struct endpoint *address,
					 const struct snap_parent **ret_parent);
typedef void dial_done_fn(struct loop *loop, void *owner, const struct dial_result *result);

struct dial_request {
	// One destination, or a fixed list (then `host` is NULL).
	const struct host *host;
	const struct snap_target *targets;
	uint32_t target_count;

	const struct snap_parent *parent; // NULL: direct
	// The caller can send requests in absolute-form itself: an HTTP parent, given here or by
	// `permit`, is only connected to, without asking for a tunnel (result.plain says so).
	// Without effect on SOCKS parents and with send_proxy.
	bool parent_plain;

	enum snap_send_proxy send_proxy;
	struct endpoint
		client; // for the PROXY header: who connected to us; unset gives UNKNOWN/LOCAL
	struct endpoint local; // and where it connected to

	// Local addresses to connect from, by family; unset: the kernel's choice. When just one is
	// set, the other family is still used.
	struct endpoint source4, source6;

	uint64_t resolve_ns; // time for resolving; 0: bounded by the resolver only
	uint64_t
		connect_ns; // time for connecting, all attempts and the parent's handshake; 0: none

	void *owner;
	dial_permit_fn *permit; // NULL: everything may be connected
	dial_done_fn *done;     // never NULL
};

void dialer_init(struct dialer *dialer, struct loop *loop, struct resolver *resolver,
		 struct metrics *metrics);
// Every dial must have ended or been cancelled; it may be in the same turn.
void dialer_release(struct dialer *dialer);

// Starts. `*slot` points at the dial until it ends or is cancelled, then it is NULL again (before
// `done` is called), so its place must live as long. -ENOMEM; -EINVAL: no destination.
int dial_start(struct dialer *dialer, const struct dial_request *request, struct dial **slot);

// Ends it without `done`; connections under way are closed. NULL is fine; twice is fine through the
// slot.
void dial_cancel(struct dial *dial);

// "resolving", "connecting", "parent", "preamble": for the table of live connections.
const char *dial_phase(const struct dial *dial);
