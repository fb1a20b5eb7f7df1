// SPDX-License-Identifier: Apache-2.0
// Sessions and requests as metrics, access log lines and flight recorder events.
#include "front/report.h"

#include <string.h>
#include <urcu/compiler.h>

#include "base/host.h"
#include "front/driver.h"
#include "front/front.h"
#include "front/http.h"
#include "io/sys.h"
#include "obs/access.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "snap/snap.h"

void report_event(struct session *session, enum flight_code code, uint64_t a, uint64_t b)
{
	struct front *front = session->front;

	flight_event(front->flight, &session->flight, front->loop->now, code, flight_a(a),
		     flight_b(b));
}

void report_accept(struct session *session)
{
	flight_tag_init(&session->flight, session->front->flight, session->id);
	report_event(session, EVENT_ACCEPTED, session->listener_id & 0xffff, session->peer.port);
}

void report_phase(struct session *session, enum session_phase from, enum session_phase to)
{
	struct metrics *metrics = session->front->metrics;

	report_event(session, EVENT_STATE, from, to);
	if (to == SESSION_RELAY)
		metric_gauge_add(&metrics->relays_live, 1);
	else if (from == SESSION_RELAY)
		metric_gauge_add(&metrics->relays_live, -1);
}

static struct slice text_of(const char *text)
{
	return text ? slice_from_string(text) : (struct slice){0};
}

// The destination as the client named it: the session's text taken apart again, or the address.
static void fill_destination(const struct session *session, struct access_record *record,
			     char text[static ENDPOINT_STRLEN])
{
	const char *colon = session->dest ? strrchr(session->dest, ':') : NULL;
	uint16_t port;

	if (colon && endpoint_parse_port(colon + 1, strlen(colon + 1), &port) == 0) {
		record->host = slice_make(session->dest, (size_t)(colon - session->dest));
		record->port = port;
	} else if (endpoint_is_set(&session->upstream)) {
		record->host = slice_make(text, endpoint_format_ip(&session->upstream, text));
		record->port = session->upstream.port;
	}
}

static uint64_t ns_of(uint32_t us)
{
	return us ? (uint64_t)us * 1000 : ACCESS_NONE;
}

static struct access_record record_of(const struct session *session, uint64_t began,
				      char text[static ENDPOINT_STRLEN])
{
	const struct snap_listener *listener =
		session_listener(session, front_snap(session->front));
	uint64_t age = session->front->loop->now - began;
	struct access_record record = {
		.wall = sys_wall() - (int64_t)age,
		.session = session->id,
		.client = &session->peer,
		.listener = text_of(listener ? listener->name : NULL),
		.protocol = session->protocol,
		.user = text_of(session->user_name),
		.address = endpoint_is_set(&session->upstream) ? &session->upstream : NULL,
		.route = text_of(session->route),
		.parent = text_of(session->parent),
		.rule = text_of(session->rule),
		.queue = ACCESS_NONE,
		.auth = ns_of(session->auth_us),
		.resolve = ns_of(session->resolve_us),
		.connect = ns_of(session->connect_us),
		.first_byte = ACCESS_NONE,
		.total = age,
	};

	fill_destination(session, &record, text);
	return record;
}

static void close_in_flight(struct session *session)
{
	const struct relay *relay = &session->relay;
	struct flight_summary summary = {
		.session = session->id,
		.opened = session->accepted,
		.closed = session->front->loop->now,
		.bytes_up = relay_bytes(relay, RELAY_UP),
		.bytes_down = relay_bytes(relay, RELAY_DOWN),
		.client = session->peer,
		.address = session->upstream,
		.port = session->upstream.port,
		.protocol = session->protocol,
		.reason = session->reason,
	};

	if (session->user_name)
		memccpy(summary.user, session->user_name, 0, sizeof(summary.user) - 1);
	if (session->dest)
		memccpy(summary.host, session->dest, 0, sizeof(summary.host) - 1);
	flight_close(session->front->flight, &session->flight, &summary);
}

static void log_session(struct session *session)
{
	const struct relay *relay = &session->relay;
	char text[ENDPOINT_STRLEN];
	struct access_record record = record_of(session, session->accepted, text);

	record.bytes_up = relay_bytes(relay, RELAY_UP);
	record.bytes_down = relay_bytes(relay, RELAY_DOWN);
	for (int d = 0; d < 2; d++) {
		record.bytes_spliced += relay->dir[d].bytes[RELAY_SPLICE];
		record.bytes_copied += relay->dir[d].bytes[RELAY_COPY];
	}
	if (session->admitted_us)
		record.queue = (uint64_t)session->admitted_us * 1000;
	if (relay->first_byte)
		record.first_byte = relay->first_byte - session->accepted;
	record.reason = (enum close_reason)session->reason;
	access_write(&record);
}

void report_end(struct session *session)
{
	struct front *front = session->front;
	struct metrics *metrics = front->metrics;
	enum close_reason reason = (enum close_reason)session->reason;
	unsigned denial = metric_denial_of(reason);

	report_event(session, EVENT_CLOSED, reason, 0);
	log_debug(LOG_SESSION, "session ended", LOG_STR("reason", close_reason_name(reason)),
		  LOG_ENDPOINT("client", &session->peer), LOG_ID("session", session->id), LOG_END);
	metric_inc(&metrics->connections_closed[reason]);
	if (denial != METRIC_DENIAL_COUNT)
		metric_inc(&metrics->requests_denied[denial]);
	hist_record(&metrics->connection_duration, front->loop->now - session->accepted);
	if (session->relay.first_byte && session->admitted_us) {
		uint64_t admitted = session->accepted + (uint64_t)session->admitted_us * 1000;
		if (session->relay.first_byte > admitted)
			hist_record(&metrics->first_byte[session->protocol],
				    session->relay.first_byte - admitted);
	}
	if (close_reason_abnormal(reason))
		close_in_flight(session);
	// Of an HTTP connection each request has a line of its own, unless there was none or it became a
	// tunnel.
	if (access_wants() && !session->by_request)
		log_session(session);
}

void report_request(struct http_client *client, unsigned status, bool by_proxy,
		    enum close_reason reason)
{
	struct session *session = client->session;
	struct metrics *metrics = session->front->metrics;
	uint64_t now = session->front->loop->now;
	uint64_t began = client->request.began ? client->request.began : now;
	struct http_exchange *ex = client->exchange;

	if (status)
		report_event(session, by_proxy ? EVENT_REPLIED : EVENT_RESPONSE, status,
			     (now - began) / 1000);
	hist_record(&metrics->http_request_duration, now - began);
	// A tunnel's line comes when it ends.
	session->by_request = status != 101 && (client->request.method != HTTP_METHOD_CONNECT ||
						reason != CLOSE_NONE);
	if (!access_wants() || !session->by_request)
		return;
	char text[ENDPOINT_STRLEN];
	struct access_record record = record_of(session, began, text);
	record.request = client->requests;
	record.method = http_method_name((enum http_method)client->request.method);
	record.path = text_of(client->request.path);
	record.status = status;
	record.has_status = status != 0;
	record.reason = reason == CLOSE_NONE ? CLOSE_DONE : reason;
	if (ex) {
		record.bytes_up = ex->bytes_up;
		record.bytes_down = ex->bytes_down;
		record.bytes_copied = ex->bytes_up + ex->bytes_down;
		if (ex->first_byte)
			record.first_byte = ex->first_byte - began;
	}
	access_write(&record);
}

void report_moved(struct relay *relay, enum relay_direction direction, enum relay_mover mover,
		  uint64_t bytes)
{
	struct session *session = caa_container_of(relay, struct session, relay);

	metric_add(&session->front->metrics->relay_bytes
			    [session->protocol]
			    [direction == RELAY_UP ? METRIC_DIRECTION_UP : METRIC_DIRECTION_DOWN]
			    [mover == RELAY_SPLICE ? METRIC_MOVER_SPLICE : METRIC_MOVER_COPY],
		   bytes);
}

void report_shifted(struct relay *relay, enum relay_direction direction)
{
	struct session *session = caa_container_of(relay, struct session, relay);
	unsigned mover = relay->dir[direction].mover == RELAY_SPLICE ? METRIC_MOVER_SPLICE
								     : METRIC_MOVER_COPY;

	report_event(session, EVENT_MOVER,
		     direction == RELAY_UP ? METRIC_DIRECTION_UP : METRIC_DIRECTION_DOWN, mover);
	metric_inc(&session->front->metrics->relay_mover_changes[mover]);
}

void report_relay_end(struct relay *relay, enum relay_direction direction, bool written)
{
	struct session *session = caa_container_of(relay, struct session, relay);

	report_event(session, written ? EVENT_END_WRITTEN : EVENT_END_READ,
		     direction == RELAY_UP ? METRIC_DIRECTION_UP : METRIC_DIRECTION_DOWN,
		     written ? 0 : relay_bytes(relay, direction) / 1024);
}
