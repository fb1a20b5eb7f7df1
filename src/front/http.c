// SPDX-License-Identifier: Apache-2.0
// The driver for HTTP/1: reads requests, checks who asks, and sends each its way (RFC 9112, 9110).
#include "front/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/host.h"
#include "front/auth.h"
#include "front/basic.h"
#include "front/driver.h"
#include "front/front.h"
#include "front/session.h"
#include "io/loop.h"
#include "obs/access.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "proto/http1/reply.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "upstream/dial.h"

static void begin_request(struct http_client *client)
{
	struct http_request *request = &client->request;
	const struct snap_http *http = &front_snap(client->session->front)->http;
	const struct http1_limits limits = {http->max_line_bytes, http->max_head_bytes};
	uint16_t max = http->max_fields < client->field_max ? (uint16_t)http->max_fields
							    : client->field_max;

	free(request->path);
	*request = (struct http_request){0};
	http_head_init(&request->head, client->fields, max);
	http1_parser_init_request(&request->parser, &request->head, &limits);
	client->busy = false;
}

static int http_begin(struct session *session)
{
	const struct snap_http *http = &front_snap(session->front)->http;
	struct http_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->field_max = (uint16_t)http->max_fields;
	// The request's fields and the response's, which live at the same time.
	client->fields = calloc(2 * (size_t)client->field_max, sizeof(*client->fields));
	if (!client->fields) {
		free(client);
		return -ENOMEM;
	}
	client->session = session;
	client->wait_from = session->accepted;
	client->active = session->front->loop->now;
	session->driver_state = client;
	session->talk->in.limit = http->max_head_bytes + 16 * 1024;
	session->talk->out.limit = HTTP_HEAD_OUT_MAX + 64 * 1024;
	begin_request(client);
	return 0;
}

static void client_free(struct loop *loop, struct deferred *deferred)
{
	struct http_client *client = caa_container_of(deferred, struct http_client, deferred);

	free(client->request.path);
	free(client->fields);
	free(client);
}

static void http_release(struct session *session)
{
	struct http_client *client = session->driver_state;

	// An exchange that ends with its session, answered or not. A tunnel's line is the session's.
	if (client->exchange && !session->talk->tunnel)
		http_report(client, client->exchange->status, false,
			    (enum close_reason)session->reason);
	auth_cancel(client->auth);
	http_exchange_cancel(client);
	// Whoever called what ended the session may look at it once more.
	loop_defer(session->front->loop, &client->deferred, client_free);
	session->driver_state = NULL;
}

/*
 * CONNECT.
 */

static void tunnel_ready(struct attempt *attempt, const struct dial_result *result)
{
	struct http_client *client = attempt->owner;
	struct session *session = client->session;
	static const char established[] = HTTP1_REPLY_ESTABLISHED;

	if (result->reason != CLOSE_NONE) {
		http_refuse(client, result->reason);
		return;
	}
	http_report(client, 200, true, CLOSE_NONE);
	session_send(session, established, sizeof(established) - 1);
	session_tunnel(session, result->stream, result->early.data, result->early.len);
}

static void begin_connect(struct http_client *client)
{
	struct session *session = client->session;
	struct host host;
	int r = host_parse(client->request.head.authority.data, client->request.head.authority.len,
			   0, &host);

	session_set_protocol(session, METRIC_PROTOCOL_CONNECT);
	if (r < 0) {
		http_answer(client, 400, CLOSE_HTTP_MALFORMED, host_error_text(r));
		return;
	}
	client->exchange = calloc(1, sizeof(*client->exchange));
	if (!client->exchange) {
		http_refuse(client, CLOSE_NO_MEMORY);
		return;
	}
	struct attempt *attempt = &client->exchange->attempt;
	*attempt = (struct attempt){.session = session,
				    .done = tunnel_ready,
				    .owner = client,
				    .host = host,
				    .protocols = SNAP_PROTO_CONNECT};
	enum close_reason refused = attempt_decide(attempt);
	if (refused == CLOSE_NONE)
		refused = attempt_dial(attempt);
	if (refused != CLOSE_NONE)
		http_refuse(client, refused);
}

/*
 * The three ways of a request: CONNECT, forward (absolute-form), route (origin-form).
 */

static void begin_forward(struct http_client *client)
{
	struct slice authority = client->request.head.authority;
	struct host host;
	int r = host_parse(authority.data, authority.len, 80, &host);

	if (r < 0)
		http_answer(client, 400, CLOSE_HTTP_MALFORMED, host_error_text(r));
	else
		http_exchange_begin(client, &host, 0);
}

static void begin_routed(struct http_client *client)
{
	struct session *session = client->session;
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);
	struct slice authority = client->request.head.authority;
	struct host host = {0};
	char name[HOST_STRLEN];
	size_t len = 0;

	if (host_parse(authority.data, authority.len, 80, &host) == 0)
		len = host_format_name(&host, name);
	const struct snap_route *route = listener ? snap_route_find(snap, listener, SNAP_ROUTE_HTTP,
								    NULL, 0, len ? name : NULL, len)
						  : NULL;
	if (!route) {
		http_answer(client, 404, CLOSE_NO_ROUTE,
			    "This is a proxy and no route takes this request. A client that means "
			    "to use it "
			    "as a proxy sends the whole URL in the request line, or CONNECT.");
		return;
	}
	http_exchange_begin(client, &host, route->id);
}

static bool is_forward(const struct http_request *request)
{
	return request->head.method == HTTP_METHOD_CONNECT ||
	       request->head.target_form == HTTP_TARGET_ABSOLUTE;
}

static void dispatch(struct http_client *client)
{
	if (client->request.head.method == HTTP_METHOD_CONNECT)
		begin_connect(client);
	else if (is_forward(&client->request))
		begin_forward(client);
	else
		begin_routed(client);
}

static void logged_in(struct session *session, void *owner, enum close_reason verdict)
{
	struct http_client *client = owner;

	client->auth = NULL;
	if (verdict != CLOSE_NONE && session->user_id)
		session_forget_user(session); // who asked before is not who failed now
	if (verdict != CLOSE_NONE)
		http_refuse(client, verdict);
	else
		dispatch(client);
}

// True: go on; false: an answer was given, or will come by logged_in.
static bool authenticate(struct http_client *client)
{
	struct session *session = client->session;
	const struct snap_listener *listener =
		session_listener(session, front_snap(session->front));
	const struct http_request *request = &client->request;
	struct slice credentials = http_head_value(&request->head, HTTP_FIELD_PROXY_AUTHORIZATION);
	struct basic basic;

	// Each request says for itself who asks: with another proxy in front, a connection carries the
	// requests of many.
	if (!is_forward(request)) {
		session_forget_user(session);
		return true;
	}
	if (!listener) {
		http_refuse(client, CLOSE_LISTENER_REMOVED);
		return false;
	}
	if (credentials.len == 0 || !auth_possible(session)) {
		session_forget_user(session);
		if (listener->auth_required)
			http_refuse(client, CLOSE_AUTH_REQUIRED);
		return !listener->auth_required;
	}
	if (http_head_count(&request->head, HTTP_FIELD_PROXY_AUTHORIZATION) > 1 ||
	    basic_parse(credentials, &basic) < 0) {
		session_forget_user(session);
		http_refuse(client, CLOSE_AUTH_FAILED);
		return false;
	}
	struct auth *pending = auth_begin(session, basic.user, basic.user_len, basic.password,
					  basic.password_len, logged_in, client);
	basic_wipe(&basic);
	if (pending)
		client->auth = pending;
	return false;
}

// The query may hold secrets and stays out of the log.
static void keep_path(struct http_request *request)
{
	struct slice path = request->head.path;
	const char *query = path.len ? memchr(path.data, '?', path.len) : NULL;

	size_t len = query ? (size_t)(query - path.data) : path.len;

	request->path = malloc(len + 1);
	if (!request->path)
		return; // the line goes without
	if (len)
		memcpy(request->path, path.data, len);
	request->path[len] = '\0';
}

static void request_complete(struct http_client *client)
{
	struct session *session = client->session;
	struct http_request *request = &client->request;

	client->busy = true;
	client->requests++;
	session_forget_destination(session);
	request->framing = request->parser.framing;
	request->method = request->head.method;
	request->version = request->head.version;
	request->keep_alive = request->framing.keep_alive;
	if (access_wants())
		keep_path(request);
	session->talk->paused = true;
	client->active = session->front->loop->now;
	session_deadline(session,
			 client->active + front_snap(session->front)->timeouts.admission_ns);
	if (authenticate(client))
		dispatch(client);
}

static void bad_request(struct http_client *client)
{
	struct http_request *request = &client->request;
	unsigned status = http1_error_status(request->parser.error);
	enum close_reason reason = CLOSE_HTTP_MALFORMED;

	if (status == 414 || status == 431)
		reason = CLOSE_HTTP_TOO_LARGE;
	else if (status == 501 || status == 505)
		reason = CLOSE_HTTP_UNSUPPORTED;
	client->busy = true;
	client->requests++;
	request->keep_alive = false;
	metric_inc(&client->session->front->metrics->messages_malformed[METRIC_PARSE_HTTP]);
	log_debug(LOG_HTTP, "malformed request",
		  LOG_STR("error", http1_error_name(request->parser.error)),
		  LOG_ID("session", client->session->id), LOG_END);
	http_answer(client, status, reason, http1_error_text(request->parser.error).data);
}

// A request's first bytes start the time that its head may take.
static void note_beginning(struct http_client *client)
{
	struct session *session = client->session;
	struct loop *loop = session->front->loop;
	struct http_request *request = &client->request;

	if (request->began || !http1_parser_began(&request->parser))
		return;
	request->began = loop->now;
	if (client->requests) {
		client->wait_from = loop->now;
		session_deadline(session,
				 loop->now + front_snap(session->front)->timeouts.admission_ns);
	}
}

// Takes one request's head from the buffer. False: there is no complete one.
static bool parse_head(struct http_client *client)
{
	struct session *session = client->session;
	struct talk *talk = session->talk;
	struct http_request *request = &client->request;

	if (talk->in.len == 0 && !talk->ended)
		return false;
	ssize_t n = http1_parser_feed(&request->parser, buf_data(&talk->in), talk->in.len);
	note_beginning(client);
	if (n > 0) {
		if (!request->began)
			request->began = session->front->loop->now;
		// The head's bytes stay in place until the exchange has written them anew: nothing is
		// appended meanwhile, since reading is paused.
		buf_consume(&talk->in, (size_t)n);
		request_complete(client);
		return true;
	}
	if (n == -EBADMSG) {
		bad_request(client);
	} else if (talk->ended) {
		bool began = http1_parser_began(&request->parser);
		// Not before our answer to the request ahead is out.
		session_finish(session, began ? CLOSE_CLIENT_ABORTED : CLOSE_CLIENT_EOF);
	}
	return false;
}

// Requests that were answered at once are followed by the next one here, not from inside http_next: what
// a client pipelines must not decide how deep the stack gets.
static void http_input(struct session *session)
{
	struct http_client *client = session->driver_state;
	bool more = !client->parsing;

	while (more && session->phase == SESSION_TALK && !client->busy) {
		client->parsing = true;
		more = parse_head(client);
		if (session->driver_state != client)
			return; // the session is closed, or a tunnel
		client->parsing = false;
	}
}

// The client's stream has something, or takes bytes again.
static void http_moved(struct session *session)
{
	struct http_client *client = session->driver_state;

	client->active = session->front->loop->now;
	if (client->exchange && client->exchange->upstream)
		http_exchange_pump(client);
}

void http_next(struct http_client *client)
{
	struct session *session = client->session;
	struct front *front = session->front;

	http_exchange_cancel(client);
	if (session->phase != SESSION_TALK)
		return;
	if (!client->request.keep_alive || front_draining(front)) {
		session_finish(session, CLOSE_DONE);
		return;
	}
	session_set_protocol(session, METRIC_PROTOCOL_HTTP); // after a CONNECT that was refused
	begin_request(client);
	client->wait_from = front->loop->now;
	session_deadline(session, front->loop->now + front_snap(front)->timeouts.http_keepalive_ns);
	session->talk->paused = false;
	if (!client->parsing)
		session_resume(session);
}

static void http_timeout(struct session *session)
{
	struct http_client *client = session->driver_state;
	struct loop *loop = session->front->loop;
	const struct snap_timeouts *timeouts = &front_snap(session->front)->timeouts;

	if (client->exchange) {
		if (timeouts->idle_ns && loop->now >= client->active + timeouts->idle_ns) {
			if (client->exchange->status)
				session_close(session, CLOSE_IDLE_TIMEOUT, true);
			else
				http_refuse(client, CLOSE_UPSTREAM_TIMEOUT);
		} else if (timeouts->idle_ns) {
			session_deadline(session, client->active + timeouts->idle_ns);
		}
		return;
	}
	if (client->auth) {
		auth_cancel(client->auth);
		client->auth = NULL;
		client->request.keep_alive = false;
		http_refuse(client, CLOSE_HELPER_BUSY);
	} else if (client->request.began || client->requests == 0) {
		client->requests++;
		client->request.keep_alive = false;
		http_answer(client, 408, CLOSE_ADMISSION_TIMEOUT,
			    "The request did not come in time.");
	} else {
		session_close(session, CLOSE_KEEPALIVE_TIMEOUT, false);
	}
}

static bool http_is_connected(const struct session *session)
{
	const struct http_client *client = session->driver_state;

	return client->exchange && client->exchange->upstream;
}

static void http_renew(struct session *session)
{
	if (http_is_connected(session))
		http_exchange_renew(session->driver_state);
}

// Between two requests, or before the first byte of the only one.
static void http_drain(struct session *session)
{
	struct http_client *client = session->driver_state;

	if (!client->busy && !http1_parser_began(&client->request.parser))
		session_close(session, CLOSE_DRAINED, false);
}

const struct driver driver_http = {
	.name = "http",
	.protocol = METRIC_PROTOCOL_HTTP,
	.begin = http_begin,
	.input = http_input,
	.drained = http_moved,
	.event = http_moved,
	.timeout = http_timeout,
	.renew = http_renew,
	.is_connected = http_is_connected,
	.drain = http_drain,
	.release = http_release,
};
