// SPDX-License-Identifier: Apache-2.0
// UDP ASSOCIATE to names: resolved once for a while, with a few datagrams waiting meanwhile.
//
// Of a name's addresses the one in use is kept as long as the name still has it. Else the first is
// taken that the rules allow and to which there is a way, of the family of the client's own address
// before those of the other: a client may not expect answers from the other one.
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/front.h"
#include "front/session.h"
#include "front/socks.h"
#include "front/socks_udp.h"
#include "io/route.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "upstream/dial.h"

// A name that did not resolve is not asked for again at each datagram, whatever its TTL says.
#define AGAIN_NS 1000000000ULL

static struct front *front_of(const struct udp_name *name)
{
	return name->udp->socks->session->front;
}

static uint64_t now_of(const struct udp_name *name)
{
	return name->udp->datagram.env->loop->now;
}

static bool is_resolving(const struct udp_name *name)
{
	return name->wait4.entry || name->wait6.entry;
}

void udp_name_unref(struct udp_name *name)
{
	if (--name->refs == 0)
		free(name);
}

static void take_out(struct udp_name *name, struct udp_pending *pending)
{
	struct socks_udp *udp = name->udp;

	cds_list_del(&pending->node);
	name->pending_count--;
	udp->pending_bytes -= pending->len;
	front_of(name)->udp_pending_bytes -= pending->len;
}

static struct packet packet_of(const struct udp_pending *pending)
{
	return (struct packet){
		.data = (uint8_t *)pending->data,
		.len = pending->len,
		.segment = pending->segment,
		.skip = pending->skip,
	};
}

static void drop_pending(struct udp_name *name, enum metric_datagram_drop why)
{
	struct udp_pending *pending, *next;

	cds_list_for_each_entry_safe(pending, next, &name->pending, node)
	{
		struct packet packet = packet_of(pending);
		datagram_drop(&name->udp->datagram, why, packet_count(&packet));
		take_out(name, pending);
		free(pending);
	}
}

static void forget_name(struct udp_name *name)
{
	struct socks_udp *udp = name->udp;

	if (udp->name == name) {
		udp->name = NULL;
		udp->header_len = 0;
	}
	resolver_cancel(&name->wait4);
	resolver_cancel(&name->wait6);
	drop_pending(name, METRIC_DATAGRAM_DROP_UNRESOLVED);
	cds_list_del(&name->recent);
	udp->name_count--;
	udp_name_unref(name);
}

void udp_names_release(struct socks_udp *udp)
{
	while (!cds_list_empty(&udp->names))
		forget_name(cds_list_first_entry(&udp->names, struct udp_name, recent));
}

static struct udp_name *name_get(struct socks_udp *udp, const struct host *host)
{
	struct udp_name *name;

	cds_list_for_each_entry(name, &udp->names, recent)
	{
		if (host_equal(&name->host, host)) {
			cds_list_move(&name->recent, &udp->names);
			return name;
		}
	}
	if (udp->name_count >= UDP_NAMES_MAX)
		forget_name(cds_list_entry(udp->names.prev, struct udp_name, recent));
	name = calloc(1, sizeof(*name));
	if (!name)
		return NULL;
	name->udp = udp;
	name->refs = 1;
	name->host = *host;
	CDS_INIT_LIST_HEAD(&name->pending);
	cds_list_add(&name->recent, &udp->names);
	udp->name_count++;
	return name;
}

/* The choice of an address */

static bool is_found(const struct udp_name *name, const struct endpoint *address)
{
	int f = address->family == AF_INET6;

	for (unsigned i = 0; i < name->found_count[f]; i++)
		if (endpoint_same_ip(&name->found[f][i], address))
			return true;
	return false;
}

// Takes the first address of a family that will do. False: none.
static bool choose_of(struct udp_name *name, int f)
{
	struct endpoint local;

	for (unsigned i = 0; i < name->found_count[f]; i++) {
		struct endpoint address = name->found[f][i];
		address.port = name->host.port;
		if (udp_decide(name->udp, &name->host, &address, &name->verdict) == CLOSE_NONE &&
		    route_local(&address, &local) == 0) {
			name->address = address;
			return true;
		}
	}
	return false;
}

// Chooses from what was found so far. False: nothing will do.
static bool choose(struct udp_name *name)
{
	const struct endpoint before = name->address;
	int own = name->udp->datagram.peer.family == AF_INET6;

	// One in use goes on while it is looked up again.
	if (endpoint_is_set(&before) && (is_found(name, &before) || is_resolving(name)) &&
	    udp_decide(name->udp, &name->host, &before, &name->verdict) == CLOSE_NONE)
		return true;
	name->address = (struct endpoint){0};
	// A better one may still come, if it is quick; it need not be waited for.
	return choose_of(name, own) || (!is_resolving(name) && choose_of(name, !own));
}

/* Resolution */

// Returns the peer that it went to; NULL: no memory.
static struct datagram_peer *send_now(struct udp_name *name, struct packet *packet)
{
	struct socks_udp *udp = name->udp;
	struct datagram_peer *peer = udp_peer(udp, &name->address);

	if (!peer) {
		datagram_drop(&udp->datagram, METRIC_DATAGRAM_DROP_ERROR, packet_count(packet));
		packet_free(packet);
		return NULL;
	}
	udp_send(udp, packet, peer, name, &name->host);
	return peer;
}

static void send_pending(struct udp_name *name)
{
	uint64_t longest = front_snap(front_of(name))->timeouts.resolve_ns;
	struct udp_pending *pending, *next;
	struct cds_list_head sent;

	CDS_INIT_LIST_HEAD(&sent);
	cds_list_for_each_entry_safe(pending, next, &name->pending, node)
	{
		struct packet packet = packet_of(pending);
		take_out(name, pending);
		cds_list_add_tail(&pending->node, &sent);
		if (pending->since + longest < now_of(name))
			datagram_drop(&name->udp->datagram, METRIC_DATAGRAM_DROP_UNRESOLVED,
				      packet_count(&packet));
		else
			send_now(name, &packet);
	}
	datagram_flush(&name->udp->datagram);
	cds_list_for_each_entry_safe(pending, next, &sent, node) free(pending);
}

static void take_answer(struct udp_name *name, const struct resolver_answer *answer)
{
	int f = answer->family == AF_INET6;
	uint64_t soonest = now_of(name) + AGAIN_NS;
	uint64_t expires = answer->expires > soonest ? answer->expires : soonest;

	name->found_count[f] = (uint8_t)answer->count;
	if (answer->count)
		memcpy(name->found[f], answer->addresses,
		       answer->count * sizeof(answer->addresses[0]));
	if (expires < name->expires)
		name->expires = expires;
}

// With an address, what waits goes out; without one, and without hope, it is dropped.
static bool settle(struct udp_name *name)
{
	struct socks_udp *udp = name->udp;

	if (udp->name == name)
		udp->header_len = 0;
	if (choose(name)) {
		if (name->pending_count)
			send_pending(name);
		return true;
	}
	if (!is_resolving(name))
		drop_pending(name, name->found_count[0] || name->found_count[1]
					   ? METRIC_DATAGRAM_DROP_DENIED
					   : METRIC_DATAGRAM_DROP_UNRESOLVED);
	return false;
}

static void answered4(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct udp_name *name = caa_container_of(wait, struct udp_name, wait4);

	take_answer(name, answer);
	settle(name);
}

static void answered6(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct udp_name *name = caa_container_of(wait, struct udp_name, wait6);

	take_answer(name, answer);
	settle(name);
}

static void look_up(struct udp_name *name, int family, struct resolver_wait *wait,
		    resolver_done_fn *done)
{
	struct resolver *resolver = front_of(name)->dialer->resolver;
	struct resolver_answer answer;

	wait->done = done;
	int r = resolver ? resolver_lookup(resolver, name->host.name, name->host.name_len, family,
					   wait, &answer)
			 : -1;
	if (r > 0)
		take_answer(name, &answer);
	else if (r < 0)
		name->expires = now_of(name) + AGAIN_NS;
}

static void resolve(struct udp_name *name)
{
	name->expires = UINT64_MAX;
	name->found_count[0] = name->found_count[1] = 0;
	look_up(name, AF_INET, &name->wait4, answered4);
	look_up(name, AF_INET6, &name->wait6, answered6);
	settle(name);
}

static void keep_waiting(struct udp_name *name, struct packet *packet)
{
	struct socks_udp *udp = name->udp;
	uint32_t *all = &front_of(name)->udp_pending_bytes;
	struct udp_pending *pending = NULL;

	if (name->pending_count < UDP_PENDING_MAX &&
	    udp->pending_bytes + packet->len <= UDP_PENDING_BYTES &&
	    *all + packet->len <= UDP_PENDING_ALL)
		pending = malloc(sizeof(*pending) + packet->len);
	if (!pending) {
		datagram_drop(&udp->datagram, METRIC_DATAGRAM_DROP_QUEUE_FULL,
			      packet_count(packet));
		packet_free(packet);
		return;
	}
	*pending = (struct udp_pending){.since = now_of(name),
					.len = packet->len,
					.segment = packet->segment,
					.skip = packet->skip};
	memcpy(pending->data, packet->data, packet->len);
	cds_list_add_tail(&pending->node, &name->pending);
	name->pending_count++;
	udp->pending_bytes += packet->len;
	*all += packet->len;
	packet_free(packet);
}

bool udp_name_fresh(const struct udp_name *name)
{
	return endpoint_is_set(&name->address) && now_of(name) < name->expires &&
	       udp_verdict_holds(name->udp, &name->verdict) && !name->pending_count;
}

struct udp_name *udp_name_send(struct socks_udp *udp, const struct host *host,
			       struct packet *packet)
{
	struct udp_name *name = name_get(udp, host);

	if (!name) {
		datagram_drop(&udp->datagram, METRIC_DATAGRAM_DROP_ERROR, packet_count(packet));
		packet_free(packet);
		return NULL;
	}
	if (!is_resolving(name)) {
		if (now_of(name) >= name->expires)
			resolve(name);
		else if (!udp_verdict_holds(udp, &name->verdict))
			settle(name);
	}
	if (endpoint_is_set(&name->address) && name->verdict.reason == CLOSE_NONE) {
		struct datagram_peer *peer = send_now(name, packet);
		if (!peer || !udp_name_fresh(name))
			return NULL;
		// The header that is being handled goes to this peer, as that of the association says
		// from here on; what waited for a name must not change it.
		udp->peer = peer;
		return name;
	}
	if (is_resolving(name)) {
		keep_waiting(name, packet);
		return NULL;
	}
	datagram_drop(&udp->datagram,
		      name->found_count[0] || name->found_count[1]
			      ? METRIC_DATAGRAM_DROP_DENIED
			      : METRIC_DATAGRAM_DROP_UNRESOLVED,
		      packet_count(packet));
	packet_free(packet);
	return NULL;
}
