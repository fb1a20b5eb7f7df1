// SPDX-License-Identifier: Apache-2.0
// Names to addresses: a bounded cache, queries in flight that callers share, and a back end.
//
// One per worker, on its loop's thread. The cache honours TTLs (clamped) and negative answers
// (RFC 2308); failures are remembered for a second (RFC 9520). The special names of RFC 6761 and
// RFC 7686 (localhost, invalid, onion) never leave the machine; the hosts file comes before DNS.
// Never blocks; the hosts file and the system's resolver configuration are read by resolver_new and
// resolver_configure only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "base/addr.h"

struct loop;
struct metrics;
struct resolver;
struct resolver_entry;

#define RESOLVER_ADDRESSES_MAX 16 // of one answer; more are dropped

enum resolver_status {
	RESOLVER_OK,
	RESOLVER_NO_DATA,   // the name exists, without such an address
	RESOLVER_NOT_FOUND, // NXDOMAIN
	RESOLVER_FAILED,    // SERVFAIL, REFUSED, no server reached, nonsense
	RESOLVER_TIMEOUT,
};

struct resolver_answer {
	enum resolver_status status;
	int family;                       // AF_INET or AF_INET6: what was asked for
	bool cached;                      // no query was needed
	unsigned count;                   // > 0 exactly when RESOLVER_OK
	const struct endpoint *addresses; // port 0
	uint64_t expires;                 // ns, monotonic
};

struct resolver_wait;
typedef void resolver_done_fn(struct resolver_wait *wait, const struct resolver_answer *answer);

// Embedded in whoever asks.
struct resolver_wait {
	struct cds_list_head node;
	struct resolver_entry *entry; // NULL: not waiting
	resolver_done_fn *done;
};

struct resolver_config {
	const struct endpoint *servers; // none: as the system says
	unsigned server_count;
	uint32_t cache_entries; // names and families; 0: nothing is kept, queries are still shared
	uint32_t pending_max;   // queries in flight; 0: 1024
	uint64_t ttl_min_ns, ttl_max_ns;
	uint64_t ttl_negative_ns; // without SOA; the most that one gives (0: 10 s)
	uint64_t try_ns;          // wait for one server's answer; 0: 1.5 s
	unsigned tries;           // per server; 0: 3
	const char *hosts_path;   // NULL: /etc/hosts; "": none
};

struct resolver_backend;

// On success the resolver owns the backend. NULL: c-ares. `metrics` may be NULL. -ENOMEM, or what
// the back end cannot get: -EMFILE, -EINVAL ...
int resolver_new(struct loop *loop, struct metrics *metrics, const struct resolver_config *config,
		 struct resolver_backend *backend, struct resolver **ret_resolver);
// Takes new settings (nothing of `config` is kept by pointer) and reads the hosts file again. What
// is cached stays unless the servers changed. On failure everything is as before.
int resolver_configure(struct resolver *resolver, const struct resolver_config *config);
// Waits still pending are dropped without a call. NULL is fine.
void resolver_free(struct resolver *resolver);

/*
 * Asks for the addresses of one family. `name` is normalised as in struct host (lower case, no
 * trailing dot), at most HOST_NAME_MAX_LEN bytes.
 *
 *  1       *ret_answer is the answer; it is valid until the next call into this resolver.
 *  0       pending: wait->done will be called once, not from here. There the answer is valid during
 *          the call; the wait may be used anew, other waits may be cancelled.
 *  -EBUSY  too many queries in flight. -ENOMEM. -EINVAL: family or length.
 */
int resolver_lookup(struct resolver *resolver, const char *name, size_t len, int family,
		    struct resolver_wait *wait, struct resolver_answer *ret_answer);
// wait->done will not be called. Idempotent. The query goes on for the cache's sake.
void resolver_cancel(struct resolver_wait *wait);

// Forgets what is cached. Queries in flight go on.
void resolver_flush(struct resolver *resolver);

struct resolver_stats {
	uint32_t entries, pending;
	uint64_t bytes;
	uint64_t hits, queries, joined, evicted;
};
void resolver_stats(const struct resolver *resolver, struct resolver_stats *ret_stats);

/*
 * The back end's side: c-ares, or a script on the simulated network.
 */
struct resolver_backend_ops {
	// Asks the network for `name` (NUL-terminated; valid until the answer). Exactly one
	// resolver_answered(query, ...) must follow, also from inside of this call.
	void (*query)(struct resolver_backend *backend, const char *name, int family,
		      struct resolver_entry *query);
	// New settings. May be NULL.
	int (*configure)(struct resolver_backend *backend, const struct resolver_config *config);
	// Frees it. Queries in flight need no answer any more; resolver_answered may still be
	// called.
	void (*free)(struct resolver_backend *backend);
};
struct resolver_backend {
	const struct resolver_backend_ops *ops;
};

// `ttl_ns`: of the addresses, or of the negative answer (UINT64_MAX: not known). `addresses` are
// copied; their ports are ignored.
void resolver_answered(struct resolver_entry *entry, enum resolver_status status,
		       const struct endpoint *addresses, unsigned count, uint64_t ttl_ns);
