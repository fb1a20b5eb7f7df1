// SPDX-License-Identifier: Apache-2.0
// Remembers the outcome of password checks for a while, so that few of them cost a slow hash.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

// Shared by all workers: a client's connections spread over them, and a cache in each would cost a
// slow hash in each. Locked by shard for some ten nanoseconds.
struct authcache;

// What was checked: a keyed hash of user, password and stored hash. A changed stored hash (or a
// user of the same name elsewhere, given another scope) is another key, so nothing need be
// invalidated.
struct authcache_key {
	uint8_t mac[HASH_MAC_BYTES];
};

enum authcache_result {
	AUTHCACHE_UNKNOWN,
	AUTHCACHE_GRANTED,
	AUTHCACHE_DENIED,
};

// Room for about `limit` outcomes (rounded up to a power of two, at least 64); memory is taken at
// once, 64 bytes each. 0 or -ENOMEM.
int authcache_new(size_t limit, struct authcache **ret_cache);

// Wipes and frees. NULL is fine.
void authcache_free(struct authcache *cache);

// scope: what else tells users of one name apart (their id). The password may be any bytes.
void authcache_key_init(struct authcache_key *key, uint64_t scope, const char *name,
			size_t name_len, const char *password, size_t password_len,
			const char *stored_hash);

// Any thread.
enum authcache_result authcache_find(struct authcache *cache, const struct authcache_key *key,
				     uint64_t now);

// Stores GRANTED or DENIED until now + ttl_ns (0: not at all). When its part of the table is full
// the entry that would expire first goes; a denial never displaces a grant that is still good, so
// guessing does not flush the cache (the denial is then not stored). Any thread.
void authcache_store(struct authcache *cache, const struct authcache_key *key,
		     enum authcache_result result, uint64_t ttl_ns, uint64_t now);

// Forgets everything, as after a compromise. Any thread.
void authcache_clear(struct authcache *cache);
