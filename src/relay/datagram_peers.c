// SPDX-License-Identifier: Apache-2.0
// A hash table that grows, with a list by use.
#include "relay/datagram_peers.h"

#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/hash.h"

enum { FEW = 8 };

void datagram_peers_init(struct datagram_peers *peers, struct pool *pool, uint32_t limit,
			 void (*forget)(struct datagram_peers *, struct datagram_peer *))
{
	*peers = (struct datagram_peers){
		.pool = pool, .mask = FEW - 1, .limit = limit, .forget = forget};
	peers->buckets = peers->few;
	CDS_INIT_LIST_HEAD(&peers->recent);
}

static struct cds_hlist_head *bucket_of(struct datagram_peers *peers,
					const struct endpoint *address)
{
	return &peers->buckets[hash_bytes(address, sizeof(*address)) & peers->mask];
}

static void drop(struct datagram_peers *peers, struct datagram_peer *peer)
{
	if (peers->last == peer)
		peers->last = NULL;
	if (peers->forget)
		peers->forget(peers, peer);
	cds_hlist_del(&peer->node);
	cds_list_del(&peer->recent);
	peers->count--;
	pool_free(peers->pool, peer);
}

void datagram_peers_release(struct datagram_peers *peers)
{
	while (!cds_list_empty(&peers->recent))
		drop(peers, cds_list_first_entry(&peers->recent, struct datagram_peer, recent));
	if (peers->buckets != peers->few)
		free(peers->buckets);
	peers->buckets = peers->few;
	peers->mask = FEW - 1;
}

// Without memory the table stays as it is, and gets slower.
static void grow(struct datagram_peers *peers)
{
	uint32_t size = (peers->mask + 1) * 4;
	struct cds_hlist_head *buckets = calloc(size, sizeof(*buckets));
	struct datagram_peer *peer;

	if (!buckets)
		return;
	if (peers->buckets != peers->few)
		free(peers->buckets);
	peers->buckets = buckets;
	peers->mask = size - 1;
	cds_list_for_each_entry(peer, &peers->recent, recent)
	{
		cds_hlist_add_head(&peer->node, bucket_of(peers, &peer->address));
	}
}

struct datagram_peer *datagram_peers_find(struct datagram_peers *peers,
					  const struct endpoint *address)
{
	struct datagram_peer *peer = peers->last;

	if (peer && memcmp(&peer->address, address, sizeof(*address)) == 0)
		return peer;
	cds_hlist_for_each_entry_2(peer, bucket_of(peers, address), node)
	{
		if (memcmp(&peer->address, address, sizeof(*address)) == 0) {
			peers->last = peer;
			return peer;
		}
	}
	return NULL;
}

struct datagram_peer *datagram_peers_get(struct datagram_peers *peers,
					 const struct endpoint *address)
{
	struct datagram_peer *peer = datagram_peers_find(peers, address);

	if (peer)
		return peer;
	if (peers->count >= peers->limit) {
		peers->evicted++;
		drop(peers, cds_list_entry(peers->recent.prev, struct datagram_peer, recent));
	}
	peer = pool_alloc_zero(peers->pool);
	if (!peer)
		return NULL;
	if (peers->count > 2 * peers->mask)
		grow(peers);
	peer->address = *address;
	cds_hlist_add_head(&peer->node, bucket_of(peers, address));
	cds_list_add_tail(&peer->recent, &peers->recent);
	peers->count++;
	peers->last = peer;
	return peer;
}
