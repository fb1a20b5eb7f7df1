// SPDX-License-Identifier: Apache-2.0
// Deciding and connecting on behalf of a session.
#include "front/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/front.h"
#include "front/report.h"
#include "front/session.h"
#include "io/loop.h"
#include "io/sys.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/acl.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "upstream/dial.h"

static enum close_reason reason_of(const struct acl_verdict *verdict)
{
	if (verdict->result != ACL_DENY)
		return CLOSE_NONE;
	switch (verdict->cause) {
	case ACL_BY_LOCAL:
		return CLOSE_LOCAL_DESTINATION_DENIED;
	case ACL_BY_ADMIN:
		return CLOSE_ADMIN_DESTINATION_DENIED;
	default:
		return CLOSE_ACL_DENIED;
	}
}

static void keep_text(char **text, const char *value)
{
	// A log line without the text is better than a session that fails for it.
	free(*text);
	*text = value ? strdup(value) : NULL;
}

static enum close_reason decide(struct attempt *attempt, const struct host *host,
				const struct endpoint *address,
				const struct snap_parent **ret_parent)
{
	struct session *session = attempt->session;
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);
	struct acl_verdict verdict;
	struct endpoint local;

	if (!listener)
		return CLOSE_LISTENER_REMOVED;
	struct acl_query query = {
		.listener = listener,
		.user = session->user_id ? snap_user_by_id(snap, session->user_id) : NULL,
		.host = host,
		.address = address,
		.source = session->peer,
		.protocol = attempt->protocols,
		.fixed_target = attempt->route_id != 0,
		.wall_seconds = sys_wall() / 1000000000,
	};
	if (session->user_id && !query.user)
		return CLOSE_REVOKED;
	// An admin listener on all addresses answers where the client found us, too.
	if (snap->admin.enabled && endpoint_is_unspecified(&snap->admin.address) &&
	    session->client && session->client->ops->local(session->client, &local) == 0)
		query.local = &local;
	acl_decide(snap, &query, &verdict);
	keep_text(&session->rule, verdict.rule ? verdict.rule->name : NULL);
	if (verdict.result == ACL_ALLOW && ret_parent)
		*ret_parent = verdict.parent;
	return reason_of(&verdict);
}

// For logs and tables. An address that we connect ourselves is told by session->upstream.
static void keep_destination(struct session *session, const struct host *host, bool by_parent)
{
	char text[HOST_STRLEN];

	keep_text(&session->dest, NULL);
	if (host->kind == HOST_NONE)
		return;
	if (host->kind == HOST_ADDRESS && !by_parent) {
		session->upstream = host->address;
		return;
	}
	host_format(host, text);
	keep_text(&session->dest, text);
}

// The destination of a route, for rules and logs: the name that led to it (a server name, an HTTP Host)
// and the port of its first target; without a name, that target.
static void name_route(struct attempt *attempt, const struct host *target)
{
	if (attempt->name_len)
		(void)host_from_name(attempt->name, attempt->name_len, target->port,
				     &attempt->host);
	if (attempt->host.kind == HOST_NAME)
		attempt->host.port = target->port;
	else
		attempt->host = *target;
}

enum close_reason attempt_decide(struct attempt *attempt)
{
	struct session *session = attempt->session;
	const struct snap *snap = front_snap(session->front);
	const struct snap_parent *parent = NULL;
	const struct host *host = &attempt->host;

	session->protocols = attempt->protocols;
	session->fixed_target = attempt->route_id != 0;
	if (attempt->route_id) {
		const struct snap_route *route = snap_route_by_id(snap, attempt->route_id);
		if (!route)
			return CLOSE_NO_ROUTE;
		keep_text(&session->route, route->name);
		parent = route->parent;
		name_route(attempt, &route->targets[0].host);
	}
	enum close_reason reason = decide(attempt, host, NULL, attempt->route_id ? NULL : &parent);
	attempt->parent_id = parent ? parent->id : 0;
	keep_text(&session->parent, parent ? parent->name : NULL);
	keep_destination(session, host, parent != NULL);
	if (reason == CLOSE_NONE)
		report_event(session, EVENT_ALLOWED, 0, host->port);
	else
		report_event(session, EVENT_DENIED, reason, 0);
	return reason;
}

enum close_reason attempt_permit(struct attempt *attempt, const struct endpoint *address)
{
	struct host host = attempt->host;

	if (host.kind == HOST_NONE && address)
		host = host_from_endpoint(address);
	return decide(attempt, &host, address, NULL);
}

enum close_reason attempt_permit_direct(struct attempt *attempt, const struct host *host,
					const struct endpoint *address)
{
	const struct snap_parent *parent = NULL;
	struct host named = host->kind == HOST_NONE ? host_from_endpoint(address) : *host;
	enum close_reason reason = decide(attempt, &named, address, &parent);

	return reason == CLOSE_NONE && parent ? CLOSE_NO_ROUTE : reason;
}

enum close_reason attempt_permit_nowhere(struct attempt *attempt)
{
	const struct snap_parent *parent = NULL;
	const struct host nowhere = {0};
	enum close_reason reason = decide(attempt, &nowhere, NULL, &parent);

	return reason == CLOSE_NONE && parent ? CLOSE_NO_ROUTE : reason;
}

static enum close_reason permit(void *owner, const struct endpoint *address,
				const struct snap_parent **ret_parent)
{
	struct attempt *attempt = owner;
	struct host host = attempt->host;

	if (host.kind == HOST_NONE)
		host = host_from_endpoint(address);
	enum close_reason reason =
		decide(attempt, &host, address, attempt->route_id ? NULL : ret_parent);
	if (reason != CLOSE_NONE)
		report_event(attempt->session, EVENT_DENIED, reason, 0);
	return reason;
}

static uint32_t us(uint64_t ns)
{
	return ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
}

static void report_dialed(struct session *session, const struct dial_result *result)
{
	if (result->reason == CLOSE_RESOLVE_FAILED || result->reason == CLOSE_RESOLVE_TIMEOUT ||
	    result->reason == CLOSE_RESOLVER_BUSY)
		report_event(session, EVENT_RESOLVE_FAILED, result->reason,
			     result->resolve_ns / 1000);
	else if (result->resolve_ns)
		report_event(session, EVENT_RESOLVED, 0, result->resolve_ns / 1000);
	if (result->parent_status)
		report_event(session, EVENT_PARENT_REFUSED, result->parent_status, 0);
	if (result->reason == CLOSE_NONE)
		report_event(session, EVENT_CONNECTED, result->attempts, result->connect_ns / 1000);
	else if (result->attempts)
		report_event(session, EVENT_CONNECT_FAILED, result->attempts,
			     (uint64_t)-result->error);
}

// A reload while it was being connected has judged what was connected then, and this was not.
static enum close_reason judge_again(struct attempt *attempt, const struct dial_result *result)
{
	struct session *session = attempt->session;
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);

	if (result->reason != CLOSE_NONE || snap->generation == attempt->generation)
		return result->reason;
	if (listener && listener->auth_required && !session->user_id && !attempt->route_id)
		return CLOSE_AUTH_REQUIRED;
	// What a parent connects is known by its name only.
	return attempt_permit(attempt, result->parent_id ? NULL : &result->peer);
}

static void dialed(struct loop *loop, void *owner, const struct dial_result *result)
{
	struct attempt *attempt = owner;
	struct session *session = attempt->session;
	struct dial_result denied = *result;

	session->upstream = result->peer;
	session->by_parent = result->parent_id != 0;
	if (result->parent_id != attempt->parent_id) { // a rule for the address named it
		const struct snap_parent *parent =
			snap_parent_by_id(front_snap(session->front), result->parent_id);
		keep_text(&session->parent, parent ? parent->name : NULL);
	}
	session->resolve_us = us(result->resolve_ns);
	session->connect_us = us(result->connect_ns);
	report_dialed(session, result);
	if (result->reason == CLOSE_RESOLVE_FAILED || result->reason == CLOSE_RESOLVE_TIMEOUT)
		log_debug(LOG_DNS, "name not resolved", LOG_STR("name", session->dest),
			  LOG_ID("session", session->id), LOG_END);
	else if (result->reason != CLOSE_NONE)
		log_debug(LOG_UPSTREAM, "destination not reached",
			  LOG_STR("reason", close_reason_name(result->reason)),
			  LOG_ENDPOINT("address", &result->peer), LOG_ERRNO("error", result->error),
			  LOG_ID("session", session->id), LOG_END);
	denied.reason = judge_again(attempt, result);
	if (denied.reason == result->reason) {
		attempt->done(attempt, result);
		return;
	}
	report_event(session, EVENT_DENIED, denied.reason, 0);
	stream_close(loop, result->stream, STREAM_RST);
	denied.stream = NULL;
	denied.early = (struct slice){0};
	attempt->done(attempt, &denied);
}

enum close_reason attempt_dial(struct attempt *attempt)
{
	struct session *session = attempt->session;
	struct front *front = session->front;
	const struct snap *snap = front_snap(front);
	struct dial_request request = {
		.parent = attempt->parent_id ? snap_parent_by_id(snap, attempt->parent_id) : NULL,
		.parent_plain = attempt->parent_plain,
		.client = session->peer,
		.resolve_ns = snap->timeouts.resolve_ns,
		.connect_ns = snap->timeouts.connect_ns,
		.owner = attempt,
		.permit = permit,
		.done = dialed,
	};

	if (attempt->parent_id && !request.parent)
		return CLOSE_NO_ROUTE;
	if (attempt->route_id) {
		const struct snap_route *route = snap_route_by_id(snap, attempt->route_id);
		if (!route)
			return CLOSE_NO_ROUTE;
		request.targets = route->targets;
		request.target_count = route->target_count;
		request.send_proxy = route->send_proxy;
		if (route->send_proxy && session->client)
			session->client->ops->local(session->client, &request.local);
	} else {
		request.host = &attempt->host;
	}
	attempt->began = front->loop->now;
	attempt->generation = snap->generation;
	// The request is complete and allowed: from here on the dial's own times hold.
	session_deadline(session, UINT64_MAX);
	return dial_start(front->dialer, &request, &attempt->dial) < 0 ? CLOSE_NO_MEMORY
								       : CLOSE_NONE;
}

void attempt_cancel(struct attempt *attempt)
{
	dial_cancel(attempt->dial);
}
