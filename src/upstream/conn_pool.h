// SPDX-License-Identifier: Apache-2.0
// Idle keep-alive connections to upstreams, kept for the next request.
//
// One per worker, on its loop's thread. A `pooled` is one upstream connection, from its first
// request to its end: while it is in use its user owns it; conn_pool_put makes it idle and the
// pool's, conn_pool_take gives it out again. Taking and putting cost no memory and one hash.
//
// An idle connection whose peer closes, resets or speaks is dropped at once. That cannot close the
// race with a request on its way: who gets -ECONNRESET or the end before the first byte of a
// response to a request on a connection with `uses` > 0 may try again on a fresh one (RFC 9112,
// 9.3.1).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/hlist.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "base/host.h"
#include "io/loop.h"
#include "stream/stream.h"
#include "upstream/dial.h"

struct metrics;

// What makes two connections interchangeable. Connections with a PROXY header or with a tunnel
// through a parent are bound to their client and never pooled.
struct conn_pool_key {
	const struct host
		*host;    // the destination; the parent when requests go to it in absolute-form
	uint64_t parent;  // snap_parent.id, or 0
	uint64_t variant; // whatever else tells them apart (TLS later), or 0
	uint64_t session; // whose alone it is, or 0: everybody's
};

struct pooled {
	struct stream *stream;
	struct endpoint peer; // to be permitted again for each user
	uint64_t created;     // ns, monotonic
	uint32_t uses;        // requests before this one: 0 on a fresh connection
	// The pool's own.
	uint64_t hash;
	uint64_t generation;
	uint64_t idle_since;
	struct conn_pool *pool;
	struct cds_hlist_node by_key;
	struct cds_list_head by_age;
	struct deferred deferred;
	bool idle;
	uint16_t key_len;
	uint8_t key[]; // canonical bytes
};

struct conn_pool_config {
	uint32_t idle_max;     // idle connections in all
	uint32_t idle_per_key; // of one key
	uint64_t idle_ns;      // closed after so long idle; 0: pooling is off
};

struct conn_pool {
	struct loop *loop;
	struct metrics *metrics; // may be NULL
	struct conn_pool_config config;
	struct cds_hlist_head *buckets;
	uint32_t mask;
	uint32_t idle; // idle connections
	uint32_t live; // idle or in use
	uint64_t generation;
	struct cds_list_head by_age; // the longest idle first
	struct timer timer;
};

// -ENOMEM.
int conn_pool_init(struct conn_pool *pool, struct loop *loop, struct metrics *metrics,
		   const struct conn_pool_config *config);
// Closes what is idle. Connections in use must have been closed before.
void conn_pool_release(struct conn_pool *pool);
// New limits; what is over them is closed.
void conn_pool_configure(struct conn_pool *pool, const struct conn_pool_config *config);

// An idle connection, the most recently used one that `permit` allows for this request (NULL: all;
// one for whose address it names a parent is not taken); NULL: none. The caller owns it and must
// set the stream's owner.
struct pooled *conn_pool_take(struct conn_pool *pool, const struct conn_pool_key *key,
			      dial_permit_fn *permit, void *owner);

// Makes a fresh connection one of the pool's, in use by the caller. -ENOMEM (the stream is still
// the caller's). `now`: ns, monotonic.
int conn_pool_adopt(struct conn_pool *pool, const struct conn_pool_key *key, struct stream *stream,
		    const struct endpoint *peer, struct pooled **ret_pooled);

// From here on it is of that key, of the same host, instead of the one that it was adopted with: a
// connection in use turned out to be bound to its client.
void conn_pool_bind(struct pooled *pooled, const struct conn_pool_key *key);

// The request is done and the connection may carry another: idle from here on, or closed when
// there is no room, the peer has ended or spoken, or the pool was flushed since. Not to be used
// afterwards.
void conn_pool_put(struct conn_pool *pool, struct pooled *pooled);

// Closes a connection in use and forgets it. NULL is fine.
void conn_pool_close(struct conn_pool *pool, struct pooled *pooled, enum stream_end how);

// Its stream is the caller's alone from here on: it became something that carries no requests (a
// tunnel after 101).
void conn_pool_forget(struct conn_pool *pool, struct pooled *pooled);

// Closes idle connections that `match` picks (NULL: all), returns how many. With NULL the ones in
// use are closed as well as soon as they are put back.
unsigned conn_pool_drop(struct conn_pool *pool,
			bool (*match)(void *ctx, const struct pooled *pooled), void *ctx);
