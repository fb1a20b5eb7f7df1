// SPDX-License-Identifier: Apache-2.0
// The cache of password checks: see authcache.h.
//
// Sets of eight entries found by bits of the key: being a keyed hash, the key spreads evenly, no
// chain and no allocation is needed, and the bound is the array.
#include "policy/authcache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAYS = 8,
	SHARDS = 16,
	SETS_LEAST = 64 / WAYS,
	SETS_MOST = 1 << 24,
};

struct entry {
	uint8_t mac[HASH_MAC_BYTES];
	uint64_t expires;
	uint32_t result; // enum authcache_result; UNKNOWN: empty
	uint32_t reserved[5];
};
_Static_assert(sizeof(struct entry) == 64, "one entry, one cache line");

struct shard_lock {
	_Alignas(64) pthread_mutex_t mutex;
};

struct authcache {
	struct shard_lock locks[SHARDS];
	size_t set_count;              // set once, a power of two
	struct entry entries_shared[]; // set_count * WAYS, under the lock of set % SHARDS
};

int authcache_new(size_t limit, struct authcache **ret_cache)
{
	size_t sets = SETS_LEAST;
	while (sets * WAYS < limit && sets < SETS_MOST)
		sets *= 2;
	size_t bytes = sizeof(struct authcache) + sets * WAYS * sizeof(struct entry);
	bytes = (bytes + 63) & ~(size_t)63;
	struct authcache *cache = aligned_alloc(64, bytes);
	if (!cache)
		return -ENOMEM;
	memset(cache, 0, bytes);
	cache->set_count = sets;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&cache->locks[i].mutex, NULL);
	*ret_cache = cache;
	return 0;
}

void authcache_free(struct authcache *cache)
{
	if (!cache)
		return;
	explicit_bzero(cache->entries_shared, cache->set_count * WAYS * sizeof(struct entry));
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&cache->locks[i].mutex);
	free(cache);
}

void authcache_key_init(struct authcache_key *key, uint64_t scope, const char *name,
			size_t name_len, const char *password, size_t password_len,
			const char *stored_hash)
{
	struct hash_piece pieces[] = {
		{&scope, sizeof(scope)},
		{name, name_len},
		{password, password_len},
		{stored_hash, strlen(stored_hash)},
	};
	hash_mac(pieces, sizeof(pieces) / sizeof(pieces[0]), key->mac);
}

static size_t set_of(const struct authcache *cache, const struct authcache_key *key)
{
	uint64_t bits;
	memcpy(&bits, key->mac, sizeof(bits));
	return bits & (cache->set_count - 1);
}

static struct entry *set_lock(struct authcache *cache, size_t set)
{
	pthread_mutex_lock(&cache->locks[set % SHARDS].mutex);
	return &cache->entries_shared[set * WAYS];
}

static void set_unlock(struct authcache *cache, size_t set)
{
	pthread_mutex_unlock(&cache->locks[set % SHARDS].mutex);
}

static struct entry *ways_find(struct entry *ways, const struct authcache_key *key)
{
	for (int i = 0; i < WAYS; i++) {
		if (ways[i].result != AUTHCACHE_UNKNOWN &&
		    hash_secret_equal(ways[i].mac, key->mac, sizeof(key->mac)))
			return &ways[i];
	}
	return NULL;
}

enum authcache_result authcache_find(struct authcache *cache, const struct authcache_key *key,
				     uint64_t now)
{
	size_t set = set_of(cache, key);
	struct entry *e = ways_find(set_lock(cache, set), key);
	enum authcache_result result = e && e->expires > now ? e->result : AUTHCACHE_UNKNOWN;
	set_unlock(cache, set);
	return result;
}

// The entry to overwrite: empty or expired before denied before granted, then the first to expire.
static struct entry *ways_victim(struct entry *ways, uint64_t now)
{
	struct entry *victim = NULL;
	uint64_t worst = 0;
	int worst_rank = 0;
	for (int i = 0; i < WAYS; i++) {
		struct entry *e = &ways[i];
		int rank = e->result == AUTHCACHE_UNKNOWN || e->expires <= now ? 0
			   : e->result == AUTHCACHE_DENIED                     ? 1
									       : 2;
		if (!victim || rank < worst_rank || (rank == worst_rank && e->expires < worst)) {
			victim = e;
			worst = e->expires;
			worst_rank = rank;
		}
	}
	return victim;
}

void authcache_store(struct authcache *cache, const struct authcache_key *key,
		     enum authcache_result result, uint64_t ttl_ns, uint64_t now)
{
	if (!ttl_ns || result == AUTHCACHE_UNKNOWN)
		return;
	uint64_t expires = now > UINT64_MAX - ttl_ns ? UINT64_MAX : now + ttl_ns;
	size_t set = set_of(cache, key);
	struct entry *ways = set_lock(cache, set);
	struct entry *e = ways_find(ways, key);
	if (!e) {
		e = ways_victim(ways, now);
		if (result == AUTHCACHE_DENIED && e->result == AUTHCACHE_GRANTED &&
		    e->expires > now)
			goto out;
		memcpy(e->mac, key->mac, sizeof(e->mac));
	}
	e->result = result;
	e->expires = expires;
out:
	set_unlock(cache, set);
}

void authcache_clear(struct authcache *cache)
{
	for (size_t set = 0; set < cache->set_count; set++) {
		struct entry *ways = set_lock(cache, set);
		memset(ways, 0, WAYS * sizeof(*ways));
		set_unlock(cache, set);
	}
}
