// SPDX-License-Identifier: Apache-2.0
// Idle upstream connections: a hash by key, a list by age, one timer.
#include "upstream/conn_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/hash.h"
#include "obs/metrics.h"

enum {
	BUCKETS_MIN = 64,
	BUCKETS_MAX = 65536,
	KEY_MAX = sizeof(uint64_t) * 3 + 2 + sizeof(struct endpoint) + HOST_NAME_MAX_LEN,
};

// The key as bytes: each part has its length fixed or is the last one.
static size_t write_key(const struct conn_pool_key *key, uint8_t out[static KEY_MAX])
{
	const struct host *host = key->host;
	size_t n = 0;

	memcpy(out + n, &key->parent, sizeof(key->parent));
	n += sizeof(key->parent);
	memcpy(out + n, &key->variant, sizeof(key->variant));
	n += sizeof(key->variant);
	memcpy(out + n, &key->session, sizeof(key->session));
	n += sizeof(key->session);
	memcpy(out + n, &host->port, sizeof(host->port));
	n += sizeof(host->port);
	if (host->kind == HOST_ADDRESS) {
		// Begins with a NUL, which no name does.
		out[n++] = 0;
		memcpy(out + n, host->address.ip, sizeof(host->address.ip));
		n += sizeof(host->address.ip);
		out[n++] = host->address.family;
		return n;
	}
	memcpy(out + n, host->name, host->name_len);
	return n + host->name_len;
}

static struct cds_hlist_head *bucket_of(struct conn_pool *pool, uint64_t hash)
{
	return &pool->buckets[hash & pool->mask];
}

static void count_idle(struct conn_pool *pool, int change)
{
	pool->idle += (uint32_t)change;
	if (pool->metrics)
		metric_gauge_add(&pool->metrics->pool_idle, change);
}

static void count_request(struct conn_pool *pool, enum metric_pool result)
{
	if (pool->metrics)
		metric_inc(&pool->metrics->pool_requests[result]);
}

static void unlink_idle(struct conn_pool *pool, struct pooled *pooled)
{
	cds_hlist_del(&pooled->by_key);
	cds_list_del_init(&pooled->by_age);
	pooled->idle = false;
	count_idle(pool, -1);
}

static void pooled_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct pooled, deferred));
}

static void forget(struct conn_pool *pool, struct pooled *pooled, enum stream_end how)
{
	stream_close(pool->loop, pooled->stream, how);
	pool->live--;
	loop_defer(pool->loop, &pooled->deferred, pooled_free);
}

static void close_idle(struct conn_pool *pool, struct pooled *pooled)
{
	unlink_idle(pool, pooled);
	forget(pool, pooled, STREAM_FIN);
}

void conn_pool_close(struct conn_pool *pool, struct pooled *pooled, enum stream_end how)
{
	if (!pooled)
		return;
	assert(!pooled->idle);
	forget(pool, pooled, how);
}

void conn_pool_forget(struct conn_pool *pool, struct pooled *pooled)
{
	pool->live--;
	loop_defer(pool->loop, &pooled->deferred, pooled_free);
}

// While idle, nothing should come: bytes, the end or an error all end it.
static void idle_ready(struct loop *loop, struct stream *stream)
{
	struct pooled *pooled = stream->owner;

	if (stream->ready & (STREAM_IN | STREAM_END))
		close_idle(pooled->pool, pooled);
}

static void expire(struct loop *loop, struct timer *timer)
{
	struct conn_pool *pool = caa_container_of(timer, struct conn_pool, timer);
	struct pooled *pooled, *next;

	cds_list_for_each_entry_safe(pooled, next, &pool->by_age, by_age)
	{
		uint64_t end = pooled->idle_since + pool->config.idle_ns;
		if (loop->now < end) {
			loop_timer_set(loop, &pool->timer, end);
			break;
		}
		close_idle(pool, pooled);
	}
}

// The longest idle ones go until `left` remain.
static void shrink(struct conn_pool *pool, uint32_t left)
{
	struct pooled *pooled, *next;

	cds_list_for_each_entry_safe(pooled, next, &pool->by_age, by_age)
	{
		if (pool->idle <= left)
			break;
		close_idle(pool, pooled);
	}
}

int conn_pool_init(struct conn_pool *pool, struct loop *loop, struct metrics *metrics,
		   const struct conn_pool_config *config)
{
	uint32_t buckets = BUCKETS_MIN;

	while (buckets < config->idle_max && buckets < BUCKETS_MAX)
		buckets *= 2;
	*pool = (struct conn_pool){
		.loop = loop, .metrics = metrics, .config = *config, .mask = buckets - 1};
	CDS_INIT_LIST_HEAD(&pool->by_age);
	timer_init(&pool->timer, expire);
	pool->buckets = calloc(buckets, sizeof(*pool->buckets));
	return pool->buckets ? 0 : -ENOMEM;
}

void conn_pool_release(struct conn_pool *pool)
{
	// One that was never initialised is all zero.
	if (!pool->buckets)
		return;
	shrink(pool, 0);
	assert(pool->live == 0);
	loop_timer_cancel(pool->loop, &pool->timer);
	free(pool->buckets);
	pool->buckets = NULL;
}

void conn_pool_configure(struct conn_pool *pool, const struct conn_pool_config *config)
{
	pool->config = *config;
	shrink(pool, config->idle_ns ? config->idle_max : 0);
	loop_timer_set(pool->loop, &pool->timer, pool->loop->now); // finds its new time itself
}

static bool same_key(const struct pooled *pooled, uint64_t hash, const uint8_t *key, size_t len)
{
	return pooled->hash == hash && pooled->key_len == len && memcmp(pooled->key, key, len) == 0;
}

static bool usable(const struct pooled *pooled, dial_permit_fn *permit, void *owner)
{
	const struct snap_parent *parent = NULL;

	return !permit || (permit(owner, &pooled->peer, &parent) == CLOSE_NONE && !parent);
}

struct pooled *conn_pool_take(struct conn_pool *pool, const struct conn_pool_key *key,
			      dial_permit_fn *permit, void *owner)
{
	uint8_t bytes[KEY_MAX];
	struct pooled *pooled;

	if (pool->idle == 0) {
		count_request(pool, METRIC_POOL_MISS);
		return NULL;
	}
	size_t len = write_key(key, bytes);
	uint64_t hash = hash_bytes(bytes, len);
	// Added at the head: the most recently used one comes first.
	cds_hlist_for_each_entry_2(pooled, bucket_of(pool, hash), by_key)
	{
		if (!same_key(pooled, hash, bytes, len) || !usable(pooled, permit, owner))
			continue;
		unlink_idle(pool, pooled);
		stream_own(pooled->stream, NULL, NULL);
		pooled->uses++;
		count_request(pool, METRIC_POOL_HIT);
		return pooled;
	}
	count_request(pool, METRIC_POOL_MISS);
	return NULL;
}

int conn_pool_adopt(struct conn_pool *pool, const struct conn_pool_key *key, struct stream *stream,
		    const struct endpoint *peer, struct pooled **ret_pooled)
{
	uint8_t bytes[KEY_MAX];
	size_t len = write_key(key, bytes);
	struct pooled *pooled = calloc(1, sizeof(*pooled) + len);

	if (!pooled)
		return -ENOMEM;
	pooled->stream = stream;
	pooled->peer = *peer;
	pooled->created = pool->loop->now;
	pooled->hash = hash_bytes(bytes, len);
	pooled->generation = pool->generation;
	pooled->pool = pool;
	pooled->key_len = (uint16_t)len;
	CDS_INIT_LIST_HEAD(&pooled->by_age);
	memcpy(pooled->key, bytes, len);
	pool->live++;
	*ret_pooled = pooled;
	return 0;
}

void conn_pool_bind(struct pooled *pooled, const struct conn_pool_key *key)
{
	uint8_t bytes[KEY_MAX];
	size_t len = write_key(key, bytes);

	assert(!pooled->idle && len == pooled->key_len);
	pooled->hash = hash_bytes(bytes, len);
	memcpy(pooled->key, bytes, len);
}

// Whether the peer is still there and has nothing to say. The bit may stand for bytes that were
// read already, so it is looked at once.
static bool is_quiet(struct stream *stream)
{
	char byte;

	if (stream->ready & STREAM_END)
		return false;
	return !(stream->ready & STREAM_IN) || stream_read(stream, &byte, 1) == -EAGAIN;
}

// Makes room for one more of that key: the oldest one goes.
static void make_room(struct conn_pool *pool, const struct pooled *pooled)
{
	struct pooled *other, *last = NULL;
	uint32_t same = 0;

	cds_hlist_for_each_entry_2(other, bucket_of(pool, pooled->hash), by_key)
	{
		if (!same_key(other, pooled->hash, pooled->key, pooled->key_len))
			continue;
		last = other;
		same++;
	}
	if (last && same >= pool->config.idle_per_key)
		close_idle(pool, last);
	shrink(pool, pool->config.idle_max - 1);
}

void conn_pool_put(struct conn_pool *pool, struct pooled *pooled)
{
	const struct conn_pool_config *config = &pool->config;

	if (config->idle_ns == 0 || config->idle_max == 0 || config->idle_per_key == 0 ||
	    pooled->generation != pool->generation || !is_quiet(pooled->stream)) {
		conn_pool_close(pool, pooled, STREAM_FIN);
		return;
	}
	make_room(pool, pooled);
	pooled->idle_since = pool->loop->now;
	pooled->idle = true;
	cds_hlist_add_head(&pooled->by_key, bucket_of(pool, pooled->hash));
	cds_list_add_tail(&pooled->by_age, &pool->by_age);
	count_idle(pool, 1);
	stream_own(pooled->stream, pooled, idle_ready);
	// The timer may stand for one that was taken since: it then looks and moves on.
	if (!timer_is_set(&pool->timer))
		loop_timer_set(pool->loop, &pool->timer, pooled->idle_since + config->idle_ns);
}

unsigned conn_pool_drop(struct conn_pool *pool,
			bool (*match)(void *ctx, const struct pooled *pooled), void *ctx)
{
	struct pooled *pooled, *next;
	unsigned dropped = 0;

	if (!match)
		pool->generation++;
	cds_list_for_each_entry_safe(pooled, next, &pool->by_age, by_age)
	{
		if (match && !match(ctx, pooled))
			continue;
		close_idle(pool, pooled);
		dropped++;
	}
	return dropped;
}
