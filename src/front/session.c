// SPDX-License-Identifier: Apache-2.0
// A session's life: input and output before the relay, the relay's start, and the close.
#include "front/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "front/driver.h"
#include "front/front.h"
#include "front/recognise.h"
#include "front/report.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "snap/snap.h"
#include "stream/stream.h"

enum {
	TALK_IN_MAX = 64 * 1024,
	TALK_OUT_MAX = 64 * 1024,
	LINGER_NS = 2000000000,    // for the client to read our last words
	LINGER_BYTES = 256 * 1024, // and what it may still send meanwhile
};

const char *session_phase_name(unsigned phase)
{
	static const char *const names[SESSION_PHASES] = {
		[SESSION_SILENT] = "silent",
		[SESSION_DETECT] = "detect",
		[SESSION_TALK] = "talk",
		[SESSION_RELAY] = "relay",
		[SESSION_ASSOCIATED] = "associated",
		[SESSION_LINGER] = "linger",
		[SESSION_CLOSED] = "closed",
	};
	return phase < SESSION_PHASES ? names[phase] : "invalid";
}

const struct snap_listener *session_listener(const struct session *session, const struct snap *snap)
{
	return snap_listener_by_id(snap, session->listener_id);
}

uint32_t session_age_us(const struct session *session)
{
	uint64_t age = (session->front->loop->now - session->accepted) / 1000;

	return age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

static void set_phase(struct session *session, enum session_phase phase)
{
	report_phase(session, (enum session_phase)session->phase, phase);
	session->phase = (uint8_t)phase;
}

void session_set_protocol(struct session *session, uint8_t protocol)
{
	struct metrics *metrics = session->front->metrics;

	if (session->protocol == protocol)
		return;
	metric_gauge_add(&metrics->connections_live[session->protocol], -1);
	metric_gauge_add(&metrics->connections_live[protocol], 1);
	metric_inc(&metrics->connections_recognised[protocol]);
	report_event(session, EVENT_RECOGNISED, protocol,
		     session->talk ? session->talk->in.len : 0);
	session->protocol = protocol;
}

static void talk_free(struct talk *talk)
{
	if (!talk)
		return;
	loop_task_cancel(&talk->again);
	buf_release(&talk->in);
	buf_release(&talk->out);
	free((void *)talk->tunnel_early.data);
	free(talk);
}

static void session_free(struct loop *loop, struct deferred *deferred)
{
	struct session *session = caa_container_of(deferred, struct session, deferred);
	struct front *front = session->front;

	free(session->user_name);
	free(session->dest);
	free(session->rule);
	free(session->route);
	free(session->parent);
	pool_free(&front->sessions_pool, session);
}

// The last step of every way to the end: counts, logs, gives back.
static void session_end(struct session *session, enum close_reason reason)
{
	struct front *front = session->front;
	uint64_t now = front->loop->now;

	session->reason = (uint8_t)reason;
	loop_timer_cancel(front->loop, &session->relay.timer);
	if (session->driver && session->driver->release)
		session->driver->release(session);
	session->driver = NULL;
	set_phase(session, SESSION_CLOSED);
	report_end(session);
	if (session->user_counted)
		account_conn_release(session->user);
	if (session->address_counted)
		account_conn_release(session->address);
	account_unref(session->user, now);
	account_unref(session->address, now);
	session->user = session->address = NULL;
	if (session->talk && session->talk->tunnel)
		stream_close(front->loop, session->talk->tunnel, STREAM_RST);
	talk_free(session->talk);
	session->talk = NULL;
	if (front->walk == &session->node)
		front->walk = session->node.next;
	cds_list_del(&session->node);
	CDS_INIT_LIST_HEAD(&session->node);
	front->live--;
	atomic_fetch_sub_explicit(&front->shared->live_atomic, 1, memory_order_relaxed);
	metric_gauge_add(&front->metrics->connections_live[session->protocol], -1);
	loop_defer(front->loop, &session->deferred, session_free);
}

void session_close(struct session *session, enum close_reason reason, bool reset)
{
	if (session->phase == SESSION_CLOSED)
		return;
	if (session->phase == SESSION_RELAY) {
		relay_close(&session->relay, reason, reset);
		return;
	}
	struct stream *client = session->client;
	session->client = NULL;
	session_end(session, reason);
	if (client)
		stream_close(session->front->loop, client, reset ? STREAM_RST : STREAM_FIN);
}

static void relay_over(struct relay *relay, enum close_reason reason)
{
	session_end(caa_container_of(relay, struct session, relay), reason);
}

void session_claims(const struct session *session, const struct snap *snap,
		    struct bucket_claim ret_up[2], struct bucket_claim ret_down[2])
{
	const struct snap_user *user =
		session->user_id ? snap_user_by_id(snap, session->user_id) : NULL;

	account_claims(session->user, user ? &user->limits : NULL, session->address,
		       &snap->per_address, ACCOUNT_UP, ret_up);
	account_claims(session->user, user ? &user->limits : NULL, session->address,
		       &snap->per_address, ACCOUNT_DOWN, ret_down);
}

int session_apply_limits(struct session *session, const struct snap *snap)
{
	struct bucket_claim up[2], down[2];

	session_claims(session, snap, up, down);
	return relay_limit(&session->relay, up, down);
}

static uint64_t deadline_of(uint64_t from, uint64_t span)
{
	return span ? from + span : UINT64_MAX;
}

// Everything said by the driver has been taken: bytes flow from here on.
static void begin_relay(struct session *session)
{
	struct front *front = session->front;
	const struct snap *snap = front_snap(front);
	struct talk *talk = session->talk;
	struct relay *relay = &session->relay;
	const struct relay_early early[2] = {
		{buf_data(&talk->in), talk->in.len},
		talk->tunnel_early,
	};

	loop_timer_cancel(front->loop, &relay->timer);
	*relay = (struct relay){
		.env = &front->relay,
		.side = {session->client, talk->tunnel},
		.account = {session->user, session->address},
		.deadline = deadline_of(session->accepted, snap->timeouts.total_ns),
		.done = relay_over,
	};
	if (relay_start(relay, early) < 0) {
		session_close(session, CLOSE_NO_MEMORY, true);
		return;
	}
	if (session->driver->release)
		session->driver->release(session);
	session->driver = NULL;
	session->client = NULL;
	talk_free(talk);
	session->talk = NULL;
	set_phase(session, SESSION_RELAY);
	if (session_apply_limits(session, snap) < 0)
		session_close(session, CLOSE_NO_MEMORY, true);
}

static void linger_read(struct session *session);

static void begin_linger(struct session *session)
{
	struct loop *loop = session->front->loop;

	// Closing with unread input would reset the connection under our last words.
	set_phase(session, SESSION_LINGER);
	stream_finish(session->client);
	loop_timer_set(loop, &session->relay.timer, loop->now + LINGER_NS);
	linger_read(session);
}

static void flush_out(struct session *session)
{
	struct talk *talk = session->talk;

	while (talk->out.len) {
		ssize_t n = stream_write(session->client, buf_data(&talk->out), talk->out.len);
		if (n == -EAGAIN)
			return;
		if (n < 0) {
			session_close(session, CLOSE_CLIENT_RESET, true);
			return;
		}
		buf_consume(&talk->out, (size_t)n);
	}
	if (talk->finish != CLOSE_NONE)
		begin_linger(session);
	else if (talk->tunnel)
		begin_relay(session);
	else if (session->driver && session->driver->drained)
		session->driver->drained(session);
}

void session_send(struct session *session, const void *data, size_t len)
{
	const struct iovec iov = {.iov_base = (void *)data, .iov_len = len};

	session_sendv(session, &iov, 1);
}

void session_sendv(struct session *session, const struct iovec *iov, int iovcnt)
{
	struct talk *talk = session->talk;
	ssize_t n = 0;

	if (session->phase == SESSION_CLOSED)
		return;
	if (talk->out.len == 0 && (session->client->ready & STREAM_OUT))
		n = iovcnt == 1 ? stream_write(session->client, iov->iov_base, iov->iov_len)
				: stream_writev(session->client, iov, iovcnt);
	if (n < 0 && n != -EAGAIN) {
		session_close(session, CLOSE_CLIENT_RESET, true);
		return;
	}
	size_t taken = n > 0 ? (size_t)n : 0;
	for (int i = 0; i < iovcnt; i++) {
		size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;
		taken -= skip;
		if (skip < iov[i].iov_len && buf_append(&talk->out, (char *)iov[i].iov_base + skip,
							iov[i].iov_len - skip) < 0) {
			session_close(session, CLOSE_NO_MEMORY, true);
			return;
		}
	}
}

// The driver has said its last words, and the client has not taken all of them.
static void await_taking(struct session *session)
{
	struct front *front = session->front;

	session_deadline(session,
			 deadline_of(front->loop->now, front_snap(front)->timeouts.idle_ns));
}

void session_finish(struct session *session, enum close_reason reason)
{
	if (session->phase == SESSION_CLOSED || session->talk->finish != CLOSE_NONE)
		return;
	session->talk->finish = reason;
	if (session->talk->out.len == 0)
		begin_linger(session);
	else
		await_taking(session);
}

static void note_admitted(struct session *session)
{
	session->admitted_us = session_age_us(session);
	hist_record(&session->front->metrics->admission_duration,
		    (uint64_t)session->admitted_us * 1000);
}

void session_tunnel(struct session *session, struct stream *upstream, const void *early,
		    size_t early_len)
{
	struct talk *talk = session->talk;

	if (session->phase == SESSION_CLOSED) {
		stream_close(session->front->loop, upstream, STREAM_RST);
		return;
	}
	stream_own(upstream, NULL, NULL);
	talk->tunnel = upstream;
	if (early_len) {
		void *copy = malloc(early_len);
		if (!copy) {
			session_close(session, CLOSE_NO_MEMORY, true);
			return;
		}
		memcpy(copy, early, early_len);
		talk->tunnel_early = (struct relay_early){copy, early_len};
	}
	note_admitted(session);
	if (talk->out.len == 0)
		begin_relay(session);
	else
		await_taking(session);
}

void session_associate(struct session *session)
{
	note_admitted(session);
	loop_timer_cancel(session->front->loop, &session->relay.timer);
	set_phase(session, SESSION_ASSOCIATED);
}

static void linger_read(struct session *session)
{
	struct front *front = session->front;
	size_t total = 0;

	while (session->client->ready & STREAM_IN) {
		ssize_t n = stream_read(session->client, front->relay.chunk, RELAY_CHUNK);
		if (n == -EAGAIN)
			return;
		total += n > 0 ? (size_t)n : 0;
		if (n <= 0 || total > LINGER_BYTES) {
			session_close(session, session->talk->finish, n < 0);
			return;
		}
	}
}

static void give_input(struct session *session)
{
	if (session->driver)
		session->driver->input(session);
	else
		recognise(session);
}

static void read_in(struct session *session);

static void turn_came(struct loop *loop, struct task *task)
{
	read_in(caa_container_of(task, struct talk, again)->session);
}

static int make_talk(struct session *session)
{
	if (session->talk)
		return 0;
	struct talk *talk = calloc(1, sizeof(*talk));
	if (!talk)
		return -ENOMEM;
	buf_init(&talk->in, TALK_IN_MAX);
	buf_init(&talk->out, TALK_OUT_MAX);
	task_init(&talk->again, turn_came);
	talk->session = session;
	session->talk = talk;
	return 0;
}

ssize_t session_fill(struct session *session)
{
	uint8_t *chunk = session->front->relay.chunk;
	struct talk *talk = session->talk;
	size_t room = talk ? talk->in.limit - talk->in.len : RELAY_CHUNK;

	if (talk && talk->ended)
		return 0;
	if (room == 0)
		return -ENOBUFS;
	if (!(session->client->ready & STREAM_IN))
		return -EAGAIN;
	ssize_t n = stream_read(session->client, chunk, room < RELAY_CHUNK ? room : RELAY_CHUNK);
	if (n == -EAGAIN)
		return n;
	if (n < 0) {
		session_close(session, CLOSE_CLIENT_RESET, true);
		return -ECANCELED;
	}
	if (n == 0 && session->phase == SESSION_SILENT) {
		session_close(session, CLOSE_CLIENT_SILENT, false);
		return -ECANCELED;
	}
	if (make_talk(session) < 0 ||
	    (n > 0 && buf_append(&session->talk->in, chunk, (size_t)n) < 0)) {
		session_close(session, CLOSE_NO_MEMORY, true);
		return -ECANCELED;
	}
	session->talk->ended = n == 0;
	return n;
}

// Reads and gives to the driver until nothing is there, or it wants no more, or it has had its turn:
// who sends requests as fast as they are answered does not hold the worker.
static void read_in(struct session *session)
{
	size_t total = 0;

	while (session->phase <= SESSION_TALK &&
	       !(session->talk && (session->talk->paused || session->talk->ended ||
				   session->talk->finish != CLOSE_NONE))) {
		if (total >= RELAY_CHUNK) {
			loop_task_set(session->front->loop, &session->talk->again);
			return;
		}
		ssize_t n = session_fill(session);
		if (n < 0)
			return; // nothing there; or full, and the deadline will come
		total += (size_t)n;
		if (session->phase == SESSION_SILENT)
			set_phase(session, SESSION_DETECT);
		give_input(session);
	}
}

static void client_event(struct session *session)
{
	struct stream *client = session->client;

	if (client->ready & STREAM_ERROR)
		session_close(session, CLOSE_CLIENT_RESET, true);
	else if (session->driver && session->driver->event)
		session->driver->event(session);
}

void session_deadline(struct session *session, uint64_t at)
{
	if (at == UINT64_MAX)
		loop_timer_cancel(session->front->loop, &session->relay.timer);
	else
		loop_timer_set(session->front->loop, &session->relay.timer, at);
}

static void client_ready(struct loop *loop, struct stream *stream)
{
	struct session *session = stream->owner;

	if (session->talk && session->talk->out.len && (stream->ready & STREAM_OUT))
		flush_out(session);
	if (session->phase == SESSION_LINGER)
		linger_read(session);
	else if (session->phase == SESSION_ASSOCIATED ||
		 (session->phase == SESSION_TALK && session->talk->paused))
		client_event(session);
	else if (session->phase <= SESSION_TALK)
		read_in(session);
}

void session_resume(struct session *session)
{
	session->talk->paused = false;
	if (session->phase != SESSION_TALK)
		return;
	if (session->talk->in.len || session->talk->ended)
		session->driver->input(session);
	if (session->phase == SESSION_TALK)
		read_in(session);
}

void session_drive(struct session *session, const struct driver *driver)
{
	if (make_talk(session) < 0) {
		session_close(session, CLOSE_NO_MEMORY, true);
		return;
	}
	session->driver = driver;
	session_set_protocol(session, driver->protocol);
	set_phase(session, SESSION_TALK);
	if (driver->begin && driver->begin(session) < 0) {
		session->driver = NULL;
		session_close(session, CLOSE_NO_MEMORY, true);
		return;
	}
	if (session->phase == SESSION_TALK)
		driver->input(session);
}

void session_forget_destination(struct session *session)
{
	free(session->dest);
	free(session->rule);
	free(session->route);
	free(session->parent);
	session->dest = session->rule = session->route = session->parent = NULL;
	session->upstream = (struct endpoint){0};
	session->by_parent = false;
	session->auth_us = session->resolve_us = session->connect_us = 0;
}

void session_forget_user(struct session *session)
{
	if (session->user_counted)
		account_conn_release(session->user);
	session->user_counted = false;
	account_unref(session->user, session->front->loop->now);
	session->user = NULL;
	session->user_id = 0;
	free(session->user_name);
	session->user_name = NULL;
}

enum close_reason session_set_user(struct session *session, uint64_t user_id)
{
	struct front *front = session->front;
	const struct snap_user *user = snap_user_by_id(front_snap(front), user_id);

	if (session->user_id == user_id)
		return CLOSE_NONE;
	session_forget_user(session);
	if (!user)
		return CLOSE_AUTH_FAILED;
	session->user = account_get_user(front->shared->accounts, user_id, front->loop->now);
	if (!session->user)
		return CLOSE_NO_MEMORY;
	session->user_generation = account_generation(session->user);
	session->user_name = strndup(user->name, user->name_len);
	int r = account_conn_admit(session->user, &user->limits, front->loop->now);
	session->user_counted = r == 0;
	// Who was refused is asked again by the connection's next request.
	session->user_id = r == 0 ? user_id : 0;
	return r == 0 ? CLOSE_NONE : r == -EUSERS ? CLOSE_USER_LIMIT : CLOSE_RATE_LIMITED;
}

enum close_reason session_count_address(struct session *session)
{
	struct front *front = session->front;
	uint64_t now = front->loop->now;

	if (session->address_counted)
		account_conn_release(session->address);
	session->address_counted = false;
	account_unref(session->address, now);
	session->address = account_get_address(front->shared->accounts, &session->peer, now);
	if (!session->address)
		return CLOSE_NO_MEMORY;
	int r = account_conn_admit(session->address, &front_snap(front)->per_address, now);
	session->address_counted = r == 0;
	return r == 0 ? CLOSE_NONE : r == -EUSERS ? CLOSE_ADDRESS_LIMIT : CLOSE_RATE_LIMITED;
}

static void timer_fired(struct loop *loop, struct timer *timer)
{
	struct session *session = caa_container_of(timer, struct session, relay.timer);

	const struct talk *talk = session->talk;

	if (talk && talk->finish != CLOSE_NONE) {
		// The kernel goes on to deliver what it has taken; a reset would throw it away.
		session_close(session, talk->finish, session->phase != SESSION_LINGER);
		return;
	}
	if (talk && talk->tunnel) {
		session_close(session, CLOSE_IDLE_TIMEOUT, true);
		return;
	}
	if (session->driver && session->driver->timeout) {
		session->driver->timeout(session);
		return;
	}
	const struct snap_timeouts *timeouts = &front_snap(session->front)->timeouts;
	uint64_t deadline = session->accepted + timeouts->admission_ns;
	if (loop->now >= deadline) {
		session_close(session, CLOSE_ADMISSION_TIMEOUT, false);
		return;
	}
	loop_timer_set(loop, &session->relay.timer, deadline);
	// Earlier than the deadline: the wait for a client whose server speaks first is over.
	if (session->phase <= SESSION_DETECT)
		recognise_silent(session);
}

// The session's own checks at accept. CLOSE_NONE: stay.
static enum close_reason admit(struct session *session, const struct snap *snap,
			       const struct snap_listener *listener)
{
	struct front_shared *shared = session->front->shared;

	if (!listener)
		return CLOSE_LISTENER_REMOVED;
	if (snap->connections_max &&
	    atomic_load_explicit(&shared->live_atomic, memory_order_relaxed) >
		    snap->connections_max)
		return CLOSE_CONNECTION_LIMIT;
	if (snap_addrs_match(&listener->proxy_from, &session->peer))
		return CLOSE_NONE; // the header will say who it is
	return session_count_address(session);
}

void session_open(struct front *front, uint64_t listener_id, struct stream *client,
		  const struct endpoint *peer)
{
	struct session *session = pool_alloc_zero(&front->sessions_pool);
	const struct snap *snap = front_snap(front);
	const struct snap_listener *listener = snap_listener_by_id(snap, listener_id);

	if (!session) {
		metric_inc(&front->metrics->connections_closed[CLOSE_NO_MEMORY]);
		stream_close(front->loop, client, STREAM_RST);
		return;
	}
	session->front = front;
	session->client = client;
	session->listener_id = listener_id;
	session->peer = *peer;
	session->accepted = front->loop->now;
	session->id =
		atomic_fetch_add_explicit(&front->shared->next_id_atomic, 1, memory_order_relaxed);
	timer_init(&session->relay.timer, timer_fired);
	cds_list_add_tail(&session->node, &front->sessions);
	front->live++;
	atomic_fetch_add_explicit(&front->shared->live_atomic, 1, memory_order_relaxed);
	metric_inc(&front->metrics->connections_accepted);
	metric_gauge_add(&front->metrics->connections_live[METRIC_PROTOCOL_UNKNOWN], 1);
	report_accept(session);
	enum close_reason refused = admit(session, snap, listener);
	if (refused != CLOSE_NONE) {
		session_close(session, refused, true);
		return;
	}
	stream_own(client, session, client_ready);
	uint64_t wait = snap->timeouts.admission_ns;
	if (listener->server_first_wait_ns && listener->server_first_wait_ns < wait)
		wait = listener->server_first_wait_ns;
	loop_timer_set(front->loop, &session->relay.timer, session->accepted + wait);
	recognise_at_once(session, listener);
}
