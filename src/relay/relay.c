// SPDX-License-Identifier: Apache-2.0
// The relay: one pump per direction, and the few timers around it.
#include "relay/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "io/loop.h"
#include "io/sys.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "stream/stream.h"

enum {
	SMALL_MOVE = 4096,     // below this a copy is cheaper than a splice
	SMALL_MOVES = 8,       // so many small ones in a row end splicing
	ONE_WAY = 16,          // reads (or 16 KiB) in one direction that make a stream
	GRANT_MIN = 512,       // wait for so many tokens at least, rather than move crumbs,
	GRANT_MAX = 16 * 1024, // and for no more than this
};

int relay_env_init(struct relay_env *env, struct loop *loop, unsigned worker,
		   struct metrics *metrics, uint32_t pipe_size, bool splice)
{
	*env = (struct relay_env){
		.loop = loop, .worker = worker, .metrics = metrics, .splice = splice};
	env->chunk = malloc(RELAY_CHUNK);
	if (!env->chunk)
		return -ENOMEM;
	pipe_pool_init(&env->pipes, pipe_size, metrics);
	return 0;
}

void relay_env_release(struct relay_env *env)
{
	pipe_pool_release(&env->pipes);
	free(env->chunk);
	env->chunk = NULL;
}

static unsigned direction_label(enum relay_direction d)
{
	return d == RELAY_UP ? METRIC_DIRECTION_UP : METRIC_DIRECTION_DOWN;
}

static struct stream *source_of(struct relay *relay, enum relay_direction d)
{
	return relay->side[d];
}

static struct stream *sink_of(struct relay *relay, enum relay_direction d)
{
	return relay->side[!d];
}

static void wrote(struct relay_dir *dir, enum relay_mover mover, ssize_t n)
{
	dir->bytes[mover] += (uint64_t)n;
	dir->untold[mover] += (uint32_t)n;
}

static bool holds(const struct relay_dir *dir)
{
	return dir->pipe || dir->rest;
}

static void shifted(struct relay *relay, enum relay_direction d)
{
	if (relay->env->shifted)
		relay->env->shifted(relay, d);
}

static void set_mover(struct relay *relay, enum relay_direction d, enum relay_mover mover)
{
	struct relay_dir *dir = &relay->dir[d];

	if (dir->mover == mover)
		return;
	if (mover == RELAY_SPLICE &&
	    (!relay->env->splice || stream_raw_fd(source_of(relay, d), false) < 0 ||
	     stream_raw_fd(sink_of(relay, d), true) < 0))
		return;
	dir->mover = (uint8_t)mover;
	dir->small = 0;
	shifted(relay, d);
}

static void set_paced(struct relay *relay, bool paced)
{
	struct loop *loop = relay->env->loop;

	if (relay->paced == paced || (paced && !loop->pace_max_ns))
		return;
	relay->paced = paced;
	metric_gauge_add(&relay->env->metrics->relays_paced, paced ? 1 : -1);
	// What a paced task was to look at again is looked at now.
	if (!paced) {
		loop_task_cancel(&relay->task);
		loop_task_set(loop, &relay->task);
	}
	for (int side = 0; side < 2; side++)
		relay->side[side]->ops->pace(loop, relay->side[side],
					     paced ? LOOP_PACED : LOOP_PROMPT);
	shifted(relay, relay->run_direction);
}

// Tells streams from conversations. `run` counts what came in one direction since the other last
// spoke; a reply to less than a stream's worth is a conversation, which must not be delayed.
static void note_read(struct relay *relay, enum relay_direction d, size_t n)
{
	if (relay->run_direction == d) {
		relay->run += 1 + (uint32_t)(n / RELAY_CHUNK);
		if (relay->run >= ONE_WAY)
			set_paced(relay, true);
		return;
	}
	if (relay->run < ONE_WAY) {
		set_paced(relay, false);
		relay->run_direction = (uint8_t)d;
	}
	relay->run = 0;
}

// Errors of reading and writing. A reset of one side is passed on as a reset of the other.
static void fail(struct relay *relay, enum relay_side side, ssize_t error)
{
	enum close_reason reason = side == RELAY_CLIENT ? CLOSE_CLIENT_RESET : CLOSE_UPSTREAM_RESET;

	if (error == -ENOMEM || error == -ENOBUFS)
		reason = CLOSE_NO_MEMORY;
	relay_close(relay, reason, true);
}

// Writes what is held. > 0: all is written; 0: the sink is full; < 0: failed (the relay is closed).
static int flush_held(struct relay *relay, enum relay_direction d)
{
	struct relay_dir *dir = &relay->dir[d];
	struct stream *sink = sink_of(relay, d);

	while (dir->rest) {
		ssize_t n = stream_write(sink, dir->rest + dir->rest_off,
					 dir->rest_len - dir->rest_off);
		if (n == -EAGAIN)
			return 0;
		if (n < 0) {
			fail(relay, !d, n);
			return -1;
		}
		wrote(dir, RELAY_COPY, n);
		dir->rest_off += (uint32_t)n;
		if (dir->rest_off == dir->rest_len) {
			free(dir->rest);
			dir->rest = NULL;
		}
	}
	while (dir->pipe) {
		ssize_t n = sys_splice(dir->pipe->out, stream_raw_fd(sink, true), dir->pipe->held);
		if (n == -EAGAIN) {
			sink->ready &= (uint8_t)~STREAM_OUT;
			return 0;
		}
		if (n <= 0) {
			fail(relay, !d, n ? n : -EIO);
			return -1;
		}
		wrote(dir, RELAY_SPLICE, n);
		dir->pipe->held -= (uint32_t)n;
		if (dir->pipe->held == 0) {
			pipe_give(&relay->env->pipes, dir->pipe);
			dir->pipe = NULL;
		}
	}
	return 1;
}

// Keeps what could not be written.
static int keep_rest(struct relay_dir *dir, const uint8_t *data, size_t len)
{
	dir->rest = malloc(len);
	if (!dir->rest)
		return -ENOMEM;
	memcpy(dir->rest, data, len);
	dir->rest_len = (uint32_t)len;
	dir->rest_off = 0;
	return 0;
}

// The moves below return the bytes read (> 0), 0 for the source's end, -EAGAIN, or, when they
// closed the relay, -ECANCELED.
static ssize_t move_copy(struct relay *relay, enum relay_direction d, size_t want)
{
	struct relay_dir *dir = &relay->dir[d];
	uint8_t *chunk = relay->env->chunk;
	ssize_t n =
		stream_read(source_of(relay, d), chunk, want < RELAY_CHUNK ? want : RELAY_CHUNK);

	if (n == 0 || n == -EAGAIN)
		return n;
	if (n < 0) {
		fail(relay, (enum relay_side)d, n);
		return -ECANCELED;
	}
	ssize_t sent = stream_write(sink_of(relay, d), chunk, (size_t)n);
	if (sent < 0 && sent != -EAGAIN) {
		fail(relay, !d, sent);
		return -ECANCELED;
	}
	if (sent > 0)
		wrote(dir, RELAY_COPY, sent);
	else
		sent = 0;
	if (sent < n && keep_rest(dir, chunk + sent, (size_t)(n - sent)) < 0) {
		relay_close(relay, CLOSE_NO_MEMORY, true);
		return -ECANCELED;
	}
	if (n == RELAY_CHUNK)
		set_mover(relay, d, RELAY_SPLICE);
	return n;
}

static ssize_t move_splice(struct relay *relay, enum relay_direction d, size_t want)
{
	struct relay_dir *dir = &relay->dir[d];
	struct stream *source = source_of(relay, d);
	// splice(2) does not go past urgent data; recv(2) leaves it out.
	struct pipe *pipe = source->ready & STREAM_URGENT ? NULL : pipe_take(&relay->env->pipes);

	if (!pipe)
		return move_copy(relay, d, want);
	ssize_t n = sys_splice(stream_raw_fd(source, false), pipe->in,
			       want < pipe->size ? want : pipe->size);
	if (n <= 0) {
		pipe_give(&relay->env->pipes, pipe);
		// Before urgent data splice gives 0 as well, when the end has arrived behind it.
		if (n == 0)
			return move_copy(relay, d, want);
		if (n == -EAGAIN) {
			source->ready &= (uint8_t)~STREAM_IN;
			return n;
		}
		fail(relay, (enum relay_side)d, n);
		return -ECANCELED;
	}
	pipe->held = (uint32_t)n;
	dir->pipe = pipe;
	if (n >= SMALL_MOVE)
		dir->small = 0;
	else if (++dir->small >= SMALL_MOVES)
		set_mover(relay, d, RELAY_COPY);
	return flush_held(relay, d) < 0 ? -ECANCELED : n;
}

// How much may be moved now; 0 means that the timer is set and the direction waits for it.
static size_t allowance(struct relay *relay, enum relay_direction d, size_t want)
{
	struct relay_limits *limits = relay->limits;
	struct loop *loop = relay->env->loop;

	if (!limits)
		return want;
	uint64_t grant = bucket_turn_take(&limits->turn[d], limits->claims[d], 2, limits->need[d],
					  want, loop->now);
	if (grant)
		return grant;
	metric_inc(&relay->env->metrics->relay_throttled[direction_label(d)]);
	uint64_t wake = limits->turn[d].wake, other = limits->turn[!d].wake;
	if (other > loop->now && other < wake)
		wake = other;
	loop_timer_set(loop, &limits->timer, wake);
	return 0;
}

static void settle(struct relay *relay, enum relay_direction d, size_t granted, ssize_t moved)
{
	if (relay->limits && (moved < 0 || (size_t)moved < granted))
		bucket_refund_all(relay->limits->claims[d], 2,
				  granted - (moved > 0 ? (size_t)moved : 0));
}

static void note_end(struct relay *relay, enum relay_direction d)
{
	relay->dir[d].ended = true;
	if (relay->first_end == 2)
		relay->first_end = (uint8_t)d;
	if (relay->env->ended)
		relay->env->ended(relay, d, false);
}

// Passes the end on once everything before it is written. True when both directions are through.
static bool pass_end(struct relay *relay, enum relay_direction d)
{
	struct relay_dir *dir = &relay->dir[d];

	if (dir->ended && !dir->finished && !holds(dir)) {
		dir->finished = true;
		if (relay->env->ended)
			relay->env->ended(relay, d, true);
		if (!relay->dir[!d].finished)
			stream_finish(sink_of(relay, d));
	}
	return relay->dir[0].finished && relay->dir[1].finished;
}

// Reads and writes until one side has no more, or the turn's budget is used up. False: closed.
static bool pump_moves(struct relay *relay, enum relay_direction d)
{
	struct relay_dir *dir = &relay->dir[d];
	struct stream *source = source_of(relay, d);
	uint64_t brought = 0;

	while (!dir->ended && (source->ready & STREAM_IN) && !holds(dir) &&
	       (sink_of(relay, d)->ready & STREAM_OUT)) {
		if (brought >= RELAY_BUDGET) {
			loop_task_set(relay->env->loop, &relay->task);
			break;
		}
		size_t want = allowance(relay, d,
					dir->mover == RELAY_SPLICE ? relay->env->pipes.size
								   : RELAY_CHUNK);
		if (want == 0)
			break;
		ssize_t n = dir->mover == RELAY_SPLICE ? move_splice(relay, d, want)
						       : move_copy(relay, d, want);
		if (n == -ECANCELED)
			return false;
		settle(relay, d, want, n);
		if (n == 0)
			note_end(relay, d);
		if (n <= 0)
			break;
		brought += (uint64_t)n;
		if (holds(dir))
			metric_inc(&relay->env->metrics->relay_blocked[direction_label(d)]);
		if (source->ready & STREAM_LAST) {
			note_end(relay, d);
			break;
		}
		note_read(relay, d, (size_t)n);
		// A paced stream that trickles is looked at again in the next pass, which saves the
		// read that would only say that nothing is left.
		if (relay->paced && (size_t)n < want / 2) {
			if (source->ready & STREAM_IN)
				loop_task_set_paced(relay->env->loop, &relay->task);
			break;
		}
	}
	if (relay->paced && brought)
		loop_pace_gathered(relay->env->loop, brought, !holds(dir));
	return true;
}

// Tells the accounts and the metrics what was written since the last time.
static void account_moves(struct relay *relay, enum relay_direction d)
{
	struct relay_dir *dir = &relay->dir[d];
	uint64_t total = 0;

	for (int mover = 0; mover < RELAY_MOVERS; mover++) {
		uint32_t n = dir->untold[mover];
		if (!n)
			continue;
		total += n;
		dir->untold[mover] = 0;
		if (relay->env->moved)
			relay->env->moved(relay, d, (enum relay_mover)mover, n);
	}
	if (!total)
		return;
	relay->active = relay->env->loop->now;
	if (d == RELAY_DOWN && !relay->first_byte)
		relay->first_byte = relay->active;
	for (int i = 0; i < 2; i++)
		if (relay->account[i])
			account_add_bytes(relay->account[i], relay->env->worker,
					  d == RELAY_UP ? total : 0, d == RELAY_DOWN ? total : 0);
}

// One direction as far as it goes. False: the relay is closed.
static bool pump(struct relay *relay, enum relay_direction d)
{
	struct relay_dir *dir = &relay->dir[d];

	if (dir->finished)
		return true;
	if (holds(dir) && (sink_of(relay, d)->ready & STREAM_OUT))
		flush_held(relay, d);
	if (relay->open)
		pump_moves(relay, d);
	if (!relay->open)
		return false;
	account_moves(relay, d);
	if (pass_end(relay, d)) {
		relay_close(relay,
			    relay->first_end == RELAY_UP ? CLOSE_CLIENT_EOF : CLOSE_UPSTREAM_EOF,
			    false);
		return false;
	}
	return true;
}

static void arm_timer(struct relay *relay);

static void pump_both(struct relay *relay)
{
	bool half_closed = relay->dir[0].finished || relay->dir[1].finished;

	if (!pump(relay, RELAY_UP) || !pump(relay, RELAY_DOWN))
		return;
	if (!half_closed && (relay->dir[0].finished || relay->dir[1].finished))
		arm_timer(relay);
	// A side that failed when it had ended, or while the bytes it sent are stuck, is not read any
	// more: nothing else would tell.
	for (int side = 0; side < 2; side++) {
		const struct relay_dir *dir = &relay->dir[side];
		if ((relay->side[side]->ready & STREAM_ERROR) && (dir->ended || holds(dir))) {
			fail(relay, (enum relay_side)side, -ECONNRESET);
			return;
		}
	}
}

static void side_ready(struct loop *loop, struct stream *stream)
{
	struct relay *relay = stream->owner;

	// What a task was to look at is looked at here.
	loop_task_cancel(&relay->task);
	pump_both(relay);
}

static void task_run(struct loop *loop, struct task *task)
{
	pump_both(caa_container_of(task, struct relay, task));
}

static void tokens_came(struct loop *loop, struct timer *timer)
{
	struct relay_limits *limits = caa_container_of(timer, struct relay_limits, timer);

	pump_both(limits->relay);
}

// One timer for idle, half-closed and total time: it is moved only when it fires.
static void arm_timer(struct relay *relay)
{
	const struct relay_env *env = relay->env;
	uint64_t at = relay->deadline;
	bool half_closed = relay->dir[0].finished || relay->dir[1].finished;
	uint64_t idle = env->idle_ns;

	if (half_closed && env->half_closed_ns && (!idle || env->half_closed_ns < idle))
		idle = env->half_closed_ns;
	if (idle && relay->active + idle < at)
		at = relay->active + idle;
	if (at != UINT64_MAX)
		loop_timer_set(relay->env->loop, &relay->timer, at);
}

static void timer_fired(struct loop *loop, struct timer *timer)
{
	struct relay *relay = caa_container_of(timer, struct relay, timer);
	const struct relay_env *env = relay->env;
	bool half_closed = relay->dir[0].finished || relay->dir[1].finished;

	if (loop->now >= relay->deadline) {
		relay_close(relay, CLOSE_TOTAL_TIMEOUT, true);
		return;
	}
	if (half_closed && env->half_closed_ns &&
	    loop->now >= relay->active + env->half_closed_ns) {
		relay_close(relay, CLOSE_HALF_CLOSED_TIMEOUT, true);
		return;
	}
	if (env->idle_ns && loop->now >= relay->active + env->idle_ns) {
		relay_close(relay, CLOSE_IDLE_TIMEOUT, true);
		return;
	}
	arm_timer(relay);
}

static void release_held(struct relay *relay)
{
	for (int d = 0; d < 2; d++) {
		struct relay_dir *dir = &relay->dir[d];
		free(dir->rest);
		dir->rest = NULL;
		if (dir->pipe)
			pipe_give(&relay->env->pipes, dir->pipe);
		dir->pipe = NULL;
	}
}

int relay_start(struct relay *relay, const struct relay_early early[2])
{
	struct loop *loop = relay->env->loop;

	for (int d = 0; early && d < 2; d++)
		if (early[d].len && keep_rest(&relay->dir[d], early[d].data, early[d].len) < 0) {
			release_held(relay);
			return -ENOMEM;
		}
	relay->open = true;
	relay->first_end = 2;
	relay->active = loop->now;
	task_init(&relay->task, task_run);
	timer_init(&relay->timer, timer_fired);
	arm_timer(relay);
	for (int side = 0; side < 2; side++)
		stream_own(relay->side[side], relay, side_ready);
	// From a task, so that the caller has finished its own turn of state before done may be
	// called.
	loop_task_set(loop, &relay->task);
	return 0;
}

static bool limited(const struct bucket_claim claims[2])
{
	return (claims[0].bucket && claims[0].rate) || (claims[1].bucket && claims[1].rate);
}

// Some milliseconds of the slowest rate: neither crumbs nor long silences.
static uint64_t worth_waiting_for(const struct bucket_claim claims[2])
{
	uint64_t need = GRANT_MAX;

	for (int i = 0; i < 2; i++) {
		if (!claims[i].bucket || !claims[i].rate)
			continue;
		uint64_t slice = claims[i].rate / 64 > GRANT_MIN ? claims[i].rate / 64 : GRANT_MIN;
		if (slice > claims[i].burst)
			slice = claims[i].burst ? claims[i].burst : 1;
		if (slice < need)
			need = slice;
	}
	return need;
}

static void limits_free(struct relay *relay)
{
	struct relay_limits *limits = relay->limits;

	if (!limits)
		return;
	for (int d = 0; d < 2; d++)
		bucket_turn_cancel(&limits->turn[d], limits->claims[d], 2);
	loop_timer_cancel(relay->env->loop, &limits->timer);
	free(limits);
	relay->limits = NULL;
}

int relay_limit(struct relay *relay, const struct bucket_claim up[2],
		const struct bucket_claim down[2])
{
	struct relay_limits *limits = relay->limits;

	if (!limited(up) && !limited(down)) {
		if (limits) {
			limits_free(relay);
			loop_task_set(relay->env->loop, &relay->task);
		}
		return 0;
	}
	if (!limits) {
		limits = calloc(1, sizeof(*limits));
		if (!limits)
			return -ENOMEM;
		limits->relay = relay;
		timer_init(&limits->timer, tokens_came);
		relay->limits = limits;
	}
	for (int d = 0; d < 2; d++)
		bucket_turn_cancel(&limits->turn[d], limits->claims[d], 2);
	memcpy(limits->claims[RELAY_UP], up, sizeof(limits->claims[0]));
	memcpy(limits->claims[RELAY_DOWN], down, sizeof(limits->claims[0]));
	for (int d = 0; d < 2; d++)
		limits->need[d] = worth_waiting_for(limits->claims[d]);
	loop_task_set(relay->env->loop, &relay->task);
	return 0;
}

void relay_close(struct relay *relay, enum close_reason reason, bool reset)
{
	struct loop *loop = relay->env->loop;

	if (!relay->open)
		return;
	relay->open = false;
	if (relay->paced)
		metric_gauge_add(&relay->env->metrics->relays_paced, -1);
	loop_timer_cancel(loop, &relay->timer);
	loop_task_cancel(&relay->task);
	limits_free(relay);
	release_held(relay);
	account_moves(relay, RELAY_UP);
	account_moves(relay, RELAY_DOWN);
	for (int side = 0; side < 2; side++) {
		stream_close(loop, relay->side[side], reset ? STREAM_RST : STREAM_FIN);
		relay->side[side] = NULL;
	}
	relay->done(relay, reason);
}
