// SPDX-License-Identifier: Apache-2.0
// The drivers for connections that name no destination: TLS passed through by its SNI, and raw TCP.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/attempt.h"
#include "front/driver.h"
#include "front/front.h"
#include "front/session.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "proto/tlshello/tlshello.h"
#include "snap/snap.h"
#include "upstream/dial.h"

struct raw {
	struct attempt attempt;
	bool routed;
	struct tlshello *hello; // of TLS, until it is read
};

static int raw_begin(struct session *session)
{
	session->driver_state = calloc(1, sizeof(struct raw));
	return session->driver_state ? 0 : -ENOMEM;
}

static int tls_begin(struct session *session)
{
	struct raw *raw;

	if (raw_begin(session) < 0)
		return -ENOMEM;
	raw = session->driver_state;
	raw->hello = malloc(sizeof(*raw->hello));
	if (!raw->hello) {
		free(raw);
		session->driver_state = NULL;
		return -ENOMEM;
	}
	tlshello_init(raw->hello, TLSHELLO_LIMIT_DEFAULT);
	return 0;
}

static void raw_release(struct session *session)
{
	struct raw *raw = session->driver_state;

	attempt_cancel(&raw->attempt);
	free(raw->hello);
	free(raw);
	session->driver_state = NULL;
}

static void connected(struct attempt *attempt, const struct dial_result *result)
{
	struct session *session = attempt->session;

	if (result->reason != CLOSE_NONE)
		session_close(session, result->reason, true);
	else
		session_tunnel(session, result->stream, result->early.data, result->early.len);
}

static void route(struct session *session, uint32_t route_protocol, uint32_t protocol,
		  const char *sni, size_t sni_len)
{
	struct raw *raw = session->driver_state;
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);
	const struct snap_route *found =
		listener ? snap_route_find(snap, listener, route_protocol, sni, sni_len, NULL, 0)
			 : NULL;

	raw->routed = true;
	session->talk->paused = true;
	if (!found) {
		session_close(session,
			      route_protocol == SNAP_ROUTE_TLS && !sni ? CLOSE_TLS_NO_SNI
								       : CLOSE_NO_ROUTE,
			      false);
		return;
	}
	raw->attempt = (struct attempt){.session = session,
					.done = connected,
					.name = sni,
					.name_len = sni_len,
					.protocols = protocol,
					.route_id = found->id};
	enum close_reason refused = attempt_decide(&raw->attempt);
	if (refused == CLOSE_NONE)
		refused = attempt_dial(&raw->attempt);
	if (refused != CLOSE_NONE)
		session_close(session, refused, false);
}

static void raw_input(struct session *session)
{
	struct raw *raw = session->driver_state;

	if (!raw->routed)
		route(session, SNAP_ROUTE_TCP, SNAP_PROTO_TCP, NULL, 0);
}

static void tls_input(struct session *session)
{
	struct raw *raw = session->driver_state;
	struct talk *talk = session->talk;

	if (raw->routed)
		return;
	int r = tlshello_feed(raw->hello, buf_data(&talk->in), talk->in.len);
	if (r < 0) {
		metric_inc(&session->front->metrics->messages_malformed[METRIC_PARSE_TLS]);
		log_debug(LOG_TLS, "malformed ClientHello",
			  LOG_STR("error", tlshello_error_name(r)), LOG_ID("session", session->id),
			  LOG_END);
		session_close(session, CLOSE_TLS_MALFORMED, false);
	} else if (r > 0) {
		struct tlshello *hello = raw->hello;
		route(session, SNAP_ROUTE_TLS, SNAP_PROTO_TLS, hello->sni_len ? hello->sni : NULL,
		      hello->sni_len);
	} else if (talk->ended) {
		session_close(session, CLOSE_CLIENT_ABORTED, false);
	}
}

const struct driver driver_raw = {
	.name = "raw",
	.protocol = METRIC_PROTOCOL_TCP,
	.begin = raw_begin,
	.input = raw_input,
	.release = raw_release,
};

const struct driver driver_tls = {
	.name = "tls",
	.protocol = METRIC_PROTOCOL_TLS,
	.begin = tls_begin,
	.input = tls_input,
	.release = raw_release,
};
