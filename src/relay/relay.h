// SPDX-License-Identifier: Apache-2.0
// Moves bytes between two streams until both directions have ended.
//
// Each direction chooses its mover while it runs. It begins by copying through one buffer that the
// worker shares; a read that fills it starts splice(2) through a pooled pipe; several small moves
// end it. A relay that has been one-way for a while joins the loop's paced set (io/loop.h), and
// leaves it when it turns into a conversation. What limits, accounting and revocation need happens
// between the moves, so it is the same for every mover.
//
// Back-pressure: a direction reads only when everything read before is written, so a stalled reader
// costs one pipe or one buffer of at most RELAY_CHUNK bytes. An end of stream is passed on as one
// (half-close), a reset as a reset.
//
// One thread: the worker's. The relay owns both streams from relay_start on.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"
#include "obs/close_reason.h"
#include "policy/bucket.h"
#include "relay/pipe.h"

struct account;
struct metrics;
struct relay;
struct stream;

enum {
	RELAY_CHUNK = 16 * 1024,        // most bytes of one copied read
	RELAY_BUDGET = 2 * 1024 * 1024, // most bytes of one direction in a turn
};

enum relay_side { RELAY_CLIENT, RELAY_UPSTREAM };
// The direction is named by the side that it reads from.
enum relay_direction { RELAY_UP = RELAY_CLIENT, RELAY_DOWN = RELAY_UPSTREAM };
enum relay_mover { RELAY_COPY, RELAY_SPLICE, RELAY_MOVERS };

// What all relays of a worker share.
struct relay_env {
	struct loop *loop;
	unsigned worker; // number, for per-worker counters
	struct metrics *metrics;
	struct pipe_pool pipes;
	uint64_t idle_ns, half_closed_ns; // ends of relays without a byte; 0: no limit
	uint8_t *chunk;                   // RELAY_CHUNK bytes
	bool splice;                      // false: always copy
	// Bytes of a direction were moved; may be NULL. Called once per direction and pump.
	void (*moved)(struct relay *relay, enum relay_direction direction, enum relay_mover mover,
		      uint64_t bytes);
	// A direction changed its mover or the relay its set; may be NULL.
	void (*shifted)(struct relay *relay, enum relay_direction direction);
	// A direction's end was read, or (written) passed on; may be NULL.
	void (*ended)(struct relay *relay, enum relay_direction direction, bool written);
};

int relay_env_init(struct relay_env *env, struct loop *loop, unsigned worker,
		   struct metrics *metrics, uint32_t pipe_size, bool splice);
void relay_env_release(struct relay_env *env);

// Rate limits; only a relay that has some carries this.
struct relay_limits {
	struct bucket_claim claims[2][2]; // by direction; see account_claims
	uint64_t need[2];                 // bytes worth waiting for
	struct bucket_turn turn[2];       // a direction without tokens waits for its turn
	struct timer timer;               // the earlier of the two
	struct relay *relay;
};

struct relay_dir {
	struct pipe *pipe; // not NULL only while it holds bytes
	uint8_t *rest;     // what a copied read brought and could not be written yet; owned
	uint32_t rest_len, rest_off;
	uint64_t bytes[RELAY_MOVERS];  // written, by mover
	uint32_t untold[RELAY_MOVERS]; // of these, not yet accounted for
	uint8_t mover;                 // enum relay_mover
	uint8_t small;                 // small moves in a row
	bool ended;                    // the source's end was read
	bool finished;                 // and passed on
};

struct relay {
	struct relay_env *env;
	struct stream *side[2];
	struct relay_dir dir[2];
	struct account *account[2]; // user, address: bytes are added to them; borrowed; may be NULL
	struct relay_limits *limits; // owned; NULL: none
	uint64_t deadline;           // ns, for the whole relay; UINT64_MAX: none
	struct timer timer;
	struct task task;
	uint64_t active;     // ns: when a byte last moved
	uint64_t first_byte; // ns: when the first byte came from upstream; 0: not yet
	uint32_t run;        // how one-way it has been, in reads and 16 KiB; see relay.c
	uint8_t run_direction;
	bool paced;
	bool open;
	uint8_t first_end; // enum relay_direction of the first end, 2: none yet
	// Called once, when the relay is over and both streams are closed.
	void (*done)(struct relay *relay, enum close_reason reason);
};

// Bytes that were read from a side before the relay began and are to be written first.
struct relay_early {
	const void *data;
	size_t len;
};

// Starts. Fields to set before: env, side, account, deadline, done; the rest zero. `early` is copied.
// -ENOMEM: nothing was done, and the streams are still the caller's.
int relay_start(struct relay *relay, const struct relay_early early[2]);
// Sets (or, with none limited, removes) the rate limits; also while it runs. -ENOMEM.
int relay_limit(struct relay *relay, const struct bucket_claim up[2],
		const struct bucket_claim down[2]);
// Ends it now: both streams are closed (reset, if `how` says so) and done is called. Idempotent.
void relay_close(struct relay *relay, enum close_reason reason, bool reset);

static inline uint64_t relay_bytes(const struct relay *relay, enum relay_direction direction)
{
	return relay->dir[direction].bytes[RELAY_COPY] + relay->dir[direction].bytes[RELAY_SPLICE];
}
