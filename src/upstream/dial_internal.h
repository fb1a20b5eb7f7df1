// SPDX-License-Identifier: Apache-2.0
// What the files of dialling share: the dial itself, its race of addresses and its tunnel.
//
// dial.c owns the beginning and the end, dial_race.c brings a connection about, dial_tunnel.c talks
// over it: the handshake with a parent, then the PROXY header. Each calls the next by the functions
// below; any of them may end the dial, after which it must not be touched but for `ended`.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/host.h"
#include "io/loop.h"
#include "stream/stream.h"
#include "upstream/dial.h"
#include "upstream/resolver.h"

enum { RACE_FAMILY_MAX = DIAL_ADDRESSES_MAX / 2 };
_Static_assert(DIAL_TARGETS_MAX <= 64, "race.taken_set has a bit for each");

enum dial_phase {
	DIAL_RESOLVING,
	DIAL_CONNECTING,
	DIAL_PARENT,
	DIAL_PREAMBLE,
};

struct dial_attempt {
	struct dial *dial;
	struct stream *stream; // NULL: a free place
	struct endpoint to;
	uint64_t started;
	uint16_t host; // index in race.hosts
};

// The addresses of one family that the current host has.
struct race_family {
	struct resolver_wait wait; // wait.entry: an answer is still to come
	struct endpoint addresses[RACE_FAMILY_MAX];
	uint8_t count, next;
};

struct race {
	const struct host *hosts; // the dial's targets, or the parent
	uint16_t count;
	uint16_t first;            // where the rotation starts
	uint16_t taken;            // hosts brought in so far
	uint64_t taken_set;        // which ones: bit i is hosts[i]
	uint16_t current;          // index of the one last brought in
	bool last_was_v6;          // of the last attempt: the other family is next
	bool permit;               // ask before connecting
	struct race_family v4, v6; // of the current host
	uint64_t gate;             // IPv4 waits for a late AAAA until then; 0: it does not wait
	uint64_t resolve_deadline; // of the current host
	uint64_t next_attempt;     // when another address may join those in flight
	uint64_t next_host;        // when another host may
	uint8_t in_flight;
	struct dial_attempt attempts[DIAL_ATTEMPTS_MAX];
};

struct dial_tunnel; // dial_tunnel.c

struct dial {
	struct dialer *dialer;
	struct dial **slot;
	struct timer timer;
	struct task task; // reports a failure that came up in dial_start
	struct deferred deferred;

	// From the request.
	void *owner;
	dial_permit_fn *permit;
	dial_done_fn *done;
	uint64_t resolve_ns, connect_ns;
	struct endpoint source4, source6;
	struct endpoint client, local;
	uint8_t send_proxy; // enum snap_send_proxy
	bool parent_plain;

	struct host *targets; // &target, or an array on the heap
	uint16_t target_count;
	uint16_t target; // the one that counts: taken, or tried last

	uint8_t phase; // enum dial_phase
	bool starting; // inside dial_start: `done` must wait
	bool ended;
	bool plain;
	uint64_t parent_id; // 0: direct
	uint8_t reason;     // enum close_reason: the most telling failure so far
	int error;
	uint16_t parent_status;
	uint16_t attempts;
	struct endpoint peer;
	uint64_t started;
	uint64_t resolved;        // when the first address was known; 0: nothing had to be resolved
	uint64_t connect_started; // 0: not yet
	uint64_t connect_deadline; // UINT64_MAX: none

	struct race race;
	struct stream *stream;      // connected: in the tunnel's phases
	struct dial_tunnel *tunnel; // NULL: nothing to say before the caller does

	struct host single;
};

// dial.c
// Remembers a failure if it tells more than the ones before.
void dial_failed(struct dial *dial, enum close_reason reason, int error);
// Reports the remembered failure (at the end of the turn when inside dial_start).
void dial_give_up(struct dial *dial);
// The stream is ready for the caller; `early` may be empty.
void dial_succeed(struct dial *dial, struct stream *stream, struct slice early);
enum close_reason dial_reason_of(int error, int family);

// dial_race.c
// Sets out for the hosts; the race ends in dial_connected or dial_give_up.
void race_begin(struct dial *dial, const struct host *hosts, uint16_t count, uint16_t first,
		bool permit);
// Cancels what it waits for and closes what is in flight.
void race_end(struct dial *dial);
void race_timer(struct dial *dial);

// dial_tunnel.c
// A parent to go through: copied. -ENOMEM.
int tunnel_set_parent(struct dial *dial, const struct snap_parent *parent);
// A PROXY header to send. -ENOMEM.
int tunnel_set_preamble(struct dial *dial);
// Sets out for the parent, with the dial's targets as destinations.
void tunnel_begin(struct dial *dial);
// Sets out for the parent, with this permitted address of the current target as destination.
void tunnel_divert(struct dial *dial, const struct endpoint *to);
// A connection stands: go on with the handshake, the header, or the end.
void tunnel_connected(struct dial *dial, struct stream *stream);
void tunnel_timer(struct dial *dial);
void tunnel_free(struct dial_tunnel *tunnel);
