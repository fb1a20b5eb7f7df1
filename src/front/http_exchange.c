// SPDX-License-Identifier: Apache-2.0
// One HTTP exchange: a way to the upstream, the request there, the response back.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/host.h"
#include "front/front.h"
#include "front/http.h"
#include "front/http_forward.h"
#include "front/report.h"
#include "front/session.h"
#include "io/loop.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "proto/http1/body.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "upstream/conn_pool.h"
#include "upstream/dial.h"

enum {
	READ_SIZE = 16 * 1024,
	IN_MAX = 96 * 1024, // a response's head, or content that the client has not taken
	OUT_MAX = 128 * 1024,
	GRANT_MIN = 1024,
	TURN_MAX =
		512 * 1024, // bytes of one direction, then the worker's other sessions come first
};

enum { UP, DOWN };

static void count(struct http_client *client, int direction, size_t n)
{
	struct session *session = client->session;
	struct front *front = session->front;
	struct http_exchange *ex = client->exchange;

	if (!n)
		return;
	client->active = front->loop->now;
	*(direction == UP ? &ex->bytes_up : &ex->bytes_down) += n;
	metric_add(&front->metrics->relay_bytes[METRIC_PROTOCOL_HTTP]
					       [direction == UP ? METRIC_DIRECTION_UP
								: METRIC_DIRECTION_DOWN]
					       [METRIC_MOVER_COPY],
		   n);
	struct account *const accounts[2] = {session->user, session->address};
	for (int i = 0; i < 2; i++)
		if (accounts[i])
			account_add_bytes(accounts[i], front->worker, direction == UP ? n : 0,
					  direction == DOWN ? n : 0);
}

/*
 * The upstream connection's end.
 */

static void drop_upstream(struct http_client *client, bool reusable)
{
	struct http_exchange *ex = client->exchange;
	struct front *front = client->session->front;

	if (!ex->upstream)
		return;
	stream_own(ex->upstream, NULL, NULL);
	if (ex->pooled && reusable)
		conn_pool_put(front->pool, ex->pooled);
	else if (ex->pooled)
		conn_pool_close(front->pool, ex->pooled, STREAM_FIN);
	else
		stream_close(front->loop, ex->upstream, STREAM_FIN);
	ex->pooled = NULL;
	ex->upstream = NULL;
}

static void exchange_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct http_exchange, deferred));
}

void http_exchange_cancel(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;

	if (!ex)
		return;
	attempt_cancel(&ex->attempt);
	for (int d = UP; d <= DOWN; d++)
		bucket_turn_cancel(&ex->turn[d], ex->claims[d], 2);
	if (timer_is_set(&ex->tokens))
		loop_timer_cancel(client->session->front->loop, &ex->tokens);
	loop_task_cancel(&ex->again);
	drop_upstream(client, false);
	buf_release(&ex->in);
	buf_release(&ex->out);
	free(ex->sent);
	loop_defer(client->session->front->loop, &ex->deferred, exchange_free);
	client->exchange = NULL;
}

// A failure: an answer while the client has seen none, else the end of its connection.
static void fail(struct http_client *client, enum close_reason reason)
{
	struct session *session = client->session;

	if (client->exchange->status == 0)
		http_refuse(client, reason);
	else
		session_close(session, reason, true);
}

/*
 * Turns.
 */

static void turn_came(struct loop *loop, struct task *task)
{
	struct http_exchange *ex = caa_container_of(task, struct http_exchange, again);

	http_exchange_pump(ex->client);
}

static bool turn_is_over(struct http_client *client, uint64_t bytes, uint64_t until)
{
	if (bytes < until)
		return false;
	loop_task_set(client->session->front->loop, &client->exchange->again);
	return true;
}

/*
 * Rate limits.
 */

static void tokens_came(struct loop *loop, struct timer *timer)
{
	struct http_exchange *ex = caa_container_of(timer, struct http_exchange, tokens);

	http_exchange_pump(ex->client);
}

static size_t allowance(struct http_client *client, int direction, size_t want)
{
	struct http_exchange *ex = client->exchange;
	struct loop *loop = client->session->front->loop;

	if (!ex->limited)
		return want;
	uint64_t grant = bucket_turn_take(&ex->turn[direction], ex->claims[direction], 2, GRANT_MIN,
					  want, loop->now);
	uint64_t wake = ex->turn[direction].wake, other = ex->turn[!direction].wake;
	if (grant)
		return grant;
	if (other > loop->now && other < wake)
		wake = other;
	loop_timer_set(loop, &ex->tokens, wake);
	return 0;
}

static void set_limits(struct http_client *client)
{
	struct session *session = client->session;
	struct http_exchange *ex = client->exchange;
	const struct snap *snap = front_snap(session->front);
	const struct snap_user *user =
		session->user_id ? snap_user_by_id(snap, session->user_id) : NULL;

	ex->limited = false;
	for (int d = UP; d <= DOWN; d++) {
		account_claims(session->user, user ? &user->limits : NULL, session->address,
			       &snap->per_address, d == UP ? ACCOUNT_UP : ACCOUNT_DOWN,
			       ex->claims[d]);
		for (int i = 0; i < 2; i++)
			ex->limited |= ex->claims[d][i].bucket && ex->claims[d][i].rate;
	}
}

/*
 * The request's way up.
 */

// The socket's error is told once, here to the writer, and then reading gives 0.
static void note_send_error(struct http_exchange *ex, ssize_t error)
{
	if (!ex->send_error)
		ex->send_error = (int)error;
}

// Writes to upstream, or keeps what it does not take. False: failed, and handled.
static bool send_up(struct http_client *client, const struct iovec *iov, int iovcnt)
{
	struct http_exchange *ex = client->exchange;
	ssize_t n = 0;
	size_t total = 0;

	if (ex->out.len == 0 && (ex->upstream->ready & STREAM_OUT))
		n = iovcnt == 1 ? stream_write(ex->upstream, iov->iov_base, iov->iov_len)
				: stream_writev(ex->upstream, iov, iovcnt);
	// A reset here may stand before a response that is still to be read.
	if (n < 0 && n != -EAGAIN) {
		note_send_error(ex, n);
		n = 0;
	}
	size_t taken = n > 0 ? (size_t)n : 0;
	for (int i = 0; i < iovcnt; i++) {
		size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;
		taken -= skip;
		total += iov[i].iov_len;
		if (skip < iov[i].iov_len && buf_append(&ex->out, (char *)iov[i].iov_base + skip,
							iov[i].iov_len - skip) < 0) {
			fail(client, CLOSE_NO_MEMORY);
			return false;
		}
	}
	count(client, UP, total);
	return true;
}

static bool flush_up(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;

	while (ex->out.len && (ex->upstream->ready & STREAM_OUT)) {
		ssize_t n = stream_write(ex->upstream, buf_data(&ex->out), ex->out.len);
		if (n == -EAGAIN)
			break;
		if (n < 0) {
			note_send_error(ex, n);
			buf_clear(&ex->out);
			ex->request_done = true; // nobody takes it; what comes back is read
			client->request.keep_alive = false;
			break;
		}
		buf_consume(&ex->out, (size_t)n);
		client->active = client->session->front->loop->now;
	}
	return ex->out.len == 0;
}

static bool send_content_up(struct http_client *client, struct slice data)
{
	struct http_exchange *ex = client->exchange;
	char head[HTTP1_CHUNK_HEAD_MAX];
	struct iovec iov[3] = {{.iov_base = head},
			       {.iov_base = (void *)data.data, .iov_len = data.len},
			       {.iov_base = (void *)"\r\n", .iov_len = 2}};

	if (ex->request_out.kind != HTTP1_FRAMING_CHUNKED)
		return send_up(client, iov + 1, 1);
	iov[0].iov_len = http1_chunk_write_head(head, data.len);
	return send_up(client, iov, 3);
}

static bool end_content_up(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	uint8_t *scratch = client->session->front->scratch;
	struct iovec iov = {.iov_base = scratch};

	ex->request_done = true;
	if (ex->request_out.kind != HTTP1_FRAMING_CHUNKED)
		return true;
	ssize_t n = http1_chunk_write_last(scratch, FRONT_SCRATCH, &client->request.head);
	if (n < 0) {
		fail(client, CLOSE_HTTP_MALFORMED);
		return false;
	}
	iov.iov_len = (size_t)n;
	return send_up(client, &iov, 1);
}

// Content from the client to upstream. False: the exchange is gone.
static bool pump_request(struct http_client *client)
{
	struct session *session = client->session;
	struct http_exchange *ex = client->exchange;
	struct buf *in = &session->talk->in;
	uint64_t until = ex->bytes_up + TURN_MAX;

	while (flush_up(client) && !ex->request_done) {
		if (turn_is_over(client, ex->bytes_up, until))
			return true;
		size_t want = in->len ? allowance(client, UP, in->len) : 0;
		if (in->len && !want)
			return true;
		struct http1_body_part part = {0};
		if (want && http1_body_feed(&ex->request_body, buf_data(in), want, &part) < 0) {
			metric_inc(&session->front->metrics->messages_malformed[METRIC_PARSE_HTTP]);
			client->request.keep_alive = false;
			fail(client, CLOSE_HTTP_MALFORMED);
			return false;
		}
		if (ex->limited && want > part.consumed)
			bucket_refund_all(ex->claims[UP], 2, want - part.consumed);
		if (part.data.len) {
			ex->body_begun = true;
			if (!send_content_up(client, part.data))
				return false;
		}
		buf_consume(in, part.consumed);
		if (part.done) {
			if (!end_content_up(client))
				return false;
			continue;
		}
		if (part.consumed)
			continue;
		ssize_t n = session_fill(session);
		if (n == -ECANCELED)
			return false;
		if (n == 0) {
			session_close(session, CLOSE_CLIENT_ABORTED, true);
			return false;
		}
		if (n < 0)
			return true;
	}
	return true;
}

/*
 * The response's way down.
 */

static void finish(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	bool reusable = ex->request_done && ex->out.len == 0 && ex->parser.framing.keep_alive &&
			ex->body.done && ex->in.len == 0 && !(ex->upstream->ready & STREAM_END);

	if (!ex->request_done)
		client->request.keep_alive = false; // the rest of the request is not read
	drop_upstream(client, reusable);
	http_report(client, ex->status, false, CLOSE_NONE);
	http_next(client);
}

static void begin_response_parser(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	const struct snap_http *http = &front_snap(client->session->front)->http;
	const struct http1_limits limits = {http->max_line_bytes, http->max_head_bytes};

	http_head_init(&ex->head, client->fields + client->field_max, client->field_max);
	http1_parser_init_response(&ex->parser, &ex->head, &limits,
				   (enum http_method)client->request.method);
}

// The upstream speaks another protocol from here on, and so does the client.
static void become_tunnel(struct http_client *client)
{
	struct session *session = client->session;
	struct http_exchange *ex = client->exchange;
	struct stream *upstream = ex->upstream;
	struct buf early = ex->in;

	http_report(client, 101, false, CLOSE_NONE);
	session_set_protocol(session, METRIC_PROTOCOL_UPGRADE);
	if (ex->pooled)
		conn_pool_forget(session->front->pool, ex->pooled);
	ex->pooled = NULL;
	ex->upstream = NULL;
	buf_init(&ex->in, 0);
	session_tunnel(session, upstream, buf_data(&early), early.len);
	buf_release(&early);
}

// 1xx responses, and whether the head is one. Sets *ret_over when the exchange is gone.
static bool informational(struct http_client *client, size_t head_len, bool *ret_over)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;

	*ret_over = false;
	if (ex->head.status >= 200)
		return false;
	bool upgraded = ex->head.status == 101;
	// Unasked, or before the whole request was there: what follows would be taken for the new protocol.
	if (upgraded && (!client->request.framing.upgrade || !ex->request_done || ex->out.len)) {
		*ret_over = true;
		fail(client, CLOSE_UPSTREAM_MALFORMED);
		return true;
	}
	if (client->request.version >= HTTP_VERSION_1_1) {
		ssize_t n = http_forward_response(client, upgraded);
		if (n < 0) {
			*ret_over = true;
			fail(client, CLOSE_UPSTREAM_MALFORMED);
			return true;
		}
		count(client, DOWN, (size_t)n);
		session_send(session, session->front->scratch, (size_t)n);
		if (session->phase != SESSION_TALK) {
			*ret_over = true; // the client is gone, and the exchange with it
			return true;
		}
	}
	buf_consume(&ex->in, head_len);
	*ret_over = upgraded;
	if (upgraded)
		become_tunnel(client);
	else if (!*ret_over)
		begin_response_parser(client);
	return true;
}

// Sends a run of content with `head_len` bytes of head before it, which are in the scratch buffer.
static void send_down(struct http_client *client, size_t head_len, struct slice data, bool done)
{
	struct http_exchange *ex = client->exchange;
	struct front *front = client->session->front;
	bool chunked = ex->response_out.kind == HTTP1_FRAMING_CHUNKED;
	char chunk[HTTP1_CHUNK_HEAD_MAX];
	struct iovec iov[5];
	int n = 0;
	size_t total = 0;

	if (head_len)
		iov[n++] = (struct iovec){.iov_base = front->scratch, .iov_len = head_len};
	if (data.len && chunked)
		iov[n++] = (struct iovec){.iov_base = chunk,
					  .iov_len = http1_chunk_write_head(chunk, data.len)};
	if (data.len)
		iov[n++] = (struct iovec){.iov_base = (void *)data.data, .iov_len = data.len};
	if (data.len && chunked)
		iov[n++] = (struct iovec){.iov_base = (void *)"\r\n", .iov_len = 2};
	if (done && chunked) {
		ssize_t last = http1_chunk_write_last(front->scratch + head_len,
						      FRONT_SCRATCH - head_len, &ex->head);
		iov[n++] = last > 0 ? (struct iovec){.iov_base = front->scratch + head_len,
						     .iov_len = (size_t)last}
				    : (struct iovec){.iov_base = (void *)"0\r\n\r\n", .iov_len = 5};
	}
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	count(client, DOWN, total);
	if (n)
		session_sendv(client->session, iov, n);
}

// Parses the head; > 0: its length in the scratch buffer as it goes to the client; 0: more is needed;
// < 0: the exchange is gone.
static ssize_t response_head(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	const struct http1_body_limits limits = HTTP1_BODY_LIMITS_DEFAULT;

	for (;;) {
		bool over;
		ssize_t n = http1_parser_feed(&ex->parser, buf_data(&ex->in), ex->in.len);
		if (n == -EAGAIN)
			return 0;
		if (n < 0) {
			metric_inc(&client->session->front->metrics
					    ->messages_malformed[METRIC_PARSE_HTTP_RESPONSE]);
			fail(client, CLOSE_UPSTREAM_MALFORMED);
			return -ECANCELED;
		}
		if (informational(client, (size_t)n, &over)) {
			if (over)
				return -ECANCELED;
			continue;
		}
		ssize_t len = http_forward_response(client, false);
		if (len < 0) {
			fail(client, CLOSE_UPSTREAM_MALFORMED);
			return -ECANCELED;
		}
		buf_consume(&ex->in, (size_t)n);
		ex->status = ex->head.status;
		http_head_init(&ex->head, client->fields + client->field_max, client->field_max);
		http1_body_init(&ex->body, &ex->parser.framing, &limits, &ex->head);
		return len;
	}
}

// What is in ex->in, to the client. False: the exchange is gone.
static bool push_response(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;
	ssize_t head_len = 0;

	if (ex->status == 0) {
		head_len = response_head(client);
		if (head_len <= 0)
			return head_len == 0;
	}
	do {
		struct http1_body_part part = {0};
		if (http1_body_feed(&ex->body, buf_data(&ex->in), ex->in.len, &part) < 0) {
			session_close(session, CLOSE_UPSTREAM_MALFORMED, true);
			return false;
		}
		if (head_len || part.data.len || part.done)
			send_down(client, (size_t)head_len, part.data, part.done);
		if (session->phase != SESSION_TALK)
			return false;
		head_len = 0;
		buf_consume(&ex->in, part.consumed);
		if (part.done) {
			finish(client);
			return false;
		}
		if (!part.consumed)
			break;
	} while (ex->in.len && session->talk->out.len == 0);
	return true;
}

static void upstream_event(struct loop *loop, struct stream *stream);

// The connection was a kept one and died before it answered: once more, on a fresh one.
static bool repeat(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;

	if (!ex->pooled || !ex->pooled->uses || !ex->sent || ex->body_begun || ex->repeated ||
	    ex->status || ex->in.len)
		return false;
	ex->repeated = true;
	ex->send_error = 0;
	metric_inc(&client->session->front->metrics->pool_requests[METRIC_POOL_STALE]);
	drop_upstream(client, false);
	buf_clear(&ex->out);
	if (attempt_dial(&ex->attempt) == CLOSE_NONE)
		return true;
	return false;
}

static void upstream_over(struct http_client *client, ssize_t error)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;

	if (repeat(client))
		return;
	// EPIPE: the end had come before the reset. Anything else: no end was there, only its look.
	if (error == 0 && ex->send_error != -EPIPE)
		error = ex->send_error;
	if (error == 0 && ex->status && http1_body_eof(&ex->body) == 0) {
		send_down(client, 0, (struct slice){0}, true);
		if (session->phase ==
		    SESSION_TALK) // else the client is gone, and the exchange with it
			finish(client);
		return;
	}
	fail(client, error == 0 ? CLOSE_UPSTREAM_ABORTED : CLOSE_UPSTREAM_RESET);
}

// Reads from upstream and sends to the client while it takes it. False: the exchange is gone.
static bool pump_response(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;
	uint64_t until = ex->bytes_down + TURN_MAX;

	while (session->talk->out.len == 0) {
		uint8_t *space;
		if (!(ex->upstream->ready & STREAM_IN) ||
		    turn_is_over(client, ex->bytes_down, until))
			return true;
		size_t want = allowance(client, DOWN, READ_SIZE);
		if (!want)
			return true;
		if (buf_reserve(&ex->in, want, &space) < 0) {
			fail(client, CLOSE_UPSTREAM_MALFORMED);
			return false;
		}
		ssize_t n = stream_read(ex->upstream, space, want);
		if (ex->limited)
			bucket_refund_all(ex->claims[DOWN], 2, want - (n > 0 ? (size_t)n : 0));
		if (n == -EAGAIN)
			return true;
		if (n <= 0) {
			upstream_over(client, n);
			return false;
		}
		if (!ex->first_byte)
			ex->first_byte = session->front->loop->now;
		buf_commit(&ex->in, (size_t)n);
		if (!push_response(client))
			return false;
	}
	return true;
}

void http_exchange_pump(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;

	if (!ex->upstream)
		return;
	// What was read while the client did not take it comes first.
	if (ex->in.len && client->session->talk->out.len == 0 && !push_response(client))
		return;
	if (!pump_request(client) || !client->exchange || !client->exchange->upstream)
		return;
	pump_response(client);
}

void http_exchange_renew(struct http_client *client)
{
	set_limits(client);
	http_exchange_pump(client);
}

static void upstream_event(struct loop *loop, struct stream *stream)
{
	http_exchange_pump(stream->owner);
}

/*
 * The beginning: a connection, and the request's head on it.
 */

// The request's head could not be written for the next hop.
static void unsent(struct http_client *client, ssize_t error)
{
	switch (error) {
	case -ELOOP:
		http_answer(client, 200, CLOSE_NONE,
			    "Max-Forwards has come to its end at this proxy.");
		break;
	case -EDEADLK:
		http_refuse(client, CLOSE_LOOP_DETECTED);
		break;
	case -ENOBUFS:
		http_answer(client, 431, CLOSE_HTTP_TOO_LARGE, NULL);
		break;
	default:
		http_answer(client, 400, CLOSE_HTTP_MALFORMED, NULL);
	}
}

static void begin_sending(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;
	const struct http1_body_limits limits = HTTP1_BODY_LIMITS_DEFAULT;
	struct iovec iov = {.iov_base = ex->sent, .iov_len = ex->sent_len};

	stream_own(ex->upstream, client, upstream_event);
	ex->sent_at = session->front->loop->now;
	if (!ex->repeated)
		begin_response_parser(client);
	if (iov.iov_len == 0) {
		ssize_t n = http_forward_request(client);
		if (n < 0) {
			unsent(client, n);
			return;
		}
		iov = (struct iovec){.iov_base = session->front->scratch, .iov_len = (size_t)n};
		bool no_content = client->request.framing.kind == HTTP1_FRAMING_NONE ||
				  (client->request.framing.kind == HTTP1_FRAMING_LENGTH &&
				   client->request.framing.length == 0);
		if (ex->pooled && ex->pooled->uses && no_content &&
		    (http_method_flags((enum http_method)client->request.method) &
		     HTTP_METHOD_IDEMPOTENT)) {
			ex->sent = malloc((size_t)n);
			if (ex->sent)
				memcpy(ex->sent, iov.iov_base, (size_t)n);
			ex->sent_len = ex->sent ? (size_t)n : 0;
		}
		// Trailers go to where the head's fields were: those are written and not needed any more.
		http_head_init(&client->request.head, client->fields, client->field_max);
		http1_body_init(&ex->request_body, &client->request.framing, &limits,
				&client->request.head);
		ex->request_done = no_content;
	}
	if (!send_up(client, &iov, 1))
		return;
	const struct snap_timeouts *timeouts = &front_snap(session->front)->timeouts;
	session_deadline(session,
			 timeouts->idle_ns ? client->active + timeouts->idle_ns : UINT64_MAX);
	http_exchange_pump(client);
}

static struct host *pool_host(struct http_client *client, const struct snap *snap,
			      uint64_t *ret_variant)
{
	struct attempt *attempt = &client->exchange->attempt;
	const struct snap_parent *parent;

	*ret_variant = attempt->route_id;
	if (attempt->parent_id) {
		parent = snap_parent_by_id(snap, attempt->parent_id);
		return parent ? (struct host *)&parent->target.host : NULL;
	}
	if (attempt->route_id) {
		const struct snap_route *route = snap_route_by_id(snap, attempt->route_id);
		return route && !route->send_proxy ? (struct host *)&route->targets[0].host : NULL;
	}
	return &attempt->host;
}

// NTLM and Negotiate log a connection in, not a request (RFC 4559, 5): what comes on it later is that
// user's, whoever sends it. So the connection is this client's from there on.
static bool binds_connection(const struct http_head *head)
{
	static const char *const schemes[] = {"NTLM", "Negotiate", "Kerberos"};

	for (const struct http_field *f = NULL;
	     (f = http_head_find_after(head, HTTP_FIELD_AUTHORIZATION, f));)
		for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
			struct slice scheme = slice_from_string(schemes[i]);
			if (f->value.len >= scheme.len &&
			    slice_equal_nocase(slice_make(f->value.data, scheme.len), scheme))
				return true;
		}
	return false;
}

static uint64_t bound_to(const struct http_client *client)
{
	return client->exchange->binds ? client->session->id : 0;
}

static void dialed(struct attempt *attempt, const struct dial_result *result)
{
	struct http_client *client = attempt->owner;
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;
	const struct snap *snap = front_snap(session->front);
	uint64_t variant;

	if (result->reason != CLOSE_NONE) {
		http_refuse(client, result->reason);
		return;
	}
	ex->upstream = result->stream;
	client->active = session->front->loop->now;
	if (result->early.len && buf_append(&ex->in, result->early.data, result->early.len) < 0) {
		fail(client, CLOSE_NO_MEMORY);
		return;
	}
	ex->by_parent = result->plain;
	attempt->parent_id = result->parent_id;
	struct host *host = pool_host(client, snap, &variant);
	const struct conn_pool_key key = {host, attempt->parent_id, variant, bound_to(client)};
	// Without a record it serves this one request.
	if (host && (!attempt->parent_id || ex->by_parent))
		(void)conn_pool_adopt(session->front->pool, &key, result->stream, &result->peer,
				      &ex->pooled);
	begin_sending(client);
}

static enum close_reason pool_permits(void *owner, const struct endpoint *peer,
				      const struct snap_parent **ret_parent)
{
	struct http_client *client = owner;
	struct http_exchange *ex = client->exchange;

	if (ex->by_parent)
		return CLOSE_NONE;
	// A rule may send this user's requests to that address through a parent.
	return ex->attempt.route_id ? attempt_permit(&ex->attempt, peer)
				    : attempt_permit_direct(&ex->attempt, &ex->attempt.host, peer);
}

static bool take_pooled(struct http_client *client)
{
	struct http_exchange *ex = client->exchange;
	struct session *session = client->session;
	uint64_t variant;
	struct host *host = pool_host(client, front_snap(session->front), &variant);
	bool idempotent = http_method_flags((enum http_method)client->request.method) &
			  HTTP_METHOD_IDEMPOTENT;

	// What must not be repeated does not begin on a connection that may be closing just now.
	if (!host || (!idempotent && client->requests == 1) ||
	    (ex->attempt.parent_id && !ex->by_parent))
		return false;
	const struct conn_pool_key shared = {host, ex->attempt.parent_id, variant, 0};
	const struct conn_pool_key own = {host, ex->attempt.parent_id, variant, session->id};
	if (client->bound)
		ex->pooled = conn_pool_take(session->front->pool, &own, pool_permits, client);
	if (!ex->pooled)
		ex->pooled = conn_pool_take(session->front->pool, &shared, pool_permits, client);
	if (!ex->pooled)
		return false;
	if (ex->binds)
		conn_pool_bind(ex->pooled, &own);
	ex->upstream = ex->pooled->stream;
	session->upstream = ex->pooled->peer;
	session->by_parent = ex->by_parent;
	report_event(session, EVENT_POOL_HIT, 0, session->upstream.port);
	return true;
}

void http_exchange_begin(struct http_client *client, const struct host *host, uint64_t route_id)
{
	struct session *session = client->session;
	struct http_exchange *ex = calloc(1, sizeof(*ex));
	const struct snap *snap = front_snap(session->front);

	client->exchange = ex;
	if (!ex) {
		http_refuse(client, CLOSE_NO_MEMORY);
		return;
	}
	ex->client = client;
	buf_init(&ex->in, IN_MAX);
	buf_init(&ex->out, OUT_MAX);
	timer_init(&ex->tokens, tokens_came);
	task_init(&ex->again, turn_came);
	ex->attempt = (struct attempt){.session = session,
				       .done = dialed,
				       .owner = client,
				       .host = *host,
				       .protocols = SNAP_PROTO_HTTP,
				       .route_id = route_id,
				       .parent_plain = true};
	enum close_reason refused = attempt_decide(&ex->attempt);
	if (refused == CLOSE_NONE) {
		const struct snap_parent *parent =
			ex->attempt.parent_id ? snap_parent_by_id(snap, ex->attempt.parent_id)
					      : NULL;
		ex->by_parent = parent && parent->type == SNAP_PARENT_HTTP;
		ex->binds = binds_connection(&client->request.head);
		client->bound |= ex->binds;
		set_limits(client);
		if (take_pooled(client)) {
			begin_sending(client);
			return;
		}
		refused = attempt_dial(&ex->attempt);
	}
	if (refused != CLOSE_NONE)
		http_refuse(client, refused);
}
