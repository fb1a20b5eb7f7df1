// SPDX-License-Identifier: Apache-2.0
// From first bytes to a driver: PROXY protocol header, detection, what the listener accepts.
#include "front/recognise.h"

#include <string.h>

#include "front/driver.h"
#include "front/front.h"
#include "front/report.h"
#include "front/session.h"
#include "obs/metrics.h"
#include "proto/detect/detect.h"
#include "proto/proxyproto/proxyproto.h"
#include "snap/snap.h"

static const char http2_refusal[] = "\0\0\0\4\0\0\0\0\0"  // SETTINGS, empty (RFC 9113, 3.4)
				    "\0\0\57\7\0\0\0\0\0" // GOAWAY
				    "\0\0\0\0\0\0\0\15"   // last stream 0, HTTP_1_1_REQUIRED
				    "HTTP/2 is not served here; please use HTTP/1.1\n";

static unsigned accepted_protocols(const struct snap_listener *listener)
{
	unsigned set = 0;

	if (listener->accept & SNAP_ACCEPT_SOCKS4)
		set |= PROTOCOL_BIT(PROTOCOL_SOCKS4);
	if (listener->accept & SNAP_ACCEPT_SOCKS5)
		set |= PROTOCOL_BIT(PROTOCOL_SOCKS5);
	if (listener->accept & SNAP_ACCEPT_HTTP)
		set |= PROTOCOL_BIT(PROTOCOL_HTTP1) | PROTOCOL_BIT(PROTOCOL_HTTP2);
	if (listener->accept & SNAP_ACCEPT_TLS)
		set |= PROTOCOL_BIT(PROTOCOL_TLS);
	return set;
}

static void refuse_http2(struct session *session)
{
	session_send(session, http2_refusal, sizeof(http2_refusal) - 1);
	session_finish(session, CLOSE_HTTP2_UNSUPPORTED);
}

static void drive(struct session *session, const struct snap_listener *listener,
		  enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_SOCKS4:
		session_drive(session, &driver_socks4);
		break;
	case PROTOCOL_SOCKS5:
		session_drive(session, &driver_socks5);
		break;
	case PROTOCOL_HTTP1:
		session_drive(session, &driver_http);
		break;
	case PROTOCOL_HTTP2:
		refuse_http2(session);
		break;
	case PROTOCOL_TLS:
		session_drive(session, &driver_tls);
		break;
	default:
		if (listener->accept & SNAP_ACCEPT_TCP)
			session_drive(session, &driver_raw);
		else
			session_close(session, CLOSE_PROTOCOL_REFUSED, false);
	}
}

// A header of a trusted peer. True: go on with what follows it.
static bool take_proxy_header(struct session *session, enum protocol protocol)
{
	struct talk *talk = session->talk;
	struct metrics *metrics = session->front->metrics;
	struct proxyproto header;
	int n = proxyproto_parse(buf_data(&talk->in), talk->in.len, &header, NULL);

	if (n == 0) {
		if (talk->ended)
			session_close(session, CLOSE_CLIENT_ABORTED, false);
		return false;
	}
	if (n < 0) {
		metric_inc(&metrics->proxy_protocol_headers[METRIC_RESULT_FAILURE]);
		metric_inc(&metrics->messages_malformed[METRIC_PARSE_PROXY]);
		session_close(session, CLOSE_PROXY_PROTOCOL_MALFORMED, false);
		return false;
	}
	metric_inc(&metrics->proxy_protocol_headers[METRIC_RESULT_SUCCESS]);
	if (header.kind == PROXYPROTO_PROXIED)
		session->peer = header.source;
	report_event(session, EVENT_PROXY_HEADER, protocol == PROTOCOL_PROXY1 ? 1 : 2,
		     session->peer.port);
	buf_consume(&talk->in, (size_t)n);
	talk->proxy_done = true;
	enum close_reason refused = session_count_address(session);
	if (refused != CLOSE_NONE) {
		session_close(session, refused, true);
		return false;
	}
	return true;
}

// The peer may send a PROXY header and has sent something else.
static bool without_proxy_header(struct session *session, const struct snap_listener *listener)
{
	if (listener->proxy_required) {
		session_close(session, CLOSE_PROXY_PROTOCOL_MISSING, false);
		return false;
	}
	session->talk->proxy_done = true;
	enum close_reason refused = session_count_address(session);
	if (refused != CLOSE_NONE)
		session_close(session, refused, true);
	return refused == CLOSE_NONE;
}

void recognise(struct session *session)
{
	struct talk *talk = session->talk;
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);
	enum protocol protocol = PROTOCOL_RAW;

	if (!listener) {
		session_close(session, CLOSE_LISTENER_REMOVED, false);
		return;
	}
	unsigned accept = accepted_protocols(listener);
	if (!talk->proxy_done && !session->address_counted &&
	    snap_addrs_match(&listener->proxy_from, &session->peer)) {
		unsigned proxy = PROTOCOL_BIT(PROTOCOL_PROXY1) | PROTOCOL_BIT(PROTOCOL_PROXY2);
		if (detect(buf_data(&talk->in), talk->in.len, proxy, &protocol)) {
			if (talk->ended)
				session_close(session, CLOSE_CLIENT_ABORTED, false);
			return;
		}
		if (protocol == PROTOCOL_RAW ? !without_proxy_header(session, listener)
					     : !take_proxy_header(session, protocol))
			return;
	}
	if (talk->in.len == 0 && accept && !talk->ended)
		return;
	if (detect(buf_data(&talk->in), talk->in.len, accept, &protocol)) {
		if (talk->ended && talk->in.len == 0)
			session_close(session, CLOSE_CLIENT_SILENT, false);
		else if (talk->ended)
			drive(session, listener, PROTOCOL_RAW);
		return;
	}
	drive(session, listener, protocol);
}

void recognise_silent(struct session *session)
{
	const struct snap_listener *listener =
		session_listener(session, front_snap(session->front));

	if (!listener || !listener->server_first_wait_ns)
		return;
	if (listener->proxy_required && !(session->talk && session->talk->proxy_done))
		return;
	// A trusted peer that could have said whom it speaks for counts as itself.
	enum close_reason refused =
		session->address_counted ? CLOSE_NONE : session_count_address(session);
	if (refused != CLOSE_NONE) {
		session_close(session, refused, true);
		return;
	}
	report_event(session, EVENT_SERVER_FIRST, 0, session_age_us(session));
	drive(session, listener, PROTOCOL_RAW);
}

void recognise_at_once(struct session *session, const struct snap_listener *listener)
{
	if (listener->accept == SNAP_ACCEPT_TCP && session->address_counted)
		session_drive(session, &driver_raw);
}
