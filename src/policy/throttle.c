// SPDX-License-Identifier: Apache-2.0
// Throttling of failed logins: see throttle.h.
#include "policy/throttle.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
	WAYS = 8,
	SHARDS = 16,
	SETS_LEAST = 64 / WAYS,
	SETS_MOST = 1 << 24,
	IPV6_PREFIX = 64,
	// Checks of one address under way at once. An office's worth of users may arrive together
	// after a restart; a guesser gets so many tries once.
	PENDING_MOST = 64,
	PENDING_MOST_ATTACKED = 8, // still a browser's connections
	USER_FACTOR = 10,
	DOUBLINGS_MOST = 30,
	CALM_WINDOWS = 10,
};
#define SECOND_NS 1000000000ull
// A check that was never ended (a record that moved, a caller that died) stops counting after so
// long.
#define PENDING_NS (60 * SECOND_NS)

struct entry {
	uint64_t id;            // keyed hash of the address or name; 0: empty
	uint64_t level_at;      // when `level` held
	uint64_t blocked_until; // refused before
	uint64_t pending_at;    // when the last check began
	double level;           // failures, faded
	uint32_t pending;       // checks under way
	uint32_t penalties;     // waits given in a row
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct entry) == 64, "one entry, one cache line");

struct shard_lock {
	_Alignas(64) pthread_mutex_t mutex;
};

struct throttle {
	struct shard_lock locks[SHARDS];
	size_t set_count;              // set once, a power of two
	struct entry entries_shared[]; // set_count * WAYS, under the lock of set % SHARDS
};

int throttle_new(size_t limit, struct throttle **ret_throttle)
{
	size_t sets = SETS_LEAST;
	while (sets * WAYS < limit && sets < SETS_MOST)
		sets *= 2;
	size_t bytes = sizeof(struct throttle) + sets * WAYS * sizeof(struct entry);
	bytes = (bytes + 63) & ~(size_t)63;
	struct throttle *t = aligned_alloc(64, bytes);
	if (!t)
		return -ENOMEM;
	memset(t, 0, bytes);
	t->set_count = sets;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->locks[i].mutex, NULL);
	*ret_throttle = t;
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&t->locks[i].mutex);
	free(t);
}

static uint64_t id_of_address(const struct endpoint *address)
{
	struct cidr block = cidr_of(address, address->family == AF_INET6 ? IPV6_PREFIX : 32);
	uint64_t id = hash_bytes(&block, sizeof(block));
	return id ? id : 1;
}

static uint64_t id_of_user(const char *user, size_t len)
{
	// Mixed once more, so that no name can be written that hashes as an address does.
	uint64_t id = hash_u64(hash_bytes(user, len) ^ 0x75736572u);
	return id ? id : 1;
}

static pthread_mutex_t *lock_of(struct throttle *t, uint64_t id)
{
	return &t->locks[(id & (t->set_count - 1)) % SHARDS].mutex;
}

static double level_now(const struct entry *e, const struct throttle_policy *policy, uint64_t now)
{
	uint64_t window = policy->window_ns ? policy->window_ns : SECOND_NS;
	uint64_t passed = now > e->level_at ? now - e->level_at : 0;
	double level = e->level - (double)passed * policy->failures / (double)window;
	return level > 0 ? level : 0;
}

// Under the lock of id's set.
static struct entry *entry_find(struct throttle *t, uint64_t id)
{
	struct entry *ways = &t->entries_shared[(id & (t->set_count - 1)) * WAYS];
	for (int i = 0; i < WAYS; i++) {
		if (ways[i].id == id)
			return &ways[i];
	}
	return NULL;
}

// Whether it was made to wait not long ago.
static bool entry_suspect(const struct entry *e, const struct throttle_policy *policy, uint64_t now)
{
	uint64_t window = policy->window_ns ? policy->window_ns : SECOND_NS;
	return e->penalties && now < e->level_at + CALM_WINDOWS * window;
}

// What a full set keeps longest: who must wait, then who had to, then who failed.
static double entry_weight(const struct entry *e, const struct throttle_policy *policy,
			   uint64_t now)
{
	if (!e->id)
		return 0;
	double weight = 1 + level_now(e, policy, now) + (e->pending ? 1 : 0);
	if (entry_suspect(e, policy, now))
		weight += 1e6;
	if (e->blocked_until > now)
		weight += 1e9 + (double)(e->blocked_until - now);
	return weight;
}

// Under the lock of id's set. Finds it, or makes it in place of the one that matters least.
static struct entry *entry_make(struct throttle *t, const struct throttle_policy *policy,
				uint64_t id, uint64_t now)
{
	struct entry *e = entry_find(t, id);
	if (e)
		return e;
	struct entry *ways = &t->entries_shared[(id & (t->set_count - 1)) * WAYS];
	double least = 0;
	for (int i = 0; i < WAYS; i++) {
		struct entry *way = &ways[i];
		double weight = entry_weight(way, policy, now);
		if (!e || weight < least) {
			e = way;
			least = weight;
		}
	}
	*e = (struct entry){.id = id, .level_at = now};
	return e;
}

static bool user_attacked(struct throttle *t, const struct throttle_policy *policy, uint64_t id,
			  uint64_t now)
{
	pthread_mutex_lock(lock_of(t, id));
	struct entry *e = entry_find(t, id);
	bool attacked = e && level_now(e, policy, now) >= (double)policy->failures * USER_FACTOR;
	pthread_mutex_unlock(lock_of(t, id));
	return attacked;
}

// The level from which on an address must wait after each failure. Just under a whole number, since
// levels fade all the time.
static double level_free(const struct throttle_policy *policy, bool attacked)
{
	return (attacked ? 1.0 : (double)policy->failures) - 0.5;
}

int throttle_begin(struct throttle *t, const struct throttle_policy *policy,
		   const struct endpoint *address, const char *user, size_t user_len, uint64_t now,
		   uint64_t *ret_retry_ns)
{
	if (!policy->failures)
		return 0;
	bool attacked = user_attacked(t, policy, id_of_user(user, user_len), now);
	uint64_t id = id_of_address(address);
	uint64_t retry = 0;
	pthread_mutex_lock(lock_of(t, id));
	struct entry *e = entry_make(t, policy, id, now);
	if (e->pending && now > e->pending_at + PENDING_NS)
		e->pending = 0;
	bool suspect = entry_suspect(e, policy, now) ||
		       level_now(e, policy, now) >= level_free(policy, attacked);
	uint32_t pending_most = suspect ? 1 : attacked ? PENDING_MOST_ATTACKED : PENDING_MOST;
	if (e->blocked_until > now)
		retry = e->blocked_until - now;
	else if (e->pending >= pending_most)
		retry = SECOND_NS; // a check is under way: its outcome will tell
	if (!retry) {
		e->pending++;
		e->pending_at = now;
	}
	pthread_mutex_unlock(lock_of(t, id));
	if (!retry)
		return 0;
	*ret_retry_ns = retry;
	return -EAGAIN;
}

static void entry_fail(struct entry *e, const struct throttle_policy *policy, uint64_t now)
{
	double level = level_now(e, policy, now);
	if (!entry_suspect(e, policy, now))
		e->penalties = 0;
	// A cap keeps the way back short: no more than two windows after the last failure.
	double most = (double)policy->failures * USER_FACTOR * 2;
	e->level = level + 1 < most ? level + 1 : most;
	e->level_at = now;
}

void throttle_end(struct throttle *t, const struct throttle_policy *policy,
		  const struct endpoint *address, const char *user, size_t user_len,
		  enum throttle_outcome outcome, uint64_t now)
{
	if (!policy->failures)
		return;
	uint64_t user_id = id_of_user(user, user_len);
	bool attacked = false;
	if (outcome == THROTTLE_FAILURE) {
		pthread_mutex_lock(lock_of(t, user_id));
		struct entry *e = entry_make(t, policy, user_id, now);
		entry_fail(e, policy, now);
		attacked = e->level >= (double)policy->failures * USER_FACTOR;
		pthread_mutex_unlock(lock_of(t, user_id));
	}
	uint64_t id = id_of_address(address);
	pthread_mutex_lock(lock_of(t, id));
	struct entry *e =
		outcome == THROTTLE_FAILURE ? entry_make(t, policy, id, now) : entry_find(t, id);
	if (e) {
		if (e->pending)
			e->pending--;
		if (outcome == THROTTLE_FAILURE) {
			entry_fail(e, policy, now);
			if (e->penalties || e->level >= level_free(policy, attacked)) {
				uint64_t window = policy->window_ns ? policy->window_ns : SECOND_NS;
				uint64_t wait = SECOND_NS << e->penalties;
				if (e->penalties < DOUBLINGS_MOST)
					e->penalties++;
				e->blocked_until = now + (wait < window ? wait : window);
			}
		}
	}
	pthread_mutex_unlock(lock_of(t, id));
}
