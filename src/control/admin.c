// SPDX-License-Identifier: Apache-2.0
// The admin listener's connections: read a request, answer, go on.
#include "control/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>
#include <urcu/list.h>

#include "base/buf.h"
#include "control/admin_request.h"
#include "control/control.h"
#include "io/listener.h"
#include "io/sys.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "proto/http1/parser.h"
#include "proto/http1/reply.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "stream/tcp.h"

enum {
	CONNECTIONS_MAX = 64,
	FIELDS_MAX = 64,
	IN_MAX = 16 * 1024,
	CONTENT_MAX = 4096, // of a request; it is not looked at
	HEAD_ROOM = 1024,   // of an answer
};
#define ADMIN_IDLE_NS 30000000000ULL

struct admin {
	struct control *control;
	struct listener listener;
	struct cds_list_head connections;
	unsigned count;
};

struct admin_connection {
	struct admin *admin;
	struct cds_list_head node;
	struct stream *stream;
	struct buf in;
	char *out; // the answer under way; owned; NULL: none
	size_t out_len, out_off;
	struct timer timer;
	struct http1_parser parser;
	struct http_head head;
	struct http_field fields[FIELDS_MAX];
	size_t skip;  // bytes of content still to pass over
	bool closing; // after the answer
};

static void connection_close(struct admin_connection *c)
{
	struct loop *loop = &c->admin->control->loop;

	loop_timer_cancel(loop, &c->timer);
	stream_close(loop, c->stream, STREAM_FIN);
	buf_release(&c->in);
	free(c->out);
	cds_list_del(&c->node);
	c->admin->count--;
	free(c);
}

static void begin_request(struct admin_connection *c)
{
	const struct http1_limits limits = {8192, IN_MAX};

	http_head_init(&c->head, c->fields, FIELDS_MAX);
	http1_parser_init_request(&c->parser, &c->head, &limits);
	loop_timer_set(&c->admin->control->loop, &c->timer,
		       c->admin->control->loop.now + ADMIN_IDLE_NS);
}

// False: the connection is closed.
static bool flush(struct admin_connection *c)
{
	while (c->out && (c->stream->ready & STREAM_OUT)) {
		ssize_t n = stream_write(c->stream, c->out + c->out_off, c->out_len - c->out_off);
		if (n == -EAGAIN)
			return true;
		if (n < 0) {
			connection_close(c);
			return false;
		}
		c->out_off += (size_t)n;
		if (c->out_off < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
		if (c->closing) {
			connection_close(c);
			return false;
		}
	}
	return true;
}

static const struct http_field headers[] = {
	{SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store"), 0},
	{SLICE_LITERAL("X-Content-Type-Options"), SLICE_LITERAL("nosniff"), 0},
	{SLICE_LITERAL("X-Frame-Options"), SLICE_LITERAL("DENY"), 0},
	{SLICE_LITERAL("Referrer-Policy"), SLICE_LITERAL("no-referrer"), 0},
	{SLICE_LITERAL("Content-Security-Policy"),
	 SLICE_LITERAL(
		 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		 "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors "
		 "'none'"),
	 0},
};

static bool send_reply(struct admin_connection *c, struct admin_reply *answer)
{
	struct control *control = c->admin->control;
	struct http1_reply reply = {
		.status = answer->status,
		.method = c->head.method,
		.close = c->closing,
		.content_type = slice_from_string(answer->type),
		.text = slice_make(answer->body.data, answer->body.len),
		.fields = headers,
		.field_count = sizeof(headers) / sizeof(headers[0]),
	};
	size_t room = answer->body.len + HEAD_ROOM;

	metric_inc(&control->metrics->admin_requests[answer->status / 100 - 1]);
	c->out = malloc(room);
	ssize_t n = c->out ? http1_reply_write(c->out, room, &reply) : -ENOMEM;
	text_release(&answer->body);
	if (n < 0) {
		connection_close(c);
		return false;
	}
	c->out_len = (size_t)n;
	c->out_off = 0;
	return flush(c);
}

static bool answer_request(struct admin_connection *c)
{
	struct control *control = c->admin->control;
	struct admin_request request = {.head = &c->head, .path = c->head.path};
	struct admin_reply reply = {.status = 200};
	const struct http1_framing *framing = &c->parser.framing;
	const char *query = memchr(request.path.data, '?', request.path.len);

	text_init(&reply.body, 0);
	if (query) {
		request.query = slice_make(
			query + 1, request.path.len - (size_t)(query - request.path.data) - 1);
		request.path.len = (size_t)(query - request.path.data);
	}
	c->closing = !framing->keep_alive;
	if (framing->kind == HTTP1_FRAMING_LENGTH && framing->length <= CONTENT_MAX)
		c->skip = (size_t)framing->length;
	else if (framing->kind != HTTP1_FRAMING_NONE)
		c->closing = true;
	const char *refused = admin_guard(&control->snap->admin, &control->admin_bound, &c->head);
	if (c->head.target_form != HTTP_TARGET_ORIGIN)
		admin_say(&reply, 400, "This is the proxy's admin address, not the proxy.");
	else if (refused)
		admin_say(&reply, 403, refused);
	else
		admin_route(control, &request, &reply);
	return send_reply(c, &reply);
}

static bool answer_malformed(struct admin_connection *c)
{
	struct admin_reply reply = {0};
	unsigned status = http1_error_status(c->parser.error);

	text_init(&reply.body, 0);
	c->closing = true;
	admin_say(&reply, status ? status : 400, http1_error_text(c->parser.error).data);
	return send_reply(c, &reply);
}

// Answers what is in the buffer. False: the connection is closed.
static bool serve(struct admin_connection *c)
{
	while (!c->out) {
		size_t skip = c->skip < c->in.len ? c->skip : c->in.len;
		buf_consume(&c->in, skip);
		c->skip -= skip;
		if (c->in.len == 0)
			return true;
		ssize_t n = http1_parser_feed(&c->parser, buf_data(&c->in), c->in.len);
		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return answer_malformed(c);
		if (!answer_request(c))
			return false;
		buf_consume(&c->in, (size_t)n);
		begin_request(c);
	}
	return true;
}

static void connection_ready(struct loop *loop, struct stream *stream)
{
	struct admin_connection *c = stream->owner;
	uint8_t *space;

	if (!flush(c))
		return;
	while (!c->out && (stream->ready & STREAM_IN)) {
		if (buf_reserve(&c->in, 2048, &space) < 0) {
			connection_close(c);
			return;
		}
		ssize_t n = stream_read(stream, space, 2048);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			connection_close(c);
			return;
		}
		buf_commit(&c->in, (size_t)n);
		if (!serve(c))
			return;
	}
	if (!c->out)
		serve(c);
}

static void connection_idle(struct loop *loop, struct timer *timer)
{
	connection_close(caa_container_of(timer, struct admin_connection, timer));
}

static void accepted(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct admin *admin = caa_container_of(listener, struct admin, listener);
	struct loop *loop = &admin->control->loop;
	struct admin_connection *c = NULL;

	if (admin->count < CONNECTIONS_MAX)
		c = calloc(1, sizeof(*c));
	if (!c || tcp_stream_new(loop, fd, STREAM_OUT, &c->stream) < 0) {
		free(c);
		sys_abort(fd);
		return;
	}
	c->admin = admin;
	buf_init(&c->in, IN_MAX + CONTENT_MAX);
	timer_init(&c->timer, connection_idle);
	cds_list_add(&c->node, &admin->connections);
	admin->count++;
	begin_request(c);
	stream_own(c->stream, c, connection_ready);
}

static int listen_on(struct control *control, struct admin *admin)
{
	struct sockaddr_storage addr;
	int fd = listener_socket(&control->snap->admin.address, true, false);
	int r = fd;

	if (fd >= 0)
		r = sys_getsockname(fd, &addr);
	if (r >= 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr),
					   &control->admin_bound);
	if (r >= 0)
		r = listener_init(&admin->listener, &control->loop, fd, accepted, NULL);
	if (r < 0 && fd >= 0)
		sys_close(fd);
	return r < 0 ? r : 0;
}

int admin_start(struct control *control)
{
	struct admin *admin;

	if (!control->snap->admin.enabled)
		return 0;
	admin = calloc(1, sizeof(*admin));
	if (!admin)
		return -ENOMEM;
	admin->control = control;
	CDS_INIT_LIST_HEAD(&admin->connections);
	int r = listen_on(control, admin);
	if (r < 0) {
		log_error(LOG_ADMIN, "cannot listen; admin.address or --admin changes it",
			  LOG_ENDPOINT("address", &control->snap->admin.address),
			  LOG_ERRNO("error", r), LOG_END);
		free(admin);
		return r;
	}
	// The guard of the admin address compares it with destinations.
	control->snap->admin.address.port = control->admin_bound.port;
	control->admin = admin;
	log_info(LOG_ADMIN, "admin API listening", LOG_ENDPOINT("address", &control->admin_bound), LOG_END);
	return 0;
}

void admin_stop(struct control *control)
{
	struct admin *admin = control->admin;

	if (!admin)
		return;
	while (!cds_list_empty(&admin->connections))
		connection_close(
			cds_list_first_entry(&admin->connections, struct admin_connection, node));
	listener_release(&admin->listener);
	free(admin);
	control->admin = NULL;
}
