// SPDX-License-Identifier: Apache-2.0
// SOCKS BIND: a listening socket for the one peer that the client has announced.
//
// The announced destination is decided like that of a CONNECT, and resolved when it is a name. A peer
// is then told by its address alone, since the port that it will come from is seldom known
// beforehand. With the unspecified address the client announces nobody: every peer is decided
// when it comes, as a destination with the port that it comes from. Whoever is not the one is closed
// and counted, and the wait goes on.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/attempt.h"
#include "front/front.h"
#include "front/report.h"
#include "front/session.h"
#include "front/socks.h"
#include "io/listener.h"
#include "io/route.h"
#include "io/sys.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "stream/tcp.h"
#include "upstream/dial.h"
#include "upstream/resolver.h"

enum {
	BACKLOG = 8,
	PEERS_MAX = 2 * RESOLVER_ADDRESSES_MAX, // addresses of the announced name
};

struct socks_bind {
	struct socks *socks;
	struct listener listener;
	struct resolver_wait wait4, wait6;
	struct deferred deferred;
	struct endpoint peers[PEERS_MAX]; // who may connect, each with the announced port
	unsigned count;
	enum close_reason denied;    // why an address of the name is not among them
	enum resolver_status status; // of the name, when it has no address
	uint64_t began;              // ns
	bool any;                    // nobody was announced
	bool listening;
};

static struct front *front_of(const struct socks_bind *bind)
{
	return bind->socks->session->front;
}

static void bind_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct socks_bind, deferred));
}

static void stop_listening(struct socks_bind *bind)
{
	if (!bind->listening)
		return;
	bind->listening = false;
	// A paused listener does not accept those who wait in its queue: they are reset.
	listener_pause(&bind->listener);
	listener_release(&bind->listener);
}

static void stop(struct socks_bind *bind)
{
	resolver_cancel(&bind->wait4);
	resolver_cancel(&bind->wait6);
	stop_listening(bind);
}

static void bind_release(struct socks *socks)
{
	struct socks_bind *bind = socks->extra;

	stop(bind);
	loop_defer(front_of(bind)->loop, &bind->deferred, bind_free);
	socks->extra = NULL;
}

static void fail(struct socks_bind *bind, enum close_reason reason)
{
	stop(bind);
	socks_reply(bind->socks, reason, NULL);
}

static enum close_reason reason_of_socket(int error)
{
	switch (error) {
	case -EMFILE:
	case -ENFILE:
		return CLOSE_NO_DESCRIPTORS;
	case -EADDRINUSE:
		return CLOSE_NO_PORTS;
	case -ENOMEM:
	case -ENOSPC:
		return CLOSE_NO_MEMORY;
	case -ENOBUFS:
		return CLOSE_NO_BUFFERS;
	default:
		return CLOSE_CONNECT_UNREACHABLE;
	}
}

// Where nobody was announced: our address towards the world; towards ourselves for a client that is
// on this very host.
static int address_for_any(const struct socks_bind *bind, int family, struct endpoint *ret_local)
{
	static const uint8_t loopback[16] = {[15] = 1};
	// Reserved for documentation (RFC 5737, RFC 3849): only the route is of interest.
	static const uint8_t world[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct session *session = bind->socks->session;
	struct endpoint local = {0};

	session->client->ops->local(session->client, &local);
	if (endpoint_is_loopback(&session->peer)) {
		*ret_local = local.family == family ? local
			     : family == AF_INET    ? endpoint_v4(INADDR_LOOPBACK, 0)
						    : endpoint_v6(loopback, 0, 0);
		return 0;
	}
	struct endpoint to =
		family == AF_INET ? endpoint_v4(0xc0000201, 9) : endpoint_v6(world, 9, 0);
	int r = route_local(&to, ret_local);
	if (r == 0 || local.family != family)
		return r;
	*ret_local = local;
	return 0;
}

static int open_socket(const struct endpoint *local, struct endpoint *ret_bound)
{
	struct endpoint address = *local;
	struct sockaddr_storage addr;
	const int one = 1;

	address.port = 0;
	socklen_t len = endpoint_to_sockaddr(&address, &addr);
	int fd = sys_socket(address.family, SOCK_STREAM);
	if (fd < 0)
		return fd;
	// Accepted sockets inherit it.
	sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int r = sys_bind(fd, (struct sockaddr *)&addr, len);
	if (r == 0)
		r = sys_listen(fd, BACKLOG);
	if (r == 0)
		r = sys_getsockname(fd, &addr);
	if (r == 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret_bound);
	if (r < 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

// CLOSE_NONE: this peer is the one. `ret_as`: what it was decided as.
static enum close_reason judge(struct socks_bind *bind, const struct endpoint *peer,
			       struct endpoint *ret_as)
{
	struct attempt *attempt = &bind->socks->attempt;
	const struct host nobody = {0};

	*ret_as = *peer;
	if (bind->any)
		return attempt_permit_direct(attempt, &nobody, peer);
	for (unsigned i = 0; i < bind->count; i++) {
		if (!endpoint_same_ip(&bind->peers[i], peer))
			continue;
		if (bind->peers[i].port)
			ret_as->port = bind->peers[i].port;
		return attempt_permit_direct(attempt, &attempt->host, ret_as);
	}
	return CLOSE_BIND_FOREIGN_PEER;
}

static void accepted(struct listener *listener, int fd, const struct sockaddr *addr)
{
	struct socks_bind *bind = caa_container_of(listener, struct socks_bind, listener);
	struct socks *socks = bind->socks;
	struct session *session = socks->session;
	struct front *front = session->front;
	struct endpoint peer, as;
	struct stream *stream;

	if (!bind->listening ||
	    endpoint_from_sockaddr(addr, sizeof(struct sockaddr_storage), &peer) < 0) {
		sys_abort(fd);
		return;
	}
	if (judge(bind, &peer, &as) != CLOSE_NONE) {
		metric_inc(&front->metrics->bind_foreign_peers);
		sys_abort(fd);
		return;
	}
	stop_listening(bind);
	if (tcp_stream_new(front->loop, fd, STREAM_OUT, &stream) < 0) {
		sys_abort(fd);
		fail(bind, CLOSE_NO_MEMORY);
		return;
	}
	uint64_t waited = (front->loop->now - bind->began) / 1000;
	report_event(session, EVENT_BIND_PEER, peer.port, waited);
	session->connect_us = waited > UINT32_MAX ? UINT32_MAX : (uint32_t)waited;
	session->upstream = as;
	socks_reply(socks, CLOSE_NONE, &peer);
	session_tunnel(session, stream, NULL, 0);
}

static uint64_t after(const struct socks_bind *bind, uint64_t span)
{
	return span ? front_of(bind)->loop->now + span : UINT64_MAX;
}

static void listen_on(struct socks_bind *bind, const struct endpoint *local)
{
	struct socks *socks = bind->socks;
	struct session *session = socks->session;
	struct front *front = session->front;
	struct endpoint bound = {0};
	int fd = open_socket(local, &bound);
	int r = fd < 0 ? fd : listener_init(&bind->listener, front->loop, fd, accepted, NULL);

	if (r < 0) {
		if (fd >= 0)
			sys_close(fd);
		fail(bind, reason_of_socket(r));
		return;
	}
	bind->listening = true;
	bind->began = front->loop->now;
	report_event(session, EVENT_BOUND, bound.port, 0);
	session_deadline(session, after(bind, front_snap(front)->timeouts.bind_ns));
	socks_reply(socks, CLOSE_NONE, &bound);
}

// Whom to wait for is known.
static void announced(struct socks_bind *bind)
{
	struct endpoint local;
	int r;

	if (bind->any) {
		r = address_for_any(bind, bind->peers[0].family, &local);
	} else if (bind->count == 0) {
		fail(bind, bind->denied != CLOSE_NONE         ? bind->denied
			   : bind->status == RESOLVER_TIMEOUT ? CLOSE_RESOLVE_TIMEOUT
							      : CLOSE_RESOLVE_FAILED);
		return;
	} else {
		r = route_local(&bind->peers[0], &local);
	}
	if (r < 0)
		fail(bind, reason_of_socket(r));
	else
		listen_on(bind, &local);
}

// Takes an address of the announced destination if the rules do.
static void add_peer(struct socks_bind *bind, const struct endpoint *address)
{
	struct attempt *attempt = &bind->socks->attempt;
	struct endpoint peer = *address;

	peer.port = attempt->host.port;
	enum close_reason reason = attempt_permit_direct(attempt, &attempt->host, &peer);
	if (reason != CLOSE_NONE)
		bind->denied = reason;
	else if (bind->count < PEERS_MAX)
		bind->peers[bind->count++] = peer;
}

static void take_answer(struct socks_bind *bind, const struct resolver_answer *answer)
{
	if (answer->status != RESOLVER_OK)
		bind->status = answer->status;
	for (unsigned i = 0; i < answer->count; i++)
		add_peer(bind, &answer->addresses[i]);
}

static void answered(struct socks_bind *bind, const struct resolver_answer *answer)
{
	uint64_t took = (front_of(bind)->loop->now - bind->began) / 1000;

	take_answer(bind, answer);
	if (bind->wait4.entry || bind->wait6.entry)
		return;
	bind->socks->session->resolve_us = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	announced(bind);
}

static void answered4(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	answered(caa_container_of(wait, struct socks_bind, wait4), answer);
}

static void answered6(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	answered(caa_container_of(wait, struct socks_bind, wait6), answer);
}

static void look_up(struct socks_bind *bind, int family, struct resolver_wait *wait,
		    resolver_done_fn *done)
{
	const struct host *host = &bind->socks->attempt.host;
	struct resolver_answer answer;

	wait->done = done;
	int r = resolver_lookup(front_of(bind)->dialer->resolver, host->name, host->name_len,
				family, wait, &answer);
	if (r > 0)
		take_answer(bind, &answer);
	else if (r < 0)
		bind->denied = r == -EBUSY ? CLOSE_RESOLVER_BUSY : CLOSE_NO_MEMORY;
}

static void resolve(struct socks_bind *bind)
{
	struct session *session = bind->socks->session;

	if (!front_of(bind)->dialer->resolver) {
		fail(bind, CLOSE_RESOLVE_FAILED);
		return;
	}
	session_deadline(session, after(bind, front_snap(session->front)->timeouts.resolve_ns));
	look_up(bind, AF_INET, &bind->wait4, answered4);
	// A SOCKS4 reply has no room for anything else.
	if (bind->socks->version != 4)
		look_up(bind, AF_INET6, &bind->wait6, answered6);
	if (!bind->wait4.entry && !bind->wait6.entry)
		announced(bind);
}

static void bind_timeout(struct socks *socks)
{
	struct socks_bind *bind = socks->extra;
	struct session *session = socks->session;
	enum close_reason finish = session->talk->finish;

	if (bind->listening)
		fail(bind, CLOSE_BIND_TIMEOUT);
	else if (bind->wait4.entry || bind->wait6.entry)
		fail(bind, CLOSE_RESOLVE_TIMEOUT);
	else // answered, and the client does not take it
		session_close(session, finish != CLOSE_NONE ? finish : CLOSE_CLIENT_TIMEOUT, true);
}

static void bind_drain(struct socks *socks)
{
	struct socks_bind *bind = socks->extra;

	if (bind->listening)
		fail(bind, CLOSE_DRAINED);
}

// What the client sends meanwhile goes to the peer later; its end ends the wait.
static void bind_event(struct socks *socks)
{
	ssize_t n;

	do
		n = session_fill(socks->session);
	while (n > 0);
	if (n == 0)
		session_close(socks->session, CLOSE_CLIENT_ABORTED, false);
}

static const struct socks_command_ops bind_ops = {
	.event = bind_event,
	.timeout = bind_timeout,
	.drain = bind_drain,
	.release = bind_release,
};

static bool is_unspecified(const struct host *host)
{
	static const uint8_t zero[16];

	return host->kind == HOST_ADDRESS && memcmp(host->address.ip, zero, sizeof(zero)) == 0;
}

void socks_bind_begin(struct socks *socks)
{
	struct session *session = socks->session;
	struct attempt *attempt = &socks->attempt;
	struct socks_bind *bind = calloc(1, sizeof(*bind));

	if (!bind) {
		socks_reply(socks, CLOSE_NO_MEMORY, NULL);
		return;
	}
	bind->socks = socks;
	bind->began = session->front->loop->now;
	bind->status = RESOLVER_NOT_FOUND;
	socks->extra = bind;
	socks->ops = &bind_ops;
	session_set_protocol(session, METRIC_PROTOCOL_BIND);
	if (is_unspecified(&attempt->host)) {
		bind->any = true;
		bind->peers[0] = attempt->host.address;
		attempt->host = (struct host){0};
	}
	enum close_reason refused = attempt_decide(attempt);
	if (refused == CLOSE_NONE && attempt->parent_id)
		refused = CLOSE_NO_ROUTE; // no peer connects to us through a parent
	if (refused != CLOSE_NONE) {
		fail(bind, refused);
		return;
	}
	if (attempt->host.kind == HOST_NAME) {
		resolve(bind);
	} else {
		if (!bind->any)
			add_peer(bind, &attempt->host.address);
		announced(bind);
	}
	// Its end may be there already.
	if (session->phase == SESSION_TALK && session->talk->finish == CLOSE_NONE)
		bind_event(socks);
}
