// SPDX-License-Identifier: Apache-2.0
// Following a plan: saying a stream in pieces, reading the other one, ending.
#include "ends.h"

#include <errno.h>
#include <string.h>
#include <urcu/compiler.h>

#include "base/rng.h"
#include "io/sim_internal.h"
#include "io/sys.h"
#include "world.h"

#define MS UINT64_C(1000000)

struct end *ends[ENDS_MAX];
uint32_t end_count;

void ends_begin(void)
{
	end_count = 0;
}

static uint64_t word(uint32_t number, uint64_t index)
{
	if (index == 0)
		return 0x5375696365000000 | number;
	uint64_t x = (number * 0x9e3779b97f4a7c15u + index) * 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

void end_pattern(uint32_t number, uint64_t at, uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint64_t w = word(number, (at + i) / 8);
		unsigned skip = (at + i) % 8;
		for (; skip < 8 && i < len; skip++, i++)
			buf[i] = (uint8_t)(w >> 8 * skip);
	}
}

static bool one_in(struct rng *rng, uint64_t n)
{
	return rng_below(rng, n) == 0;
}

void plan_draw(struct plan *plan, uint64_t size_max)
{
	struct rng *rng = sim_rng();

	*plan = (struct plan){.reset_at = NEVER,
			      .urgent_at = NEVER,
			      .stall_at = NEVER,
			      .pause_at = NEVER,
			      .life = 900000 * MS};
	plan->total = 8 + (one_in(rng, 6) ? 0 : sim_spread(rng, 1, size_max));
	plan->piece = (uint32_t)sim_spread(rng, 1, 65536);
	if (plan->piece < plan->total / 500)
		plan->piece = (uint32_t)(plan->total / 500);
	if (one_in(rng, 3))
		plan->gap = sim_spread(rng, 1000, 20 * MS);
	plan->read_piece = one_in(rng, 2) ? 65536 : (uint32_t)sim_spread(rng, 1, 65536);
	// Nobody takes longer than the proxy waits for an end.
	if (plan->read_piece < size_max / 200 + 1)
		plan->read_piece = (uint32_t)(size_max / 200 + 1);
	if (one_in(rng, 4))
		plan->read_gap = sim_spread(rng, 1000, 20 * MS);
	if (one_in(rng, 3)) {
		plan->pause_at = rng_below(rng, plan->total + 1);
		plan->pause = sim_spread(rng, 1 * MS, 2000 * MS);
	}
	if (one_in(rng, 5)) {
		plan->stall_at = rng_below(rng, size_max);
		plan->stall = sim_spread(rng, 1 * MS, 3000 * MS);
	}
	if (one_in(rng, 12))
		plan->urgent_at = rng_below(rng, plan->total);
	if (world.options.bulk && rng_below(rng, 4)) {
		plan->piece = plan->read_piece = 65536;
		plan->gap = plan->read_gap = 0;
	}
	plan->after = one_in(rng, 3) ? AFTER_WAIT : AFTER_FIN;
}

void end_init(struct end *end, const char *name, const struct end_ops *ops)
{
	if (end_count + 1 >= ENDS_MAX)
		sim_fail("too many ends");
	*end = (struct end){
		.fd = -1, .number = ++end_count, .name = name, .ops = ops, .out_stop = NEVER};
	end->born = sim.now;
	ends[end->number] = end;
}

static void moved(void *ctx)
{
	end_pump(ctx);
}

static void timer(struct sim_event *event)
{
	end_pump(caa_container_of(event, struct end, timer));
}

void end_close(struct end *end, bool reset)
{
	if (end->fd < 0)
		return;
	sim_trace("%s %u %s: said %llu, got %llu%s%s", end->name, end->number,
		  reset ? "resets" : "closes", (unsigned long long)end->sent,
		  (unsigned long long)end->got, end->got_end ? " and the end" : "",
		  end->error ? " and an error" : "");
	end->did_reset = reset;
	end->did_close = !end->got_end || !end->said_end;
	if (reset)
		sys_abort(end->fd);
	else
		sys_close(end->fd);
	end->fd = -1;
	end->ended_at = sim.now;
	sim_event_cancel(&end->timer);
}

static void start(struct end *end, int fd)
{
	end->fd = fd;
	end->timer.run = timer;
	end->born = sim.now;
	sim_notify(fd, moved, end);
}

void end_accept(struct end *end, int fd)
{
	end->open = true;
	start(end, fd);
}

void end_connect(struct end *end, const struct endpoint *from, const struct endpoint *to)
{
	struct sockaddr_storage addr;
	socklen_t len = endpoint_to_sockaddr(from, &addr);
	int fd = sys_socket(from->family, SOCK_STREAM);

	if (fd < 0 || sys_bind(fd, (struct sockaddr *)&addr, len) < 0)
		sim_fail("a client gets no socket");
	len = endpoint_to_sockaddr(to, &addr);
	end->connecting = true;
	start(end, fd);
	sys_connect(fd, (struct sockaddr *)&addr, len);
}

void end_say(struct end *end, const void *data, size_t len)
{
	uint8_t *grown = sim_alloc(end->out_len - end->out_off + len);

	memcpy(grown, end->out ? end->out + end->out_off : data, end->out_len - end->out_off);
	memcpy(grown + end->out_len - end->out_off, data, len);
	end->out_len = end->out_len - end->out_off + len;
	end->out_off = 0;
	end->out = grown;
}

void end_take(struct end *end, size_t len)
{
	memmove(end->in, end->in + len, end->in_len - len);
	end->in_len -= len;
}

void end_stream(struct end *end)
{
	end->talking = end->streaming = true;
}

void end_leave(struct end *end)
{
	end->deaf = true;
	end->talking = true;
	end->plan.total = end->sent;
	end->plan.after = AFTER_FIN;
	end->in_len = 0;
}

// Checks what came in the stream.
static void check(struct end *end, const uint8_t *data, size_t len)
{
	static uint8_t expected[65536];
	size_t n = 0;

	while (n < len && end->got < 8)
		end->from_bytes[end->got++] = data[n++];
	if (end->got < 8)
		return;
	if (!end->from) {
		uint64_t number;
		memcpy(&number, end->from_bytes, 8);
		end->from = (uint32_t)(number & 0xffffff);
		if (word(end->from, 0) != number || !end->from || end->from > end_count)
			sim_fail("%s %u: what it got is nobody's stream", end->name, end->number);
		if (ends[end->from]->from && ends[end->from]->from != end->number)
			sim_fail("%s %u: got what was meant for %u", end->name, end->number,
				 ends[end->from]->from);
		// One of the two has to begin with ending.
		if (end->plan.after == AFTER_WAIT && ends[end->from]->plan.after == AFTER_WAIT &&
		    !world.options.rude)
			end->plan.after = AFTER_FIN;
	}
	end_pattern(end->from, end->got, expected, len - n);
	if (memcmp(expected, data + n, len - n) != 0)
		sim_fail("%s %u: the stream of %u is not what was said, in the %zu bytes from %llu",
			 end->name, end->number, end->from, len - n, (unsigned long long)end->got);
	end->got += len - n;
	if (end->got > ends[end->from]->sent)
		sim_fail("%s %u: got %llu bytes of %u, who said %llu", end->name, end->number,
			 (unsigned long long)end->got, end->from,
			 (unsigned long long)ends[end->from]->sent);
}

static void received(struct end *end, const uint8_t *data, size_t len)
{
	end->in_total += len;
	if (end->deaf)
		return;
	if (end->streaming) {
		check(end, data, len);
		return;
	}
	if (len > END_IN - end->in_len)
		sim_fail("%s %u: too much before the stream", end->name, end->number);
	memcpy(end->in + end->in_len, data, len);
	end->in_len += len;
	end->ops->input(end);
	if (end->streaming && end->in_len && end->fd >= 0) {
		size_t n = end->in_len;
		end->in_len = 0;
		check(end, end->in, n);
	}
}

static void failed(struct end *end, int error)
{
	end->error = error;
	end->was_reset = error == ECONNRESET || error == EPIPE;
	sim_trace("%s %u: error %s", end->name, end->number, strerror(error));
	if (!end->streaming && end->ops->ended)
		end->ops->ended(end);
	end_close(end, false);
}

static bool may_read(struct end *end)
{
	struct plan *plan = &end->plan;

	uint64_t got = end->streaming ? end->got : end->in_total;

	end->stalled = false;
	if (!end->streaming && !end->paced_reading)
		return true;
	if (got >= plan->stall_at) {
		if (plan->stall == NEVER) {
			end->stalled = true;
			return false;
		}
		end->next_read = sim.now + plan->stall;
		plan->stall_at = NEVER;
	}
	end->stalled = sim.now < end->next_read;
	return !end->stalled;
}

static void pump_in(struct end *end)
{
	static uint8_t bytes[65536];

	while (end->fd >= 0 && !end->got_end && may_read(end)) {
		size_t want = end->streaming && end->plan.read_piece < sizeof(bytes)
				      ? end->plan.read_piece
				      : sizeof(bytes);
		if (!end->streaming && !end->deaf && want > END_IN - end->in_len)
			want = END_IN - end->in_len;
		if (end->streaming && end->plan.stall_at != NEVER &&
		    want > end->plan.stall_at - end->got)
			want = end->plan.stall_at - end->got;
		ssize_t n = sys_recv(end->fd, bytes, want ? want : 1);
		if (n == -EAGAIN)
			return;
		if (n == 0 && end->send_error)
			n = -end->send_error;
		if (n < 0) {
			failed(end, (int)-n);
			return;
		}
		if (n == 0) {
			end->got_end = true;
			sim_trace("%s %u: got %llu and the end", end->name, end->number,
				  (unsigned long long)end->got);
			if (!end->streaming && end->ops->ended)
				end->ops->ended(end);
			return;
		}
		received(end, bytes, (size_t)n);
		if ((end->streaming || end->paced_reading) && end->plan.read_gap)
			end->next_read = sim.now + end->plan.read_gap;
	}
}

// What is said before the stream. True: all of it.
static bool pump_preface(struct end *end)
{
	while (end->fd >= 0 && end->out_off < end->out_len) {
		uint64_t n = end->out_len - end->out_off;
		if (sim.now < end->out_next)
			return false;
		if (end->out_piece && n > end->out_piece)
			n = end->out_piece;
		if (n > end->out_stop - end->out_said)
			n = end->out_stop - end->out_said;
		ssize_t r = n ? sys_send(end->fd, end->out + end->out_off, n) : 0;
		if (r == -EAGAIN)
			return false;
		if (r < 0) {
			end->send_error = (int)-r;
			pump_in(end); // what came before it
			return false;
		}
		end->out_off += (size_t)r;
		end->out_said += (uint64_t)r;
		end->out_next = sim.now + end->out_gap;
		if (end->out_said == end->out_stop) {
			if (end->out_reset || end->out_after == AFTER_CLOSE)
				end_close(end, end->out_reset);
			else
				end_leave(end);
			end->out_off = end->out_len;
			return end->fd >= 0;
		}
	}
	if (end->fd >= 0 && end->out_last && end->out_off == end->out_len && !end->talking)
		end_leave(end);
	return end->fd >= 0 && end->out_off == end->out_len;
}

static void pump_out(struct end *end)
{
	static uint8_t bytes[65536];
	struct plan *plan = &end->plan;

	while (end->fd >= 0 && end->sent < plan->total) {
		if (sim.now < end->next_send)
			return;
		if (end->sent >= plan->pause_at) {
			plan->pause_at = NEVER;
			end->next_send = sim.now + plan->pause;
			continue;
		}
		if (end->sent >= plan->urgent_at) {
			plan->urgent_at = NEVER;
			sim_send_urgent(end->fd, '!');
		}
		uint64_t n = plan->total - end->sent;
		if (n > plan->piece)
			n = plan->piece;
		if (n > sizeof(bytes))
			n = sizeof(bytes);
		if (plan->reset_at != NEVER && n > plan->reset_at - end->sent)
			n = plan->reset_at - end->sent;
		end_pattern(end->number, end->sent, bytes, n);
		ssize_t r = n ? sys_send(end->fd, bytes, n) : 0;
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			end->send_error = (int)-r;
			pump_in(end);
			return;
		}
		end->sent += (uint64_t)r;
		if (end->sent >= plan->reset_at) {
			end_close(end, true);
			return;
		}
		if (plan->gap)
			end->next_send = sim.now + plan->gap;
	}
}

static void pump_end(struct end *end)
{
	struct plan *plan = &end->plan;

	if (end->fd < 0 || end->sent < plan->total)
		return;
	if (plan->after == AFTER_CLOSE) {
		end_close(end, false);
		return;
	}
	if (!end->said_end && (plan->after == AFTER_FIN || end->got_end)) {
		end->said_end = true;
		sys_shutdown(end->fd, SHUT_WR);
		sim_trace("%s %u: said %llu and the end", end->name, end->number,
			  (unsigned long long)end->sent);
	}
	if (end->said_end && end->got_end)
		end_close(end, false);
}

static void sooner(uint64_t *at, uint64_t other)
{
	if (other > sim.now && other < *at)
		*at = other;
}

static bool connection_stands(struct end *end)
{
	struct sockaddr_storage addr;
	int error = sys_connect_result(end->fd);

	if (error < 0) {
		failed(end, -error);
		return false;
	}
	if (sys_getpeername(end->fd, &addr) < 0)
		return false;
	end->connecting = false;
	end->open = true;
	if (end->ops->connected)
		end->ops->connected(end);
	return end->fd >= 0;
}

void end_pump(struct end *end)
{
	if (end->fd < 0 || (end->connecting && !connection_stands(end)))
		return;
	if (sim.now >= end->born + end->plan.life) {
		sim_trace("%s %u: its time is over", end->name, end->number);
		end_close(end, true);
		return;
	}
	pump_in(end);
	if (pump_preface(end) && end->talking) {
		pump_out(end);
		pump_end(end);
	}
	if (end->fd < 0)
		return;
	uint64_t at = end->born + end->plan.life;
	sooner(&at, end->next_read);
	if (end->out_off < end->out_len)
		sooner(&at, end->out_next);
	else if (end->talking && end->sent < end->plan.total)
		sooner(&at, end->next_send);
	sim_event_set(&end->timer, at);
}
