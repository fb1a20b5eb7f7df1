// SPDX-License-Identifier: Apache-2.0
// The drivers for SOCKS4, 4a and 5: greeting, log-in, request, reply (RFC 1928, 1929).
#include "front/socks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/auth.h"
#include "front/driver.h"
#include "front/front.h"
#include "front/outcome.h"
#include "front/session.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "proto/socks/socks.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "upstream/dial.h"

static void socks_input(struct session *session);

static int socks_begin(struct session *session, uint8_t version, enum socks_step step)
{
	struct socks *socks = calloc(1, sizeof(*socks));

	if (!socks)
		return -ENOMEM;
	socks->session = session;
	socks->version = version;
	socks->step = (uint8_t)step;
	session->driver_state = socks;
	return 0;
}

static int socks4_begin(struct session *session)
{
	return socks_begin(session, 4, SOCKS_REQUEST);
}

static int socks5_begin(struct session *session)
{
	return socks_begin(session, 5, SOCKS_GREETING);
}

static void socks_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct socks, deferred));
}

static void socks_release(struct session *session)
{
	struct socks *socks = session->driver_state;

	auth_cancel(socks->auth);
	attempt_cancel(&socks->attempt);
	if (socks->ops)
		socks->ops->release(socks);
	// Whoever called what ended the session may look at it once more.
	loop_defer(session->front->loop, &socks->deferred, socks_free);
	session->driver_state = NULL;
}

void socks_reply(struct socks *socks, enum close_reason result, const struct endpoint *bound)
{
	struct session *session = socks->session;
	uint8_t reply[SOCKS5_REPLY_MAX];
	size_t len = socks->version == 4 ? socks4_build_reply(reply, outcome_socks4(result), bound)
					 : socks5_build_reply(reply, outcome_socks5(result), bound);

	session_send(session, reply, len);
	if (result != CLOSE_NONE)
		session_finish(session, result);
}

static void malformed(struct session *session, int version)
{
	struct metrics *metrics = session->front->metrics;

	metric_inc(&metrics->messages_malformed[version == 4 ? METRIC_PARSE_SOCKS4
							     : METRIC_PARSE_SOCKS5]);
	log_debug(LOG_SOCKS, "malformed message", LOG_INT("version", version),
		  LOG_ID("session", session->id), LOG_END);
	session_finish(session, CLOSE_SOCKS_MALFORMED);
}

static void connected(struct attempt *attempt, const struct dial_result *result)
{
	struct socks *socks = attempt->owner;
	struct session *session = socks->session;
	struct endpoint bound = {0};

	if (result->reason != CLOSE_NONE) {
		socks_reply(socks, result->reason, NULL);
		return;
	}
	result->stream->ops->local(result->stream, &bound);
	socks_reply(socks, CLOSE_NONE, &bound);
	session_tunnel(session, result->stream, result->early.data, result->early.len);
}

static void connect_begin(struct socks *socks)
{
	struct attempt *attempt = &socks->attempt;

	attempt->done = connected;
	enum close_reason refused = attempt_decide(attempt);
	if (refused == CLOSE_NONE)
		refused = attempt_dial(attempt);
	if (refused != CLOSE_NONE)
		socks_reply(socks, refused, NULL);
}

// The request is complete: from here on nothing is read until it is answered.
static void begin_request(struct socks *socks, const struct socks_request *request)
{
	struct session *session = socks->session;
	struct attempt *attempt = &socks->attempt;
	const struct snap_listener *listener =
		session_listener(session, front_snap(session->front));

	socks->step = SOCKS_BUSY;
	socks->command = request->command;
	session->talk->paused = true;
	attempt->session = session;
	attempt->owner = socks;
	attempt->host = request->host;
	attempt->protocols = socks->version == 4 ? SNAP_PROTO_SOCKS4 : SNAP_PROTO_SOCKS5;
	if (!listener) {
		socks_reply(socks, CLOSE_LISTENER_REMOVED, NULL);
		return;
	}
	if (listener->auth_required && !session->user_id) {
		socks_reply(socks, CLOSE_AUTH_REQUIRED, NULL);
		return;
	}
	// Of UDP ASSOCIATE it is the client's own address, which is of no consequence: PySocks says "0".
	if (request->host_error && request->command != SOCKS_UDP_ASSOCIATE) {
		socks_reply(socks, CLOSE_RESOLVE_FAILED, NULL);
		return;
	}
	switch (request->command) {
	case SOCKS_CONNECT:
		connect_begin(socks);
		break;
	case SOCKS_BIND:
		attempt->protocols |= SNAP_PROTO_BIND;
		socks_bind_begin(socks);
		break;
	default:
		attempt->protocols |= SNAP_PROTO_UDP;
		socks_udp_begin(socks);
	}
}

static bool read_request(struct socks *socks)
{
	struct session *session = socks->session;
	struct buf *in = &session->talk->in;
	struct socks_request request;
	uint8_t reply[SOCKS5_REPLY_MAX];
	int version = socks->version; // the session may end under us, and `socks` with it
	int n = version == 4 ? socks4_parse_request(buf_data(in), in->len, &request, NULL)
			     : socks5_parse_request(buf_data(in), in->len, &request, NULL);

	if (n == 0)
		return false;
	if (n < 0) {
		size_t len = version == 4
				     ? socks4_build_reply(reply, socks4_reply_of_error(n), NULL)
				     : socks5_build_reply(reply, socks5_reply_of_error(n), NULL);
		session_send(session, reply, len);
		if (n == -SOCKS_E_COMMAND || n == -SOCKS_E_ADDRESS_TYPE)
			session_finish(session, CLOSE_SOCKS_UNSUPPORTED);
		else
			malformed(session, version);
		return false;
	}
	begin_request(socks, &request);
	if (session->phase == SESSION_TALK)
		buf_consume(in, (size_t)n);
	return false;
}

static void choose(struct socks *socks, enum socks5_method method)
{
	uint8_t choice[SOCKS5_CHOICE_LEN];

	session_send(socks->session, choice, socks5_build_choice(choice, method));
}

static bool read_greeting(struct socks *socks)
{
	struct session *session = socks->session;
	struct buf *in = &session->talk->in;
	const struct snap_listener *listener =
		session_listener(session, front_snap(session->front));
	struct socks5_greeting greeting;
	int n = socks5_parse_greeting(buf_data(in), in->len, &greeting, NULL);

	if (n < 0)
		malformed(session, 5);
	if (n <= 0)
		return false;
	bool password =
		socks5_greeting_offers(&greeting, SOCKS5_METHOD_PASSWORD) && auth_possible(session);
	bool none = socks5_greeting_offers(&greeting, SOCKS5_METHOD_NONE) && listener &&
		    !listener->auth_required;
	buf_consume(in, (size_t)n);
	if (!password && !none) {
		choose(socks, SOCKS5_METHOD_NO_ACCEPTABLE);
		session_finish(session, CLOSE_AUTH_REQUIRED);
		return false;
	}
	socks->step = password ? SOCKS_AUTH : SOCKS_REQUEST;
	choose(socks, password ? SOCKS5_METHOD_PASSWORD : SOCKS5_METHOD_NONE);
	return session->phase == SESSION_TALK;
}

static void logged_in(struct session *session, void *owner, enum close_reason verdict)
{
	struct socks *socks = owner;
	uint8_t reply[SOCKS5_AUTH_REPLY_LEN];

	socks->auth = NULL;
	session_send(session, reply, socks5_build_auth_reply(reply, verdict == CLOSE_NONE));
	if (session->phase != SESSION_TALK)
		return; // the client is gone, and `socks` with it
	if (verdict != CLOSE_NONE) {
		session_finish(session, verdict);
		return;
	}
	socks->step = SOCKS_REQUEST;
	session_resume(session);
}

static bool read_auth(struct socks *socks)
{
	struct session *session = socks->session;
	struct buf *in = &session->talk->in;
	struct socks5_auth auth;
	uint8_t reply[SOCKS5_AUTH_REPLY_LEN];
	int n = socks5_parse_auth(buf_data(in), in->len, &auth, NULL);

	if (n < 0) {
		session_send(session, reply, socks5_build_auth_reply(reply, false));
		malformed(session, 5);
	}
	if (n <= 0)
		return false;
	// The answer may come from inside auth_begin, and go on with what follows these bytes: so take
	// them off first. They stay where they are until more input comes.
	struct slice user = auth.user, password = auth.password;
	socks->step = SOCKS_BUSY;
	session->talk->paused = true;
	buf_consume(in, (size_t)n);
	struct auth *pending = auth_begin(session, user.data, user.len, password.data, password.len,
					  logged_in, socks);
	if (pending)
		socks->auth = pending;
	return false;
}

static void socks_input(struct session *session)
{
	struct socks *socks = session->driver_state;
	bool more = true;

	while (more && session->phase == SESSION_TALK && session->talk->finish == CLOSE_NONE) {
		switch ((enum socks_step)socks->step) {
		case SOCKS_GREETING:
			more = read_greeting(socks);
			break;
		case SOCKS_AUTH:
			more = read_auth(socks);
			break;
		case SOCKS_REQUEST:
			more = read_request(socks);
			break;
		case SOCKS_BUSY:
			more = false;
			break;
		}
	}
	if (session->phase == SESSION_TALK && session->talk->ended && socks->step != SOCKS_BUSY &&
	    session->talk->finish == CLOSE_NONE)
		session_close(session, CLOSE_CLIENT_ABORTED, false);
}

static void socks_event(struct session *session)
{
	struct socks *socks = session->driver_state;

	if (socks->ops && socks->ops->event)
		socks->ops->event(socks);
}

static void socks_timeout(struct session *session)
{
	struct socks *socks = session->driver_state;
	uint64_t deadline = session->accepted + front_snap(session->front)->timeouts.admission_ns;

	if (socks->ops && socks->ops->timeout)
		socks->ops->timeout(socks);
	else if (session->front->loop->now >= deadline)
		session_close(session, CLOSE_ADMISSION_TIMEOUT, false);
	else
		session_deadline(session, deadline);
}

static void socks_renew(struct session *session)
{
	struct socks *socks = session->driver_state;

	if (socks->ops && socks->ops->renew)
		socks->ops->renew(socks);
}

static void socks_drain(struct session *session)
{
	struct socks *socks = session->driver_state;

	if (socks->ops && socks->ops->drain)
		socks->ops->drain(socks);
}

const struct driver driver_socks4 = {
	.name = "socks4",
	.protocol = METRIC_PROTOCOL_SOCKS4,
	.begin = socks4_begin,
	.input = socks_input,
	.event = socks_event,
	.timeout = socks_timeout,
	.renew = socks_renew,
	.drain = socks_drain,
	.release = socks_release,
};

const struct driver driver_socks5 = {
	.name = "socks5",
	.protocol = METRIC_PROTOCOL_SOCKS5,
	.begin = socks5_begin,
	.input = socks_input,
	.event = socks_event,
	.timeout = socks_timeout,
	.renew = socks_renew,
	.drain = socks_drain,
	.release = socks_release,
};
