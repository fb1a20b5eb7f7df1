// SPDX-License-Identifier: Apache-2.0
// SOCKS5 UDP ASSOCIATE (RFC 1928, 7): the association, and what its client's datagrams mean.
//
// The association stands as long as the control connection. It belongs to the address that this
// connection came from; the port is the one that the request names (with that address, or none), or
// that of the first datagram with a good header. Each destination is decided like that of a
// CONNECT, once for a while; fragments are dropped and counted.
#include "front/socks_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/attempt.h"
#include "front/front.h"
#include "front/report.h"
#include "front/session.h"
#include "front/socks.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "stream/stream.h"

static struct socks_udp *udp_of(struct datagram *datagram)
{
	return caa_container_of(datagram, struct socks_udp, datagram);
}

static struct session *session_of(const struct socks_udp *udp)
{
	return udp->socks->session;
}

/* Decisions */

static uint64_t generation_of(const struct socks_udp *udp)
{
	return front_snap(session_of(udp)->front)->generation + 1; // never 0
}

bool udp_verdict_holds(const struct socks_udp *udp, const struct datagram_verdict *verdict)
{
	return verdict->generation == generation_of(udp) &&
	       udp->datagram.env->loop->now < verdict->until;
}

enum close_reason udp_decide(struct socks_udp *udp, const struct host *host,
			     const struct endpoint *address, struct datagram_verdict *verdict)
{
	struct session *session = session_of(udp);
	bool had = verdict->generation != 0;
	enum close_reason reason = CLOSE_ACL_DENIED;

	// Whoever is an association's client, its own door is no destination.
	if (!endpoint_equal(address, &udp->bound))
		reason = attempt_permit_direct(&udp->socks->attempt, host, address);
	// Without its listener nothing new is decided, and what was decided stays.
	if (reason == CLOSE_LISTENER_REMOVED && had)
		reason = (enum close_reason)verdict->reason;
	if (reason != CLOSE_NONE && (!had || verdict->reason != reason))
		report_event(session, EVENT_DENIED, reason, 0);
	*verdict = (struct datagram_verdict){
		.generation = generation_of(udp),
		.until = udp->datagram.env->loop->now + UDP_DECISION_NS,
		.reason = (uint8_t)reason,
	};
	return reason;
}

// May the peer's answers pass? As what it was last sent to.
static bool allowed(struct datagram *datagram, struct datagram_peer *peer)
{
	struct socks_udp *udp = udp_of(datagram);
	const struct udp_name *name = peer->named;
	const struct host nameless = {0};

	if (!udp_verdict_holds(udp, &peer->down))
		udp_decide(udp, name ? &name->host : &nameless, &peer->address, &peer->down);
	return peer->down.reason == CLOSE_NONE;
}

static enum metric_datagram_drop drop_of(enum close_reason reason)
{
	return reason == CLOSE_NO_MEMORY ? METRIC_DATAGRAM_DROP_ERROR : METRIC_DATAGRAM_DROP_DENIED;
}

/* From the client */

struct datagram_peer *udp_peer(struct socks_udp *udp, const struct endpoint *address)
{
	struct datagram_peer *peer = datagram_peers_get(&udp->datagram.peers, address);

	if (peer && !peer->prefix_len)
		peer->prefix_len = (uint8_t)socks_udp_build(peer->prefix, address);
	return peer;
}

// The log and the table of connections show the first destination.
static void note_destination(struct socks_udp *udp, const struct datagram_peer *peer,
			     const struct host *host)
{
	struct session *session = session_of(udp);
	char text[HOST_STRLEN];

	if (udp->named)
		return;
	udp->named = true;
	session->upstream = peer->address;
	if (host->kind == HOST_NAME) {
		host_format(host, text);
		free(session->dest);
		session->dest = strdup(text);
	}
}

void udp_send(struct socks_udp *udp, struct packet *packet, struct datagram_peer *peer,
	      struct udp_name *name, const struct host *host)
{
	// What it is called now is what its answers are judged by.
	if (peer->named != name || !peer->down.generation) {
		if (name)
			name->refs++;
		if (peer->named)
			udp_name_unref(peer->named);
		peer->named = name;
		peer->down = name ? name->verdict : peer->up;
	}
	note_destination(udp, peer, host);
	datagram_send(&udp->datagram, packet, peer);
}

static void drop(struct socks_udp *udp, struct packet *packet, enum metric_datagram_drop why)
{
	datagram_drop(&udp->datagram, why, packet_count(packet));
	packet_free(packet);
}

static void send_to_address(struct socks_udp *udp, struct packet *packet,
			    const struct endpoint *address)
{
	struct datagram_peer *peer = udp_peer(udp, address);
	const struct host nameless = {0};

	if (!peer) {
		drop(udp, packet, METRIC_DATAGRAM_DROP_ERROR);
		return;
	}
	if (!udp_verdict_holds(udp, &peer->up))
		udp_decide(udp, &nameless, address, &peer->up);
	if (peer->up.reason != CLOSE_NONE) {
		drop(udp, packet, drop_of((enum close_reason)peer->up.reason));
		return;
	}
	udp->peer = peer;
	udp->name = NULL;
	udp_send(udp, packet, peer, NULL, &nameless);
}

// The header of the last datagram again, and all that was decided still holds.
static bool is_same(const struct socks_udp *udp, const uint8_t *data, uint32_t len)
{
	if (!udp->header_len || len < udp->header_len ||
	    memcmp(data, udp->header, udp->header_len) != 0)
		return false;
	return udp->name ? udp_name_fresh(udp->name) : udp_verdict_holds(udp, &udp->peer->up);
}

static void remember(struct socks_udp *udp, const uint8_t *data, int len)
{
	memcpy(udp->header, data, (size_t)len);
	udp->header_len = (uint16_t)len;
}

// One datagram or a run of them with one header. Owns the packet's share.
static void send_run(struct socks_udp *udp, struct packet *packet,
		     const struct socks_udp_header *header)
{
	struct host host = {0};
	uint8_t wire[SOCKS_UDP_HEADER_MAX];
	int len = packet->skip;

	udp->header_len = 0;
	if (header->fragment) {
		drop(udp, packet, METRIC_DATAGRAM_DROP_FRAGMENT);
		return;
	}
	if (header->named && host_from_name((const char *)header->name.data, header->name.len,
					    header->port, &host) < 0) {
		drop(udp, packet, METRIC_DATAGRAM_DROP_UNRESOLVED);
		return;
	}
	memcpy(wire, packet->data, (size_t)len);
	if (host.kind == HOST_NAME) {
		udp->name = udp_name_send(udp, &host, packet);
		if (udp->name)
			remember(udp, wire, len);
		return;
	}
	udp->peer = NULL;
	send_to_address(udp, packet, host.kind == HOST_ADDRESS ? &host.address : &header->address);
	if (udp->peer)
		remember(udp, wire, len);
}

// The part of a packet from `at` on, of `len` bytes, with `skip` bytes of header in each datagram: the
// packet itself when it is all of it, else `room` filled with a share of the buffer of its own.
static struct packet *part_of(struct packet *packet, uint32_t at, uint32_t len, uint16_t skip,
			      struct packet *room)
{
	if (len < packet->len) {
		*room = *packet;
		packet_share(packet);
		packet = room;
		packet->data += at;
		packet->len = len;
		packet->headroom = 0;
	}
	packet->skip = skip;
	if (len <= packet->segment)
		packet->segment = 0;
	return packet;
}

static void input(struct datagram *datagram, struct packet *packet)
{
	struct socks_udp *udp = udp_of(datagram);
	uint32_t segment = packet->segment ? packet->segment : packet->len, at = 0;

	if (!packet->segment)
		packet->segment = (uint16_t)(packet->len ? packet->len : 1);
	do {
		uint32_t len = packet->len - at < segment ? packet->len - at : segment;
		const uint8_t *data = packet->data + at;
		struct socks_udp_header header;
		bool same = is_same(udp, data, len);
		int n = same ? udp->header_len : socks_udp_parse(data, len, &header);
		if (n < 0 || (!same && !header.port)) {
			datagram_drop(datagram, METRIC_DATAGRAM_DROP_MALFORMED, 1);
			at += len;
			continue;
		}
		if (!same && !header.fragment && !datagram_client_known(datagram)) {
			datagram_fix_client(datagram, &packet->peer);
			report_event(session_of(udp), EVENT_ASSOCIATED, packet->peer.port,
				     udp->bound.port);
		}
		len = (uint32_t)socks_udp_run(packet->data, packet->len, packet->segment, at,
					      (size_t)n);
		struct packet room, *part = part_of(packet, at, len, (uint16_t)n, &room);
		at += len;
		if (!same)
			send_run(udp, part, &header);
		else
			udp_send(udp, part, udp->peer, udp->name,
				 udp->name ? &udp->name->host : &(struct host){0});
	} while (at < packet->len);
	packet_free(packet);
}

static void forget(struct datagram *datagram, struct datagram_peer *peer)
{
	struct socks_udp *udp = udp_of(datagram);

	if (udp->peer == peer) {
		udp->peer = NULL;
		udp->header_len = 0;
	}
	if (peer->named)
		udp_name_unref(peer->named);
	peer->named = NULL;
}

static void moved(struct datagram *datagram, enum datagram_direction direction, uint64_t datagrams,
		  uint64_t bytes)
{
	struct session *session = session_of(udp_of(datagram));
	struct relay *counts = &session->relay;

	counts->dir[direction].bytes[RELAY_COPY] += bytes;
	counts->active = datagram->active;
	if (direction == DATAGRAM_DOWN && !counts->first_byte)
		counts->first_byte = datagram->active;
	metric_add(&session->front->metrics
			    ->relay_bytes[METRIC_PROTOCOL_UDP][direction][METRIC_MOVER_COPY],
		   bytes);
}

static void over(struct datagram *datagram, enum close_reason reason)
{
	session_close(session_of(udp_of(datagram)), reason, false);
}

static const struct datagram_ops datagram_ops = {
	.input = input,
	.allowed = allowed,
	.forget = forget,
	.moved = moved,
	.over = over,
};

/* The control connection */

static void udp_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct socks_udp, deferred));
}

static void udp_release(struct socks *socks)
{
	struct socks_udp *udp = socks->extra;
	struct front *front = socks->session->front;

	if (udp->datagram.open)
		metric_gauge_add(&front->metrics->udp_associations_live, -1);
	datagram_close(&udp->datagram);
	udp_names_release(udp);
	loop_defer(front->loop, &udp->deferred, udp_free);
	socks->extra = NULL;
}

// Nothing is to be said on the control connection any more; its end is the association's.
static void udp_event(struct socks *socks)
{
	struct session *session = socks->session;
	ssize_t n;

	while ((n = session_fill(session)) > 0)
		buf_consume(&session->talk->in, session->talk->in.len);
	if (n == 0)
		session_close(session, CLOSE_CLIENT_EOF, false);
}

static void apply_limits(struct socks_udp *udp, const struct snap *snap)
{
	struct bucket_claim up[2], down[2];

	session_claims(session_of(udp), snap, up, down);
	datagram_limit(&udp->datagram, up, down);
}

static uint64_t deadline_of(const struct session *session, const struct snap *snap)
{
	return snap->timeouts.total_ns ? session->accepted + snap->timeouts.total_ns : UINT64_MAX;
}

static void udp_renew(struct socks *socks)
{
	struct socks_udp *udp = socks->extra;
	struct session *session = socks->session;
	const struct snap *snap = front_snap(session->front);

	if (!udp->datagram.open)
		return;
	// Each destination is decided anew at its next datagram. Here: may there be an association?
	if (session_listener(session, snap)) {
		enum close_reason reason = attempt_permit_nowhere(&socks->attempt);
		if (reason != CLOSE_NONE) {
			metric_inc(&session->front->metrics->sessions_revoked);
			session_close(session, CLOSE_REVOKED, true);
			return;
		}
	}
	datagram_times(&udp->datagram, snap->timeouts.udp_idle_ns, deadline_of(session, snap));
	apply_limits(udp, snap);
}

static const struct socks_command_ops udp_ops = {
	.event = udp_event,
	.renew = udp_renew,
	.release = udp_release,
};

static enum close_reason reason_of_socket(int error)
{
	switch (error) {
	case -EMFILE:
	case -ENFILE:
		return CLOSE_NO_DESCRIPTORS;
	case -ENOMEM:
	case -ENOSPC:
		return CLOSE_NO_MEMORY;
	case -ENOBUFS:
		return CLOSE_NO_BUFFERS;
	case -EADDRINUSE:
		return CLOSE_NO_PORTS;
	default:
		return CLOSE_INTERNAL;
	}
}

// From where datagrams are expected. A port that comes with another address than the client's is that
// of a client behind a translator, and says nothing.
static struct endpoint client_of(const struct session *session, const struct host *named)
{
	struct endpoint client = session->peer;

	client.port = 0;
	if (named->kind == HOST_ADDRESS && (endpoint_same_ip(&named->address, &session->peer) ||
					    endpoint_is_unspecified(&named->address)))
		client.port = named->port;
	return client;
}

static int open_datagram(struct socks_udp *udp, const struct endpoint *client)
{
	struct session *session = session_of(udp);
	struct front *front = session->front;
	const struct snap *snap = front_snap(front);
	struct endpoint local;
	int r = session->client->ops->local(session->client, &local);

	if (r < 0)
		return r;
	udp->datagram = (struct datagram){
		.env = &front->datagrams,
		.ops = &datagram_ops,
		.account = {session->user, session->address},
		.idle_ns = snap->timeouts.udp_idle_ns,
		.deadline = deadline_of(session, snap),
	};
	return datagram_open(&udp->datagram, &local, client, &udp->bound);
}

void socks_udp_begin(struct socks *socks)
{
	struct session *session = socks->session;
	struct front *front = session->front;
	struct socks_udp *udp = calloc(1, sizeof(*udp));
	struct endpoint client = client_of(session, &socks->attempt.host);

	if (!udp) {
		socks_reply(socks, CLOSE_NO_MEMORY, NULL);
		return;
	}
	CDS_INIT_LIST_HEAD(&udp->names);
	udp->socks = socks;
	socks->extra = udp;
	socks->ops = &udp_ops;
	session_set_protocol(session, METRIC_PROTOCOL_UDP);
	socks->attempt.host = (struct host){0};
	enum close_reason refused = attempt_decide(&socks->attempt);
	if (refused == CLOSE_NONE && socks->attempt.parent_id)
		refused = CLOSE_NO_ROUTE; // datagrams do not go through parents
	if (refused == CLOSE_NONE) {
		int r = open_datagram(udp, &client);
		if (r < 0)
			refused = reason_of_socket(r);
	}
	if (refused != CLOSE_NONE) {
		socks_reply(socks, refused, NULL);
		return;
	}
	metric_gauge_add(&front->metrics->udp_associations_live, 1);
	apply_limits(udp, front_snap(front));
	report_event(session, EVENT_ASSOCIATED, client.port, udp->bound.port);
	socks_reply(socks, CLOSE_NONE, &udp->bound);
	if (session->phase != SESSION_TALK)
		return;
	session_associate(session);
	udp_event(socks); // its end may be there already
}
