// SPDX-License-Identifier: Apache-2.0
// Accounts of users and addresses: see account.h.
//
// A connection looks its accounts up once, so the table is sharded hash chains under mutexes rather
// than a lock-free one: the way of the bytes touches only the account itself.
#include "policy/account.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
	SHARDS = 64,
	SHARD_BUCKETS_LEAST = 16,
	SHARD_BUCKETS_MOST = 1 << 16,
	SWEEP_AT_CREATION = 2,
};

struct shard {
	pthread_mutex_t lock;
	struct cds_hlist_head *chains_shared; // bucket_mask + 1
	// Accounts without a reference, longest idle first.
	struct cds_list_head idle_shared;      // to be swept: addresses and removed users
	struct cds_list_head idle_user_shared; // to be kept while there is room
} __attribute__((aligned(64)));

struct accounts {
	struct accounts_options options; // set once
	size_t chain_mask;               // set once
	_Alignas(64) _Atomic size_t count_atomic;
	_Atomic uint64_t evicted_atomic;
	_Atomic uint64_t refused_atomic;
	_Atomic unsigned sweep_start_atomic;
	struct shard shards[SHARDS];
};

_Static_assert(sizeof(struct account_key) == 32, "keys are hashed and compared as bytes");

int accounts_new(const struct accounts_options *options, struct accounts **ret_accounts)
{
	if (!options->worker_count || !options->limit || options->ipv6_prefix > 128)
		return -EINVAL;
	struct accounts *t = aligned_alloc(64, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->options = *options;
	if (!t->options.ipv6_prefix)
		t->options.ipv6_prefix = 64;
	if (!t->options.idle_ns)
		t->options.idle_ns = 60 * 1000000000ull;
	size_t chains = SHARD_BUCKETS_LEAST;
	while (chains < SHARD_BUCKETS_MOST && chains * SHARDS < options->limit)
		chains *= 2;
	t->chain_mask = chains - 1;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		pthread_mutex_init(&s->lock, NULL);
		CDS_INIT_LIST_HEAD(&s->idle_shared);
		CDS_INIT_LIST_HEAD(&s->idle_user_shared);
		s->chains_shared = calloc(chains, sizeof(*s->chains_shared));
		if (!s->chains_shared) {
			while (i >= 0) {
				pthread_mutex_destroy(&t->shards[i].lock);
				free(t->shards[i--].chains_shared);
			}
			free(t);
			return -ENOMEM;
		}
	}
	*ret_accounts = t;
	return 0;
}

// Under the shard's lock.
static void account_drop(struct accounts *t, struct account *a)
{
	assert(atomic_load(&a->ref_atomic) == 0);
	cds_hlist_del(&a->node_shared);
	cds_list_del(&a->idle_node_shared);
	atomic_fetch_sub(&t->count_atomic, 1);
	free(a);
}

void accounts_free(struct accounts *t)
{
	if (!t)
		return;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		for (size_t c = 0; c <= t->chain_mask; c++) {
			struct account *a, *next;
			cds_hlist_for_each_entry_safe_2(a, next, &s->chains_shared[c], node_shared)
				account_drop(t, a);
		}
		free(s->chains_shared);
		pthread_mutex_destroy(&s->lock);
	}
	free(t);
}

static struct shard *shard_of(struct accounts *t, uint64_t hash)
{
	return &t->shards[hash >> 58];
}

static struct cds_hlist_head *chain_of(struct accounts *t, struct shard *s, uint64_t hash)
{
	return &s->chains_shared[hash & t->chain_mask];
}

// Under the shard's lock.
static struct account *shard_find(struct accounts *t, struct shard *s,
				  const struct account_key *key, uint64_t hash)
{
	struct account *a;
	cds_hlist_for_each_entry_2(a, chain_of(t, s, hash), node_shared)
	{
		if (a->hash == hash && !memcmp(&a->key, key, sizeof(*key)))
			return a;
	}
	return NULL;
}

static bool account_sweepable(const struct account *a)
{
	return a->key.kind == ACCOUNT_ADDRESS || a->removed_shared;
}

// Under the shard's lock. Drops the recovered among the longest idle.
static size_t shard_sweep(struct accounts *t, struct shard *s, uint64_t now, size_t *budget)
{
	size_t dropped = 0;
	struct cds_list_head *node, *next;
	// Not ..._entry_safe: it makes an account pointer of the head, which is not aligned as one.
	cds_list_for_each_safe(node, next, &s->idle_shared)
	{
		struct account *a = cds_list_entry(node, struct account, idle_node_shared);
		if (!*budget || now < a->idle_since_shared + t->options.idle_ns)
			break;
		--*budget;
		if (bucket_full(&a->up, now) && bucket_full(&a->down, now) &&
		    bucket_full(&a->conn_rate, now)) {
			account_drop(t, a);
			dropped++;
		}
	}
	return dropped;
}

size_t accounts_sweep(struct accounts *t, uint64_t now, size_t budget)
{
	size_t dropped = 0;
	// Begin elsewhere each time, so that a small budget comes round to every shard.
	unsigned start = atomic_fetch_add_explicit(&t->sweep_start_atomic, 1, memory_order_relaxed);
	for (unsigned i = 0; i < SHARDS && budget; i++) {
		struct shard *s = &t->shards[(start + i) % SHARDS];
		pthread_mutex_lock(&s->lock);
		dropped += shard_sweep(t, s, now, &budget);
		pthread_mutex_unlock(&s->lock);
	}
	return dropped;
}

// Under the shard's lock.
static bool shard_evict(struct accounts *t, struct shard *s, bool users)
{
	struct cds_list_head *list = users ? &s->idle_user_shared : &s->idle_shared;
	if (cds_list_empty(list))
		return false;
	account_drop(t, cds_list_first_entry(list, struct account, idle_node_shared));
	atomic_fetch_add_explicit(&t->evicted_atomic, 1, memory_order_relaxed);
	return true;
}

// No lock is held: each shard's is taken in turn.
static bool accounts_evict(struct accounts *t, uint64_t hash)
{
	for (int users = 0; users < 2; users++) {
		for (unsigned i = 0; i < SHARDS; i++) {
			struct shard *s = &t->shards[((hash >> 58) + i) % SHARDS];
			pthread_mutex_lock(&s->lock);
			bool evicted = shard_evict(t, s, users);
			pthread_mutex_unlock(&s->lock);
			if (evicted)
				return true;
		}
	}
	return false;
}

// Reserves a place in the table: the count never passes the limit, whoever creates at the same
// time.
static bool accounts_reserve(struct accounts *t, uint64_t hash)
{
	size_t count = atomic_load_explicit(&t->count_atomic, memory_order_relaxed);
	for (;;) {
		while (count < t->options.limit) {
			if (atomic_compare_exchange_weak(&t->count_atomic, &count, count + 1))
				return true;
		}
		if (!accounts_evict(t, hash))
			return false;
		count = atomic_load_explicit(&t->count_atomic, memory_order_relaxed);
	}
}

static struct account *account_new(struct accounts *t, const struct account_key *key, uint64_t hash,
				   uint64_t now)
{
	// A user's counters get a cache line for each worker. An address is one of many, and its
	// connections few: there memory counts more than a shared line.
	size_t stride = key->kind == ACCOUNT_USER ? 64 : sizeof(struct account_bytes);
	size_t bytes = sizeof(struct account) + stride * t->options.worker_count;
	bytes = (bytes + 63) & ~(size_t)63;
	struct account *a = aligned_alloc(64, bytes);
	if (!a)
		return NULL;
	memset(a, 0, bytes);
	a->key = *key;
	a->accounts = t;
	a->hash = hash;
	a->bytes_stride = (uint32_t)stride;
	CDS_INIT_LIST_HEAD(&a->idle_node_shared);
	atomic_init(&a->ref_atomic, 1);
	bucket_init(&a->conn_rate, now);
	bucket_init(&a->up, now);
	bucket_init(&a->down, now);
	return a;
}

// Under the shard's lock: the only place where a reference is taken on an account that has none.
static struct account *shard_get(struct accounts *t, struct shard *s, const struct account_key *key,
				 uint64_t hash)
{
	struct account *a = shard_find(t, s, key, hash);
	if (!a)
		return NULL;
	if (atomic_fetch_add(&a->ref_atomic, 1) == 0)
		cds_list_del_init(&a->idle_node_shared);
	a->removed_shared = false;
	return a;
}

static struct account *accounts_get(struct accounts *t, const struct account_key *key, uint64_t now)
{
	uint64_t hash = hash_bytes(key, sizeof(*key));
	struct shard *s = shard_of(t, hash);
	pthread_mutex_lock(&s->lock);
	struct account *a = shard_get(t, s, key, hash);
	pthread_mutex_unlock(&s->lock);
	if (a)
		return a;
	if (!accounts_reserve(t, hash)) {
		atomic_fetch_add_explicit(&t->refused_atomic, 1, memory_order_relaxed);
		return NULL;
	}
	struct account *fresh = account_new(t, key, hash, now);
	if (!fresh) {
		atomic_fetch_sub(&t->count_atomic, 1);
		return NULL;
	}
	pthread_mutex_lock(&s->lock);
	size_t budget = SWEEP_AT_CREATION;
	shard_sweep(t, s, now, &budget);
	a = shard_get(t, s, key, hash); // another thread may have been faster
	if (!a)
		cds_hlist_add_head(&fresh->node_shared, chain_of(t, s, hash));
	pthread_mutex_unlock(&s->lock);
	if (!a)
		return fresh;
	atomic_fetch_sub(&t->count_atomic, 1);
	free(fresh);
	return a;
}

static struct account_key user_key(uint64_t user_id)
{
	struct account_key key;
	memset(&key, 0, sizeof(key));
	key.kind = ACCOUNT_USER;
	key.id = user_id;
	return key;
}

struct account *account_get_user(struct accounts *t, uint64_t user_id, uint64_t now)
{
	struct account_key key = user_key(user_id);
	return accounts_get(t, &key, now);
}

struct account *account_get_address(struct accounts *t, const struct endpoint *address,
				    uint64_t now)
{
	struct account_key key;
	memset(&key, 0, sizeof(key));
	key.kind = ACCOUNT_ADDRESS;
	key.block = cidr_of(address, address->family == AF_INET6 ? t->options.ipv6_prefix : 32);
	return accounts_get(t, &key, now);
}

struct account *account_ref(struct account *a)
{
	uint32_t before = atomic_fetch_add_explicit(&a->ref_atomic, 1, memory_order_relaxed);
	assert(before > 0);
	(void)before;
	return a;
}

void account_unref(struct account *a, uint64_t now)
{
	if (!a)
		return;
	uint32_t refs = atomic_load_explicit(&a->ref_atomic, memory_order_relaxed);
	assert(refs > 0);
	while (refs > 1) {
		if (atomic_compare_exchange_weak(&a->ref_atomic, &refs, refs - 1))
			return;
	}
	// The step to zero happens under the lock only: from then on the account may be dropped at
	// any moment that the lock is free.
	struct shard *s = shard_of(a->accounts, a->hash);
	pthread_mutex_lock(&s->lock);
	if (atomic_fetch_sub(&a->ref_atomic, 1) == 1) {
		a->idle_since_shared = now;
		cds_list_add_tail(&a->idle_node_shared,
				  account_sweepable(a) ? &s->idle_shared : &s->idle_user_shared);
	}
	pthread_mutex_unlock(&s->lock);
}

int account_conn_admit(struct account *a, const struct snap_limits *limits, uint64_t now)
{
	int r = -EUSERS;
	uint32_t most = limits->connections ? limits->connections : UINT32_MAX;
	uint64_t rate = limits->connections_per_second;
	uint32_t live = atomic_load_explicit(&a->conn_live_atomic, memory_order_relaxed);
	if (live >= most)
		goto refuse;
	if (!bucket_take_upto(&a->conn_rate, rate, rate, 1, now)) {
		r = -EAGAIN;
		goto refuse;
	}
	do {
		if (live >= most) {
			bucket_refund(&a->conn_rate, rate, 1);
			goto refuse;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&a->conn_live_atomic, &live, live + 1, memory_order_relaxed, memory_order_relaxed));
	atomic_fetch_add_explicit(&a->conn_total_atomic, 1, memory_order_relaxed);
	return 0;
refuse:
	atomic_fetch_add_explicit(&a->conn_refused_atomic, 1, memory_order_relaxed);
	return r;
}

void account_conn_release(struct account *a)
{
	uint32_t before = atomic_fetch_sub_explicit(&a->conn_live_atomic, 1, memory_order_relaxed);
	assert(before > 0);
	(void)before;
}

uint64_t account_conn_retry(struct account *a, const struct snap_limits *limits, uint64_t now)
{
	uint64_t rate = limits->connections_per_second;
	return bucket_wait(&a->conn_rate, rate, rate, 1, now);
}

void account_bytes(const struct account *a, uint64_t *ret_up, uint64_t *ret_down)
{
	uint64_t up = 0;
	uint64_t down = 0;
	for (unsigned i = 0; i < a->accounts->options.worker_count; i++) {
		const struct account_bytes *b =
			(const struct account_bytes *)(a->per_worker + (size_t)i * a->bytes_stride);
		up += atomic_load_explicit(&b->up, memory_order_relaxed);
		down += atomic_load_explicit(&b->down, memory_order_relaxed);
	}
	*ret_up = up;
	*ret_down = down;
}

static struct bucket_claim claim_of(struct account *a, const struct snap_limits *limits,
				    enum account_direction direction)
{
	if (!a || !limits)
		return (struct bucket_claim){0};
	bool up = direction == ACCOUNT_UP;
	uint64_t rate = up ? limits->upload_bps : limits->download_bps;
	return (struct bucket_claim){.bucket = up ? &a->up : &a->down,
				     .rate = rate,
				     .burst = bucket_default_burst(rate)};
}

void account_claims(struct account *user, const struct snap_limits *user_limits,
		    struct account *address, const struct snap_limits *address_limits,
		    enum account_direction direction,
		    struct bucket_claim ret_claims[ACCOUNT_CLAIMS])
{
	ret_claims[0] = claim_of(user, user_limits, direction);
	ret_claims[1] = claim_of(address, address_limits, direction);
}

void account_revoke(struct account *a)
{
	atomic_fetch_add_explicit(&a->generation_atomic, 1, memory_order_release);
}

// Under the shard's lock.
static void shard_remove(struct shard *s, struct account *a)
{
	if (a->removed_shared)
		return;
	account_revoke(a);
	a->removed_shared = true;
	// At the end of the swept, a little out of order: it goes later.
	if (!atomic_load(&a->ref_atomic))
		cds_list_move(&a->idle_node_shared, s->idle_shared.prev);
}

static int accounts_revoke(struct accounts *t, uint64_t user_id, bool remove)
{
	struct account_key key = user_key(user_id);
	uint64_t hash = hash_bytes(&key, sizeof(key));
	struct shard *s = shard_of(t, hash);
	pthread_mutex_lock(&s->lock);
	struct account *a = shard_find(t, s, &key, hash);
	if (a && remove)
		shard_remove(s, a);
	else if (a)
		account_revoke(a);
	pthread_mutex_unlock(&s->lock);
	return a ? 0 : -ENOENT;
}

int accounts_revoke_user(struct accounts *t, uint64_t user_id)
{
	return accounts_revoke(t, user_id, false);
}

int accounts_remove_user(struct accounts *t, uint64_t user_id)
{
	return accounts_revoke(t, user_id, true);
}

size_t accounts_remove_users(struct accounts *t, bool (*exists)(uint64_t user_id, void *ctx),
			     void *ctx)
{
	size_t removed = 0;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];
		pthread_mutex_lock(&s->lock);
		for (size_t c = 0; c <= t->chain_mask; c++) {
			struct account *a;
			cds_hlist_for_each_entry_2(a, &s->chains_shared[c], node_shared)
			{
				if (a->key.kind != ACCOUNT_USER || exists(a->key.id, ctx))
					continue;
				shard_remove(s, a);
				removed++;
			}
		}
		pthread_mutex_unlock(&s->lock);
	}
	return removed;
}

int accounts_each(struct accounts *t, int (*visit)(struct account *a, void *ctx), void *ctx)
{
	int r = 0;
	for (int i = 0; i < SHARDS && !r; i++) {
		struct shard *s = &t->shards[i];
		pthread_mutex_lock(&s->lock);
		for (size_t c = 0; c <= t->chain_mask && !r; c++) {
			struct account *a;
			cds_hlist_for_each_entry_2(a, &s->chains_shared[c], node_shared)
			{
				r = visit(a, ctx);
				if (r)
					break;
			}
		}
		pthread_mutex_unlock(&s->lock);
	}
	return r;
}

void accounts_stats(struct accounts *t, struct accounts_stats *ret_stats)
{
	*ret_stats = (struct accounts_stats){
		.count = atomic_load_explicit(&t->count_atomic, memory_order_relaxed),
		.limit = t->options.limit,
		.evicted = atomic_load_explicit(&t->evicted_atomic, memory_order_relaxed),
		.refused = atomic_load_explicit(&t->refused_atomic, memory_order_relaxed),
	};
}
