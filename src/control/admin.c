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
	CONTENT_MAX = 4096,             // of a request; it is not looked at
	HEAD_ROOM = 1024,               // of an answer
	UNSENT_MAX = 128 * 1024 * 1024, // of all answers: slow readers do not eat the memory
};
#define ADMIN_IDLE_NS 30000000000ULL

struct admin_listener {
	struct listener listener;
	struct admin *admin;
	struct endpoint asked, bound;
	struct deferred deferred;
};

struct admin {
	struct control *control;
	struct admin_listener *listener;    // NULL: off
	struct cds_list_head connections;   // oldest first
	struct admin_connection *answering; // whose request is being handled
	unsigned count;
	size_t unsent; // bytes of all answers under way
};

struct admin_connection {
	struct admin *admin;
	struct cds_list_head node;
	struct stream *stream;
	struct endpoint bound; // where it came in: what Host must say
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
	if (c->out)
		c->admin->unsent -= c->out_len;
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
		c->admin->unsent -= c->out_len;
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
	{SLICE_LITERAL("Allow"), SLICE_LITERAL(""), 0},
	{SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store"), 0},
	{SLICE_LITERAL("X-Content-Type-Options"), SLICE_LITERAL("nosniff"), 0},
	{SLICE_LITERAL("X-Frame-Options"), SLICE_LITERAL("DENY"), 0},
	{SLICE_LITERAL("Referrer-Policy"), SLICE_LITERAL("no-referrer"), 0},
	{SLICE_LITERAL("Cross-Origin-Resource-Policy"), SLICE_LITERAL("same-origin"), 0},
	{SLICE_LITERAL("Cross-Origin-Opener-Policy"), SLICE_LITERAL("same-origin"), 0},
	{SLICE_LITERAL("Content-Security-Policy"),
	 SLICE_LITERAL(
		 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		 "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors "
		 "'none'"),
	 0},
};
enum { FIELD_COUNT = sizeof(headers) / sizeof(headers[0]) };

static bool send_reply(struct admin_connection *c, struct admin_reply *answer)
{
	struct control *control = c->admin->control;

	if (answer->body.failed || answer->body.len > UNSENT_MAX - c->admin->unsent) {
		text_truncate(&answer->body, 0);
		admin_say(answer, 503, "This answer needs more memory than there is for it.");
	}
	struct http_field fields[FIELD_COUNT];
	memcpy(fields, headers, sizeof(headers));
	fields[0].value = slice_from_string(answer->allow);
	struct http1_reply reply = {
		.status = answer->status,
		.method = c->head.method,
		.close = c->closing,
		.keep_alive = !c->closing && c->head.version == HTTP_VERSION_1_0,
		.content_type = slice_from_string(answer->type),
		.text = slice_make(answer->body.data, answer->body.len),
		// The first one, Allow, is for 405 alone.
		.fields = answer->allow ? fields : fields + 1,
		.field_count = answer->allow ? FIELD_COUNT : FIELD_COUNT - 1,
	};
	size_t room = answer->body.len + HEAD_ROOM;

	metric_inc(&control->metrics->admin_requests[answer->status / 100 - 1]);
	c->out = malloc(room);
	ssize_t n = c->out ? http1_reply_write(c->out, room, &reply) : -ENOMEM;
	text_release(&answer->body);
	if (n < 0) {
		free(c->out);
		c->out = NULL;
		connection_close(c);
		return false;
	}
	c->out_len = (size_t)n;
	c->out_off = 0;
	c->admin->unsent += c->out_len;
	return flush(c);
}

static void run_route(struct admin_connection *c, const struct admin_request *request,
		      struct admin_reply *reply)
{
	c->admin->answering = c;
	admin_route(c->admin->control, request, reply);
	c->admin->answering = NULL;
	if (!c->admin->listener)
		c->closing = true; // switched off by this very request
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
	const char *refused = admin_guard(&control->snap->admin, &c->bound, &c->head);
	if (refused)
		log_warn(LOG_ADMIN, "request refused", LOG_STR("why", refused),
			 LOG_SLICE("host", c->head.authority), LOG_SLICE("path", request.path),
			 LOG_END);
	if (c->head.target_form != HTTP_TARGET_ORIGIN)
		admin_say(&reply, 400, "This is the proxy's admin address, not the proxy.");
	else if (refused)
		admin_say(&reply, 403, refused);
	else
		run_route(c, &request, &reply);
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

	if (!flush(c) || !serve(c)) // what had to wait for the answer before
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
}

static void connection_idle(struct loop *loop, struct timer *timer)
{
	connection_close(caa_container_of(timer, struct admin_connection, timer));
}

// Somebody who holds connections open and asks nothing does not keep others out.
static void make_room(struct admin *admin)
{
	struct admin_connection *c;

	cds_list_for_each_entry(c, &admin->connections, node)
	{
		if (c->out || c == admin->answering)
			continue;
		connection_close(c);
		return;
	}
}

static void accepted(struct listener *base, int fd, const struct sockaddr *peer)
{
	struct admin_listener *listener = caa_container_of(base, struct admin_listener, listener);
	struct admin *admin = listener->admin;
	struct loop *loop = &admin->control->loop;
	struct admin_connection *c = NULL;

	if (admin->count == CONNECTIONS_MAX)
		make_room(admin);
	if (admin->count < CONNECTIONS_MAX)
		c = calloc(1, sizeof(*c));
	if (!c || tcp_stream_new(loop, fd, STREAM_OUT, &c->stream) < 0) {
		free(c);
		sys_abort(fd);
		return;
	}
	c->admin = admin;
	c->bound = listener->bound;
	buf_init(&c->in, IN_MAX + CONTENT_MAX);
	timer_init(&c->timer, connection_idle);
	cds_list_add_tail(&c->node, &admin->connections);
	admin->count++;
	begin_request(c);
	stream_own(c->stream, c, connection_ready);
}

static int bound_address(int fd, struct endpoint *ret)
{
	struct sockaddr_storage addr;
	int r = sys_getsockname(fd, &addr);

	return r < 0 ? r : endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret);
}

static void explain(const struct admin *admin, const struct endpoint *asked, struct text *why,
		    int error)
{
	char address[ENDPOINT_STRLEN];
	const char *hint = "";

	if (error == -EADDRINUSE && admin->listener && admin->listener->bound.port == asked->port)
		hint = " (the present admin address has this port: choose another, or restart)";
	else if (error == -EADDRINUSE)
		hint = " (is another program using the port?)";
	else if (error == -EACCES)
		hint = " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
	endpoint_format(asked, address);
	text_printf(
		why,
		"admin.address: cannot listen on %s: %s%s; admin.address or --admin changes it\n",
		address, strerror(-error), hint);
}

int admin_open(struct control *control, struct snap *snap, struct text *why,
	       struct admin_plan *ret_plan)
{
	const struct admin *admin = control->admin;
	const struct admin_listener *now = admin->listener;
	struct admin_plan plan = {.fd = -1};

	if (!snap->admin.enabled) {
		*ret_plan = plan;
		return 0;
	}
	plan.asked = snap->admin.address;
	if (now && (endpoint_equal(&plan.asked, &now->asked) ||
		    endpoint_equal(&plan.asked, &now->bound))) {
		plan.keep = true;
		plan.bound = now->bound;
	} else {
		int r = plan.fd = listener_socket(&plan.asked, true, false);
		if (r >= 0)
			r = bound_address(plan.fd, &plan.bound);
		if (r < 0) {
			explain(admin, &plan.asked, why, r);
			admin_abandon(&plan);
			return r;
		}
	}
	snap->admin.address.port = plan.bound.port;
	*ret_plan = plan;
	return 0;
}

void admin_abandon(struct admin_plan *plan)
{
	if (plan->fd >= 0)
		sys_close(plan->fd);
	plan->fd = -1;
}

static void listener_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct admin_listener, deferred));
}

static void close_listener(struct admin *admin)
{
	struct admin_listener *listener = admin->listener;

	if (!listener)
		return;
	log_info(LOG_ADMIN, "admin API closed", LOG_ENDPOINT("address", &listener->bound), LOG_END);
	listener_release(&listener->listener);
	admin->listener = NULL;
	loop_defer(&admin->control->loop, &listener->deferred, listener_free);
}

static void close_connections(struct admin *admin)
{
	struct admin_connection *c, *next;

	cds_list_for_each_entry_safe(c, next, &admin->connections, node)
	{
		if (c != admin->answering)
			connection_close(c);
	}
}

static int listen_on(struct admin *admin, const struct admin_plan *plan)
{
	struct admin_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->admin = admin;
	listener->asked = plan->asked;
	listener->bound = plan->bound;
	int r = listener_init(&listener->listener, &admin->control->loop, plan->fd, accepted, NULL);
	if (r < 0) {
		free(listener);
		return r;
	}
	admin->listener = listener;
	log_info(LOG_ADMIN, "admin API listening", LOG_ENDPOINT("address", &plan->bound), LOG_END);
	return 0;
}

void admin_commit(struct control *control, const struct admin_plan *plan)
{
	struct admin *admin = control->admin;
	int r = 0;

	if (plan->keep) {
		admin->listener->asked = plan->asked;
		return;
	}
	close_listener(admin);
	if (plan->fd >= 0)
		r = listen_on(admin, plan);
	else
		close_connections(admin);
	if (r < 0) {
		log_error(LOG_ADMIN, "the admin API is off", LOG_ERRNO("error", r), LOG_END);
		sys_close(plan->fd);
	}
	control->admin_bound = admin->listener ? plan->bound : (struct endpoint){0};
}

int admin_start(struct control *control)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	struct admin_plan plan;
	struct text why;

	if (!admin)
		return -ENOMEM;
	admin->control = control;
	CDS_INIT_LIST_HEAD(&admin->connections);
	control->admin = admin;
	text_init(&why, 4096);
	int r = admin_open(control, control->snap, &why, &plan);
	if (r == 0)
		admin_commit(control, &plan);
	else
		log_error(LOG_ADMIN, "cannot listen",
			  LOG_STRN("why", why.data, why.len ? why.len - 1 : 0), LOG_END);
	text_release(&why);
	return r;
}

void admin_stop(struct control *control)
{
	struct admin *admin = control->admin;

	if (!admin)
		return;
	close_listener(admin); // takes whoever is in its queue
	close_connections(admin);
	free(admin);
	control->admin = NULL;
}
