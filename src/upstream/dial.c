// SPDX-License-Identifier: Apache-2.0
// The beginning and the end of a dial: what is asked for, and what became of it.
#include "upstream/dial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/hash.h"
#include "upstream/dial_internal.h"

void dialer_init(struct dialer *dialer, struct loop *loop, struct resolver *resolver,
		 struct metrics *metrics)
{
	*dialer = (struct dialer){.loop = loop, .resolver = resolver, .metrics = metrics};
}

void dialer_release(struct dialer *dialer)
{
	assert(dialer->live == 0);
}

const char *dial_phase(const struct dial *dial)
{
	static const char *const names[] = {
		[DIAL_RESOLVING] = "resolving",
		[DIAL_CONNECTING] = "connecting",
		[DIAL_PARENT] = "parent",
		[DIAL_PREAMBLE] = "preamble",
	};

	return names[dial->phase];
}

enum close_reason dial_reason_of(int error, int family)
{
	switch (-error) {
	case 0:
		return CLOSE_NONE;
	case ECONNREFUSED:
		return CLOSE_CONNECT_REFUSED;
	case ETIMEDOUT:
		return CLOSE_CONNECT_TIMEOUT;
	case EADDRNOTAVAIL:
		// IPv6 gives it also where a host has no address to speak from.
		return family == AF_INET6 ? CLOSE_CONNECT_UNREACHABLE : CLOSE_NO_PORTS;
	case EADDRINUSE:
	case EAGAIN:
		return CLOSE_NO_PORTS;
	case EMFILE:
	case ENFILE:
	case ENOSPC: // of epoll: fs.epoll.max_user_watches
		return CLOSE_NO_DESCRIPTORS;
	case ENOMEM:
		return CLOSE_NO_MEMORY;
	case ENOBUFS:
		return CLOSE_NO_BUFFERS;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENONET:
	case EAFNOSUPPORT:
	case EACCES: // a route or a filter that prohibits
	case EPERM:
	case EINVAL: // no such scope
		return CLOSE_CONNECT_UNREACHABLE;
	default:
		return CLOSE_CONNECT_FAILED;
	}
}

// How much a failure tells when several addresses failed in different ways: a shortage of our own
// must not hide behind a peer's refusal, a refusal says more than silence, and that an address is
// forbidden more than that another one has no route (as IPv6 on a host without).
static unsigned weight(enum close_reason reason)
{
	switch (reason) {
	case CLOSE_NONE:
		return 0;
	case CLOSE_RESOLVE_FAILED:
		return 1;
	case CLOSE_RESOLVE_TIMEOUT:
		return 2;
	case CLOSE_RESOLVER_BUSY:
		return 3;
	case CLOSE_CONNECT_UNREACHABLE:
		return 4;
	case CLOSE_CONNECT_FAILED:
		return 6;
	case CLOSE_CONNECT_TIMEOUT:
		return 7;
	case CLOSE_CONNECT_REFUSED:
		return 8;
	case CLOSE_PARENT_REFUSED:
	case CLOSE_PARENT_MALFORMED:
	case CLOSE_PARENT_AUTH_FAILED:
		return 9;
	default:
		return close_reason_class(reason) == CLOSE_CLASS_LIMIT ? 10 : 5;
	}
}

void dial_failed(struct dial *dial, enum close_reason reason, int error)
{
	if (weight(reason) < weight(dial->reason) || reason == CLOSE_NONE)
		return;
	dial->reason = (uint8_t)reason;
	dial->error = error;
}

static void dial_free(struct loop *loop, struct deferred *deferred)
{
	struct dial *dial = caa_container_of(deferred, struct dial, deferred);

	tunnel_free(dial->tunnel);
	if (dial->targets != &dial->single)
		free(dial->targets);
	free(dial);
}

// Lets go of everything but the memory, which events of this turn may still name.
static void detach(struct dial *dial)
{
	struct loop *loop = dial->dialer->loop;

	dial->ended = true;
	*dial->slot = NULL;
	loop_timer_cancel(loop, &dial->timer);
	loop_task_cancel(&dial->task);
	race_end(dial);
	dial->dialer->live--;
	loop_defer(loop, &dial->deferred, dial_free);
}

static void finish(struct dial *dial, enum close_reason reason, struct stream *stream,
		   struct slice early)
{
	struct loop *loop = dial->dialer->loop;
	struct dial_result result = {
		.reason = reason,
		.error = reason ? dial->error : 0,
		.stream = stream,
		.peer = dial->peer,
		.target = &dial->targets[dial->target],
		.parent_id = dial->parent_id,
		.plain = dial->plain,
		.parent_status = reason ? dial->parent_status : 0,
		.attempts = dial->attempts,
		.early = early,
	};

	if (dial->resolved)
		result.resolve_ns = dial->resolved - dial->started;
	if (dial->connect_started)
		result.connect_ns = loop->now - dial->connect_started;
	if (stream)
		stream_own(stream, NULL, NULL);
	detach(dial);
	dial->done(loop, dial->owner, &result);
}

void dial_succeed(struct dial *dial, struct stream *stream, struct slice early)
{
	dial->stream = NULL;
	finish(dial, CLOSE_NONE, stream, early);
}

void dial_give_up(struct dial *dial)
{
	struct loop *loop = dial->dialer->loop;

	if (!dial->reason)
		dial_failed(dial, CLOSE_INTERNAL, 0);
	race_end(dial);
	if (dial->stream)
		stream_close(loop, dial->stream, STREAM_RST);
	dial->stream = NULL;
	loop_timer_cancel(loop, &dial->timer);
	if (dial->starting)
		loop_task_set(loop, &dial->task);
	else
		finish(dial, dial->reason, NULL, (struct slice){0});
}

static void report(struct loop *loop, struct task *task)
{
	struct dial *dial = caa_container_of(task, struct dial, task);

	finish(dial, dial->reason, NULL, (struct slice){0});
}

static void timer_fired(struct loop *loop, struct timer *timer)
{
	struct dial *dial = caa_container_of(timer, struct dial, timer);

	if (dial->stream)
		tunnel_timer(dial);
	else
		race_timer(dial);
}

// Each worker walks through a list of its own accord. Lists that share a place share a count, which
// does no harm but to the evenness.
static uint16_t next_turn(struct dialer *dialer, const struct dial_request *request, uint16_t count)
{
	if (count < 2)
		return 0;
	uint64_t list = hash_u64(request->targets[0].id + count);
	return (uint16_t)(dialer->turns[list & 255]++ % count);
}

static int copy_targets(struct dial *dial, const struct dial_request *request)
{
	uint32_t count = request->host ? 1 : request->target_count;

	if (count == 0 || (request->host && request->host->kind == HOST_NONE))
		return -EINVAL;
	dial->target_count = (uint16_t)(count < DIAL_TARGETS_MAX ? count : DIAL_TARGETS_MAX);
	dial->targets = &dial->single;
	if (count == 1) {
		dial->single = request->host ? *request->host : request->targets[0].host;
		return 0;
	}
	dial->targets = calloc(dial->target_count, sizeof(*dial->targets));
	if (!dial->targets)
		return -ENOMEM;
	for (uint32_t i = 0; i < dial->target_count; i++)
		dial->targets[i] = request->targets[i].host;
	return 0;
}

static struct dial *dial_new(struct dialer *dialer, const struct dial_request *request)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->dialer = dialer;
	dial->owner = request->owner;
	dial->permit = request->permit;
	dial->done = request->done;
	dial->resolve_ns = request->resolve_ns;
	dial->connect_ns = request->connect_ns;
	dial->source4 = request->source4;
	dial->source6 = request->source6;
	dial->client = request->client;
	dial->local = request->local;
	dial->send_proxy = (uint8_t)request->send_proxy;
	dial->parent_plain = request->parent_plain;
	dial->started = dialer->loop->now;
	dial->connect_deadline = UINT64_MAX;
	timer_init(&dial->timer, timer_fired);
	task_init(&dial->task, report);
	return dial;
}

int dial_start(struct dialer *dialer, const struct dial_request *request, struct dial **slot)
{
	struct dial *dial = dial_new(dialer, request);

	if (!dial)
		return -ENOMEM;
	int r = copy_targets(dial, request);
	if (r == 0 && request->parent)
		r = tunnel_set_parent(dial, request->parent);
	if (r == 0 && request->send_proxy)
		r = tunnel_set_preamble(dial);
	if (r < 0) {
		dial_free(dialer->loop, &dial->deferred);
		return r;
	}
	dial->slot = slot;
	*slot = dial;
	dialer->live++;
	dial->target = next_turn(dialer, request, dial->target_count);
	dial->starting = true;
	if (request->parent)
		tunnel_begin(dial);
	else
		race_begin(dial, dial->targets, dial->target_count, dial->target, true);
	dial->starting = false;
	return 0;
}

void dial_cancel(struct dial *dial)
{
	if (!dial || dial->ended)
		return;
	if (dial->stream)
		stream_close(dial->dialer->loop, dial->stream, STREAM_RST);
	dial->stream = NULL;
	detach(dial);
}
