// SPDX-License-Identifier: Apache-2.0
// The resolver's cache and the queries in flight; the network is the back end's.
#include "upstream/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>
#include <urcu/hlist.h>

#include "base/hash.h"
#include "base/host.h"
#include "io/loop.h"
#include "obs/metrics.h"
#include "upstream/hosts.h"
#include "upstream/resolver_ares.h"

enum {
	BUCKETS_FIRST = 64, // doubled as the cache grows
	PENDING_MAX = 1024,
};

static const uint64_t SECOND = 1000000000;
static const uint64_t FAILURE_NS = 1000000000;         // RFC 9520, 3.2: not less than a second
static const uint64_t STALE_NS = 3600 * 1000000000ULL; // how long after its end an answer may serve
static const uint64_t STALE_TTL_NS = 5000000000ULL;    // and for how long it then does
static const uint64_t SPECIAL_TTL_NS = 60000000000ULL;

// An answer, or a query that waits for one.
struct resolver_entry {
	struct resolver *resolver;
	struct cds_hlist_node by_name;
	struct cds_list_head by_use; // of answers: the least recently used first
	struct cds_list_head waits;  // of queries
	uint64_t hash;
	uint64_t expires;     // by its TTL
	uint64_t serve_until; // the same, or later while the network fails
	uint64_t asked;
	struct endpoint *addresses;
	uint8_t count;
	uint8_t status; // enum resolver_status
	uint8_t family;
	uint8_t name_len;
	bool pending;
	bool inside; // the back end is being called for it
	bool keep;   // an answer that may be cached
	char name[];
};

struct resolver {
	struct loop *loop;
	struct metrics *metrics;
	struct resolver_backend *backend;
	struct resolver_config config; // without pointers
	struct endpoint *servers;      // only to see that they changed
	struct hosts hosts;
	struct cds_hlist_head *buckets;
	uint32_t mask;
	struct cds_list_head by_use;
	struct resolver_stats stats;
	bool freeing;
	struct endpoint scratch[RESOLVER_ADDRESSES_MAX]; // of an answer that no entry holds
};

static void count_lookup(struct resolver *resolver, enum metric_dns result)
{
	if (resolver->metrics)
		metric_inc(&resolver->metrics->dns_lookups[result]);
}

static uint64_t hash_of(const char *name, size_t len, int family)
{
	return hash_bytes(name, len) + (family == AF_INET6);
}

static struct cds_hlist_head *bucket_of(struct resolver *resolver, uint64_t hash)
{
	return &resolver->buckets[hash & resolver->mask];
}

static struct resolver_entry *find(struct resolver *resolver, const char *name, size_t len,
				   int family, uint64_t hash)
{
	struct resolver_entry *entry;

	cds_hlist_for_each_entry_2(entry, bucket_of(resolver, hash), by_name)
	{
		if (entry->hash == hash && entry->family == family && entry->name_len == len &&
		    memcmp(entry->name, name, len) == 0)
			return entry;
	}
	return NULL;
}

// More buckets when the chains get long; without memory they stay long.
static void grow(struct resolver *resolver)
{
	uint32_t count = (resolver->mask + 1) * 2;
	struct cds_hlist_head *buckets = calloc(count, sizeof(*buckets));
	struct cds_hlist_head *old = resolver->buckets;
	uint32_t old_count = resolver->mask + 1;

	if (!buckets)
		return;
	resolver->buckets = buckets;
	resolver->mask = count - 1;
	for (uint32_t i = 0; i < old_count; i++) {
		struct resolver_entry *entry, *next;
		cds_hlist_for_each_entry_safe_2(entry, next, &old[i], by_name)
		{
			cds_hlist_del(&entry->by_name);
			cds_hlist_add_head(&entry->by_name, bucket_of(resolver, entry->hash));
		}
	}
	resolver->stats.bytes += count * sizeof(*buckets) - old_count * sizeof(*buckets);
	free(old);
}

static struct resolver_entry *entry_new(struct resolver *resolver, const char *name, size_t len,
					int family, uint64_t hash)
{
	struct resolver_entry *entry = calloc(1, sizeof(*entry) + len + 1);

	if (!entry)
		return NULL;
	entry->resolver = resolver;
	CDS_INIT_LIST_HEAD(&entry->by_use);
	CDS_INIT_LIST_HEAD(&entry->waits);
	entry->hash = hash;
	entry->family = (uint8_t)family;
	entry->name_len = (uint8_t)len;
	memcpy(entry->name, name, len);
	if (resolver->stats.entries > resolver->mask)
		grow(resolver);
	cds_hlist_add_head(&entry->by_name, bucket_of(resolver, hash));
	resolver->stats.entries++;
	resolver->stats.bytes += sizeof(*entry) + len + 1;
	if (resolver->metrics)
		metric_gauge_add(&resolver->metrics->dns_cache_entries, 1);
	return entry;
}

static void drop_addresses(struct resolver_entry *entry)
{
	entry->resolver->stats.bytes -= entry->count * sizeof(*entry->addresses);
	free(entry->addresses);
	entry->addresses = NULL;
	entry->count = 0;
}

static void entry_free(struct resolver_entry *entry)
{
	// The analyzer thinks that a list still holds what was taken off it before.
	struct resolver *resolver = entry->resolver; // NOLINT(clang-analyzer-unix.Malloc)

	drop_addresses(entry);
	cds_hlist_del(&entry->by_name);
	cds_list_del(&entry->by_use);
	resolver->stats.entries--;
	resolver->stats.bytes -= sizeof(*entry) + entry->name_len + 1U;
	if (resolver->metrics)
		metric_gauge_add(&resolver->metrics->dns_cache_entries, -1);
	free(entry);
}

static void set_pending(struct resolver_entry *entry, bool pending)
{
	struct resolver *resolver = entry->resolver;
	int change = pending ? 1 : -1;

	entry->pending = pending;
	resolver->stats.pending += (uint32_t)change;
	if (resolver->metrics)
		metric_gauge_add(&resolver->metrics->dns_pending, change);
}

// Makes room. Only answers are on the list, never queries in flight.
static void evict(struct resolver *resolver)
{
	struct resolver_entry *entry, *next;

	cds_list_for_each_entry_safe(entry, next, &resolver->by_use, by_use)
	{
		if (resolver->stats.entries - resolver->stats.pending <=
		    resolver->config.cache_entries)
			break;
		entry_free(entry);
		resolver->stats.evicted++;
	}
}

static void used(struct resolver_entry *entry)
{
	cds_list_del(&entry->by_use);
	cds_list_add_tail(&entry->by_use, &entry->resolver->by_use);
}

static void fill(const struct resolver_entry *entry, bool cached, struct resolver_answer *ret)
{
	*ret = (struct resolver_answer){
		.status = (enum resolver_status)entry->status,
		.family = entry->family,
		.cached = cached,
		.count = entry->count,
		.addresses = entry->addresses,
		.expires = entry->serve_until,
	};
}

// The same with the addresses in a place that outlives the entry.
static void fill_copy(const struct resolver_entry *entry, struct endpoint *place,
		      struct resolver_answer *ret)
{
	fill(entry, false, ret);
	if (entry->count)
		memcpy(place, entry->addresses, entry->count * sizeof(*place));
	ret->addresses = place;
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value > max ? max : value < min ? min : value;
}

static uint64_t lifetime(const struct resolver *resolver, enum resolver_status status,
			 uint64_t ttl_ns)
{
	const struct resolver_config *config = &resolver->config;

	switch (status) {
	case RESOLVER_OK:
		return clamp(ttl_ns, config->ttl_min_ns, config->ttl_max_ns);
	case RESOLVER_NO_DATA:
	case RESOLVER_NOT_FOUND: // RFC 2308, 5; without SOA, as configured
		return clamp(ttl_ns,
			     config->ttl_min_ns < config->ttl_negative_ns ? config->ttl_min_ns
									  : config->ttl_negative_ns,
			     config->ttl_negative_ns);
	default:
		return FAILURE_NS;
	}
}

static int store_addresses(struct resolver_entry *entry, const struct endpoint *addresses,
			   unsigned count)
{
	struct endpoint kept[RESOLVER_ADDRESSES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < count && n < RESOLVER_ADDRESSES_MAX; i++) {
		if (addresses[i].family != entry->family)
			continue;
		kept[n] = addresses[i];
		kept[n++].port = 0;
	}
	drop_addresses(entry);
	if (n == 0)
		return 0;
	entry->addresses = malloc(n * sizeof(*kept));
	if (!entry->addresses)
		return -ENOMEM;
	memcpy(entry->addresses, kept, n * sizeof(*kept));
	entry->count = (uint8_t)n;
	entry->resolver->stats.bytes += n * sizeof(*kept);
	return 0;
}

static void count_answer(const struct resolver_entry *entry)
{
	static const enum metric_dns results[] = {
		[RESOLVER_OK] = METRIC_DNS_OK,
		[RESOLVER_NO_DATA] = METRIC_DNS_NOT_FOUND,
		[RESOLVER_NOT_FOUND] = METRIC_DNS_NOT_FOUND,
		[RESOLVER_FAILED] = METRIC_DNS_SERVER_FAILURE,
		[RESOLVER_TIMEOUT] = METRIC_DNS_TIMEOUT,
	};
	struct resolver *resolver = entry->resolver;

	count_lookup(resolver, results[entry->status]);
	if (resolver->metrics)
		hist_record(&resolver->metrics->resolve_duration,
			    resolver->loop->now - entry->asked);
}

// Puts the answer into the entry. When the network fails, what was known serves on (RFC 8767).
static void settle(struct resolver_entry *entry, enum resolver_status status,
		   const struct endpoint *addresses, unsigned count, uint64_t ttl_ns)
{
	struct resolver *resolver = entry->resolver;
	uint64_t now = resolver->loop->now;
	bool failed = status == RESOLVER_FAILED || status == RESOLVER_TIMEOUT;

	entry->status = (uint8_t)status;
	count_answer(entry);
	if (failed && entry->count && now < entry->expires + STALE_NS) {
		entry->status = RESOLVER_OK;
		entry->keep = true;
		entry->serve_until = now + STALE_TTL_NS;
		return;
	}
	if (store_addresses(entry, addresses, status == RESOLVER_OK ? count : 0) < 0)
		entry->status = RESOLVER_FAILED;
	else if (status == RESOLVER_OK && entry->count == 0)
		entry->status = RESOLVER_NO_DATA;
	uint64_t life = lifetime(resolver, (enum resolver_status)entry->status, ttl_ns);
	entry->keep = life > 0 && resolver->config.cache_entries > 0;
	entry->expires = entry->serve_until = now + life;
}

void resolver_answered(struct resolver_entry *entry, enum resolver_status status,
		       const struct endpoint *addresses, unsigned count, uint64_t ttl_ns)
{
	struct resolver *resolver = entry->resolver;
	struct endpoint place[RESOLVER_ADDRESSES_MAX];
	struct resolver_answer answer;
	struct cds_list_head waits;

	if (resolver->freeing)
		return;
	set_pending(entry, false);
	settle(entry, status, addresses, count, ttl_ns);
	if (entry->inside)
		return; // resolver_lookup goes on with it
	// From here on nothing looks at the entry: what the waiting do may evict it.
	fill_copy(entry, place, &answer);
	CDS_INIT_LIST_HEAD(&waits);
	cds_list_splice(&entry->waits, &waits);
	CDS_INIT_LIST_HEAD(&entry->waits);
	if (entry->keep) {
		used(entry);
		evict(resolver);
	} else {
		entry_free(entry);
	}
	while (!cds_list_empty(&waits)) {
		struct resolver_wait *wait =
			cds_list_first_entry(&waits, struct resolver_wait, node);
		cds_list_del_init(&wait->node);
		wait->entry = NULL;
		wait->done(wait, &answer);
	}
}

void resolver_cancel(struct resolver_wait *wait)
{
	if (!wait->entry)
		return;
	cds_list_del_init(&wait->node);
	wait->entry = NULL;
}

static bool ends_with(const char *name, size_t len, const char *label)
{
	size_t n = strlen(label);

	return len >= n && memcmp(name + len - n, label, n) == 0 &&
	       (len == n || name[len - n - 1] == '.');
}

// Names that no server is asked for. True: `*ret_answer` is set.
static bool special(struct resolver *resolver, const char *name, size_t len, int family,
		    struct resolver_answer *ret_answer)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	struct resolver_answer answer = {
		.family = family,
		.cached = true,
		.addresses = resolver->scratch,
		.expires = resolver->loop->now + SPECIAL_TTL_NS,
	};

	if (ends_with(name, len, "localhost")) { // RFC 6761, 6.3
		resolver->scratch[0] = family == AF_INET6 ? endpoint_v6(loopback6, 0, 0)
							  : endpoint_v4(INADDR_LOOPBACK, 0);
		answer.count = 1;
	} else if (hosts_find(&resolver->hosts, name, len)) {
		answer.count = hosts_addresses(&resolver->hosts, name, len, family,
					       resolver->scratch, RESOLVER_ADDRESSES_MAX);
		answer.status = answer.count ? RESOLVER_OK : RESOLVER_NO_DATA;
	} else if (ends_with(name, len, "invalid") || ends_with(name, len, "onion")) {
		answer.status = RESOLVER_NOT_FOUND; // RFC 6761, 6.4; RFC 7686, 2
	} else {
		return false;
	}
	*ret_answer = answer;
	return true;
}

static void wait_for(struct resolver_entry *entry, struct resolver_wait *wait)
{
	wait->entry = entry;
	cds_list_add_tail(&wait->node, &entry->waits);
}

// Sends the query. 1: the back end had the answer at once.
static int send_query(struct resolver_entry *entry, struct resolver_wait *wait,
		      struct resolver_answer *ret_answer)
{
	struct resolver *resolver = entry->resolver;

	cds_list_del_init(&entry->by_use);
	entry->asked = resolver->loop->now;
	entry->inside = true;
	set_pending(entry, true);
	resolver->stats.queries++;
	resolver->backend->ops->query(resolver->backend, entry->name, entry->family, entry);
	entry->inside = false;
	if (entry->pending) {
		wait_for(entry, wait);
		return 0;
	}
	fill_copy(entry, resolver->scratch, ret_answer);
	if (entry->keep) {
		used(entry);
		evict(resolver);
	} else {
		entry_free(entry);
	}
	return 1;
}

int resolver_lookup(struct resolver *resolver, const char *name, size_t len, int family,
		    struct resolver_wait *wait, struct resolver_answer *ret_answer)
{
	if (len == 0 || len > HOST_NAME_MAX_LEN || (family != AF_INET && family != AF_INET6))
		return -EINVAL;
	wait->entry = NULL;
	if (special(resolver, name, len, family, ret_answer)) {
		count_lookup(resolver, METRIC_DNS_CACHED);
		return 1;
	}
	uint64_t hash = hash_of(name, len, family);
	struct resolver_entry *entry = find(resolver, name, len, family, hash);
	if (entry && entry->pending) {
		resolver->stats.joined++;
		count_lookup(resolver, METRIC_DNS_JOINED);
		wait_for(entry, wait);
		return 0;
	}
	if (entry && resolver->loop->now < entry->serve_until) {
		used(entry);
		fill(entry, true, ret_answer);
		resolver->stats.hits++;
		count_lookup(resolver,
			     entry->count ? METRIC_DNS_CACHED : METRIC_DNS_CACHED_NEGATIVE);
		return 1;
	}
	if (resolver->stats.pending >= resolver->config.pending_max) {
		count_lookup(resolver, METRIC_DNS_BUSY);
		return -EBUSY;
	}
	if (!entry)
		entry = entry_new(resolver, name, len, family, hash);
	if (!entry) {
		count_lookup(resolver, METRIC_DNS_ERROR);
		return -ENOMEM;
	}
	return send_query(entry, wait, ret_answer);
}

void resolver_flush(struct resolver *resolver)
{
	while (!cds_list_empty(&resolver->by_use))
		entry_free(cds_list_first_entry(&resolver->by_use, struct resolver_entry, by_use));
}

void resolver_stats(const struct resolver *resolver, struct resolver_stats *ret_stats)
{
	*ret_stats = resolver->stats;
	ret_stats->bytes += resolver->hosts.bytes;
}

static bool same_servers(const struct resolver *resolver, const struct resolver_config *config)
{
	if (resolver->config.server_count != config->server_count)
		return false;
	for (unsigned i = 0; i < config->server_count; i++)
		if (!endpoint_equal(&resolver->servers[i], &config->servers[i]))
			return false;
	return true;
}

static void with_defaults(struct resolver_config *config)
{
	if (!config->pending_max)
		config->pending_max = PENDING_MAX;
	if (!config->ttl_max_ns)
		config->ttl_max_ns = 3600 * SECOND;
	if (config->ttl_min_ns > config->ttl_max_ns)
		config->ttl_min_ns = config->ttl_max_ns;
	if (!config->ttl_negative_ns)
		config->ttl_negative_ns = 10 * SECOND;
	if (!config->try_ns)
		config->try_ns = 700000000;
	if (!config->tries)
		config->tries = 3;
	if (!config->hosts_path)
		config->hosts_path = "/etc/hosts";
}

// Takes the settings over. Everything that can fail comes first.
static int apply(struct resolver *resolver, const struct resolver_config *given, bool first)
{
	struct resolver_config config = *given;
	struct endpoint *servers = NULL;
	struct hosts hosts;

	with_defaults(&config);
	bool changed = first || !same_servers(resolver, &config) ||
		       config.try_ns != resolver->config.try_ns ||
		       config.tries != resolver->config.tries;
	int r = hosts_read(&hosts, config.hosts_path);
	if (r < 0)
		return r;
	if (config.server_count) {
		servers = malloc(config.server_count * sizeof(*servers));
		if (!servers) {
			hosts_release(&hosts);
			return -ENOMEM;
		}
		memcpy(servers, config.servers, config.server_count * sizeof(*servers));
	}
	// Without servers of its own the back end reads the system's again: they may have changed.
	if (!first && (changed || config.server_count == 0) && resolver->backend->ops->configure)
		r = resolver->backend->ops->configure(resolver->backend, &config);
	if (r < 0) {
		free(servers);
		hosts_release(&hosts);
		return r;
	}
	hosts_release(&resolver->hosts);
	resolver->hosts = hosts;
	free(resolver->servers);
	resolver->servers = servers;
	config.servers = NULL;
	config.hosts_path = NULL;
	resolver->config = config;
	if (changed && !first)
		resolver_flush(resolver);
	else
		evict(resolver);
	return 0;
}

int resolver_configure(struct resolver *resolver, const struct resolver_config *config)
{
	return apply(resolver, config, false);
}

int resolver_new(struct loop *loop, struct metrics *metrics, const struct resolver_config *config,
		 struct resolver_backend *backend, struct resolver **ret_resolver)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int r = -ENOMEM;

	if (!resolver)
		return -ENOMEM;
	resolver->loop = loop;
	resolver->metrics = metrics;
	CDS_INIT_LIST_HEAD(&resolver->by_use);
	resolver->mask = BUCKETS_FIRST - 1;
	resolver->buckets = calloc(BUCKETS_FIRST, sizeof(*resolver->buckets));
	if (resolver->buckets) {
		resolver->stats.bytes =
			sizeof(*resolver) + BUCKETS_FIRST * sizeof(*resolver->buckets);
		r = apply(resolver, config, true);
	}
	if (r == 0 && !backend) {
		struct resolver_config full = *config;
		with_defaults(&full);
		r = resolver_ares_new(loop, &full, &backend);
	}
	if (r < 0) {
		resolver_free(resolver);
		return r;
	}
	resolver->backend = backend;
	*ret_resolver = resolver;
	return 0;
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	resolver->freeing = true;
	if (resolver->backend)
		resolver->backend->ops->free(resolver->backend);
	for (uint32_t i = 0; resolver->buckets && i <= resolver->mask; i++) {
		struct resolver_entry *entry, *next;
		cds_hlist_for_each_entry_safe_2(entry, next, &resolver->buckets[i], by_name)
		{
			struct resolver_wait *wait, *after;
			cds_list_for_each_entry_safe(wait, after, &entry->waits, node)
				resolver_cancel(wait);
			if (entry->pending)
				set_pending(entry, false);
			entry_free(entry);
		}
	}
	free(resolver->buckets);
	free(resolver->servers);
	hosts_release(&resolver->hosts);
	free(resolver);
}
