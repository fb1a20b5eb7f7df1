// SPDX-License-Identifier: Apache-2.0
// What is counted and limited for one user or one client address, across reloads and workers.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/hlist.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "policy/bucket.h"
#include "snap/settings.h"

struct accounts;

enum account_kind {
	ACCOUNT_USER,
	ACCOUNT_ADDRESS,
};

// A user's stable id, or the block of an address. Compared as bytes: unused ones are 0.
struct account_key {
	uint32_t kind; // enum account_kind
	struct cidr block;
	uint64_t id;
};

// Bytes of one worker: written by it alone, read by any thread.
struct account_bytes {
	_Atomic uint64_t up;   // from the client
	_Atomic uint64_t down; // to the client
};

// Lives from the first account_get to the reclaim after the last account_unref; the holder of a
// reference may use it from any thread. Fields are grouped by who writes them.
struct account {
	// Set once, then read by any thread.
	struct account_key key;
	struct accounts *accounts;
	uint64_t hash;
	uint32_t bytes_stride;

	// Under the shard's lock.
	struct cds_hlist_node node_shared;
	struct cds_list_head idle_node_shared; // linked while nobody holds a reference
	uint64_t idle_since_shared;            // ns
	bool removed_shared;                   // a user that no longer exists

	// Any thread. A cache line of their own: takers bounce it between cores, not the key.
	_Alignas(64) _Atomic uint32_t ref_atomic;
	_Atomic uint32_t conn_live_atomic;
	_Atomic uint64_t conn_total_atomic;   // admitted since creation
	_Atomic uint64_t conn_refused_atomic; // by account_conn_admit
	_Atomic uint32_t generation_atomic;   // moves at each revocation
	struct bucket conn_rate;              // events: new connections
	_Alignas(64) struct bucket up;        // bytes from the client
	struct bucket down;                   // bytes to the client

	// One per worker, bytes_stride apart: see account_add_bytes.
	_Alignas(64) unsigned char per_worker[];
};

struct accounts_options {
	unsigned worker_count; // per_worker slots of each account, >= 1
	size_t limit;          // most accounts in all, > 0
	unsigned ipv6_prefix;  // bits of an IPv6 address that make one account; 0: 64
	uint64_t idle_ns;      // how long an account stays after its last reference; 0: 60 s
};

// The table: any thread, locked by shard for a moment at look-up; nothing on the way of bytes.
// 0, -ENOMEM or -EINVAL.
int accounts_new(const struct accounts_options *options, struct accounts **ret_accounts);

// When no thread uses it and no reference is held. NULL is fine.
void accounts_free(struct accounts *t);

// Finds or creates, and takes a reference. Returns NULL when memory ran out, or when the table is
// full and every account in it is held. A full table drops an idle account to make room (an address
// before a user, among the longest idle), though its buckets may not have recovered: its rate
// limits and byte counts then begin anew, never its connection limit, since a live connection holds
// a reference.
struct account *account_get_user(struct accounts *t, uint64_t user_id, uint64_t now);
// The address itself for IPv4, its block of options.ipv6_prefix for IPv6; port and scope do not
// matter.
struct account *account_get_address(struct accounts *t, const struct endpoint *address,
				    uint64_t now);

// A further reference by one who holds one.
struct account *account_ref(struct account *a);
// Drops a reference; NULL is fine. The last one leaves the account idle in the table.
void account_unref(struct account *a, uint64_t now);

// Counts one more live connection: 0, -EUSERS (limits->connections are live) or -EAGAIN (more than
// limits->connections_per_second; up to one second's worth at once). Nothing is counted on failure
// but the refusal. Each success wants one account_conn_release.
int account_conn_admit(struct account *a, const struct snap_limits *limits, uint64_t now);
void account_conn_release(struct account *a);

// ns until a connection refused with -EAGAIN would be admitted.
uint64_t account_conn_retry(struct account *a, const struct snap_limits *limits, uint64_t now);

// Adds to the counters of worker number `worker`, which must be the calling one. Wait-free.
static inline void account_add_bytes(struct account *a, unsigned worker, uint64_t up, uint64_t down)
{
	struct account_bytes *b =
		(struct account_bytes *)(a->per_worker + (size_t)worker * a->bytes_stride);
	// One writer: a plain load and store, atomic only so that a reader never sees half of it.
	if (up)
		atomic_store_explicit(&b->up,
				      atomic_load_explicit(&b->up, memory_order_relaxed) + up,
				      memory_order_relaxed);
	if (down)
		atomic_store_explicit(&b->down,
				      atomic_load_explicit(&b->down, memory_order_relaxed) + down,
				      memory_order_relaxed);
}

// The sums over all workers.
void account_bytes(const struct account *a, uint64_t *ret_up, uint64_t *ret_down);

// Fills the claims for one direction of a transfer; either account or limits may be NULL (no
// limit), the limits are copied, bursts are bucket_default_burst. The claims stay valid while the
// references are held; after a reload fill them again. Use with bucket_turn_take and its kin.
enum account_direction {
	ACCOUNT_UP,
	ACCOUNT_DOWN,
};
#define ACCOUNT_CLAIMS 2
void account_claims(struct account *user, const struct snap_limits *user_limits,
		    struct account *address, const struct snap_limits *address_limits,
		    enum account_direction direction,
		    struct bucket_claim ret_claims[ACCOUNT_CLAIMS]);

// Live revocation. A connection finds its user in the snapshot and keeps account_generation in one
// loop turn (one RCU section), and ends when account_generation differs later. Whoever takes rights
// away publishes the new snapshot, waits for the grace period, and calls account_revoke then: a
// turn that still saw the old snapshot also kept the old generation.
static inline uint32_t account_generation(const struct account *a)
{
	return atomic_load_explicit(&a->generation_atomic, memory_order_acquire);
}
void account_revoke(struct account *a);
// By id: revokes if the account exists (0), else -ENOENT: then no connection of it lives.
int accounts_revoke_user(struct accounts *t, uint64_t user_id);
// For a user that was taken out of the configuration: revokes, and lets accounts_sweep drop the
// account when idle. Coming back (account_get_user) undoes the latter. 0 or -ENOENT.
int accounts_remove_user(struct accounts *t, uint64_t user_id);
// After a reload: does so for every account of a user whom `exists` denies; returns how many there are.
// exists runs under a shard's lock and must not call the table.
size_t accounts_remove_users(struct accounts *t, bool (*exists)(uint64_t user_id, void *ctx),
			     void *ctx);

// Drops accounts of addresses and removed users that nobody held for idle_ns and whose buckets are
// full again, looking at no more than `budget` of them; returns how many. Idle accounts of other
// users stay: their byte counts are still of interest, and their number is that of the
// configuration. Call it now and then, any thread (each creation does a little of it too).
size_t accounts_sweep(struct accounts *t, uint64_t now, size_t budget);

// Calls visit for each account, in no order, until it returns non-zero; returns that, or 0. Visit
// runs under a shard's lock: it reads the account (also an idle one), but neither keeps nor
// references it, does nothing slow, and does not call the table. An account made or dropped
// meanwhile may be missed.
int accounts_each(struct accounts *t, int (*visit)(struct account *a, void *ctx), void *ctx);

struct accounts_stats {
	size_t count; // accounts in the table
	size_t limit;
	uint64_t evicted; // dropped before their limits recovered, because the table was full
	uint64_t refused; // NULL returned because the table was full of held accounts
};
void accounts_stats(struct accounts *t, struct accounts_stats *ret_stats);
