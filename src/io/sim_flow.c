// SPDX-License-Identifier: Apache-2.0
// Simulated TCP: bytes on their way, in pieces, within windows, one after the other.
#include "io/sim_flow.h"

#define SECOND_NS UINT64_C(1000000000)

static void arrived(struct sim_event *event);
static void acked(struct sim_event *event);

static uint32_t power_of_two(uint32_t n)
{
	uint32_t size = 64;

	while (size < n)
		size *= 2;
	return size;
}

static uint32_t buffer_size(uint32_t given)
{
	return given ? given
		     : (uint32_t)sim_spread(&sim.rng, sim.config.buffer_min, sim.config.buffer_max);
}

struct sim_flow *flow_new(struct sim_tcp *from, struct sim_tcp *to, uint64_t latency)
{
	struct sim_flow *flow = sim_alloc(sizeof(*flow));

	*flow = (struct sim_flow){
		.from = from, .to = to, .latency = latency, .urgent = FLOW_NO_URGENT};
	flow->sndbuf = buffer_size(from->sndbuf);
	flow->rcvbuf = buffer_size(to->rcvbuf);
	flow->size = power_of_two(flow->sndbuf + flow->rcvbuf);
	flow->window = flow->rcvbuf;
	flow->arrive = (struct sim_event){.network = true, .run = arrived};
	flow->ack = (struct sim_event){.network = true, .run = acked};
	flow->latest = sim.now;
	if (sim.config.rate_max)
		flow->rate = sim_spread(&sim.rng, sim.config.rate_min, sim.config.rate_max);
	flow->segment = (uint32_t)sim_spread(&sim.rng, 1, sim.config.segment_max);
	// Very small pieces are for small buffers: a long stream of them only takes time.
	if (flow->segment < flow->rcvbuf / 256)
		flow->segment = flow->rcvbuf / 256;
	return flow;
}

void flow_free(struct sim_flow *flow)
{
	if (!flow)
		return;
	flow->over = true;
	sim_event_cancel(&flow->arrive);
	sim_event_cancel(&flow->ack);
	sim_ring_free(flow->ring, flow->size);
	flow->ring = NULL;
	flow->arrived = flow->read;
	flow->count = 0;
}

uint64_t flow_available(const struct sim_flow *flow)
{
	return flow->arrived - flow->read;
}

static void ring_copy(const struct sim_flow *flow, uint64_t from, uint8_t *buf, size_t len)
{
	size_t at = from & (flow->size - 1), first = flow->size - at < len ? flow->size - at : len;

	memcpy(buf, flow->ring + at, first);
	memcpy(buf + first, flow->ring, len - first);
}

void flow_copy(const struct sim_flow *flow, void *buf, size_t len)
{
	if (len)
		ring_copy(flow, flow->read, buf, len);
}

void flow_write(struct sim_flow *flow, const void *data, size_t len)
{
	size_t at = flow->written & (flow->size - 1);
	size_t first = flow->size - at < len ? flow->size - at : len;

	if (!len)
		return;
	if (!flow->ring)
		flow->ring = sim_ring_alloc(flow->size);
	memcpy(flow->ring + at, data, first);
	memcpy(flow->ring, (const uint8_t *)data + first, len - first);
	flow->written += len;
}

uint64_t flow_room(const struct sim_flow *flow)
{
	uint64_t used = flow->written - flow->acked;

	return used < flow->sndbuf ? flow->sndbuf - used : 0;
}

// As sk_stream_is_writeable: a third must be free.
bool flow_writable(const struct sim_flow *flow)
{
	return 2 * flow_room(flow) >= flow->written - flow->acked;
}

static void send_segment(struct sim_flow *flow, uint64_t upto, enum segment_end end)
{
	unsigned place = (flow->first + flow->count++) % FLOW_SEGMENTS;
	uint64_t at = sim.now + flow->latency + sim_upto(sim.config.jitter);

	if (at < flow->latest)
		at = flow->latest;
	if (flow->rate)
		at += (upto - flow->sent) * SECOND_NS / flow->rate;
	if (sim.config.faults.stall && sim_upto(999999) < sim.config.faults.stall)
		at += sim_upto(3 * SECOND_NS);
	flow->latest = at;
	flow->sent = upto;
	flow->segments[place].at = at;
	flow->segments[place].upto = upto;
	flow->segments[place].end = end;
	flow->ending |= end != SEGMENT_MORE;
	if (flow->count == 1)
		sim_event_set(&flow->arrive, at);
}

void flow_push(struct sim_flow *flow)
{
	while (!flow->over && !flow->ending && flow->count < FLOW_SEGMENTS - 1) {
		uint64_t limit = flow->written < flow->window ? flow->written : flow->window;
		uint64_t len = limit - flow->sent;
		if (limit > flow->sent) {
			uint64_t most = 1 + sim_upto(flow->segment - 1);
			len = len < most ? len : most;
		} else {
			len = 0;
		}
		bool last = flow->fin && flow->sent + len == flow->written;
		if (!len && !last)
			break;
		// The end goes with the last bytes or by itself.
		if (len && last && sim_upto(1))
			last = false;
		flow->fin_sent |= last;
		send_segment(flow, flow->sent + len, last ? SEGMENT_FIN : SEGMENT_MORE);
	}
}

void flow_reset(struct sim_flow *flow)
{
	if (!flow || flow->over)
		return;
	flow->written = flow->sent;
	flow->fin = false;
	if (flow->ending &&
	    flow->segments[(flow->first + flow->count - 1) % FLOW_SEGMENTS].end == SEGMENT_RST)
		return;
	send_segment(flow, flow->sent, SEGMENT_RST);
}

static void deliver(struct sim_flow *flow, uint64_t upto, enum segment_end end)
{
	struct sim_tcp *to = flow->to;
	uint64_t bytes = upto - flow->arrived;

	if (end == SEGMENT_RST) {
		flow->over = true;
		if (to->state == TCP_CONNECTED)
			tcp_broken(to, to->done ? EPIPE : ECONNRESET);
		return;
	}
	if (to->state != TCP_CONNECTED || (to->orphan && bytes)) {
		// Nobody is there to read it.
		flow->over = true;
		flow_reset(to->out);
		if (to->state == TCP_CONNECTED)
			to->state = TCP_GONE;
		return;
	}
	flow->arrived = upto;
	if (!flow->ack.place)
		sim_event_set(&flow->ack, sim.now + flow->latency + sim_upto(sim.config.jitter));
	if (end == SEGMENT_FIN) {
		to->done = to->read_shut = true;
		sim_wake(&to->file, EPOLLIN | EPOLLRDHUP | EPOLLERR);
		tcp_settled(to);
	} else {
		sim_wake(&to->file, EPOLLIN | EPOLLPRI);
	}
}

static void arrived(struct sim_event *event)
{
	struct sim_flow *flow = caa_container_of(event, struct sim_flow, arrive);

	while (!flow->over && flow->count && flow->segments[flow->first].at <= sim.now) {
		unsigned first = flow->first;
		flow->first = (first + 1) % FLOW_SEGMENTS;
		flow->count--;
		deliver(flow, flow->segments[first].upto, flow->segments[first].end);
	}
	if (!flow->over && flow->count)
		sim_event_set(&flow->arrive, flow->segments[flow->first].at);
}

static void acked(struct sim_event *event)
{
	struct sim_flow *flow = caa_container_of(event, struct sim_flow, ack);
	struct sim_tcp *from = flow->from;

	flow->acked = flow->arrived;
	flow->window = flow->read + flow->rcvbuf;
	flow_push(flow);
	if (from->state != TCP_CONNECTED)
		return;
	if (from->no_space && flow_writable(flow)) {
		from->no_space = false;
		sim_wake(&from->file, EPOLLOUT);
	}
	tcp_settled(from);
}

void flow_took(struct sim_flow *flow, size_t len)
{
	flow->read += len;
	if (!flow->over && !flow->ack.place)
		sim_event_set(&flow->ack, sim.now + flow->latency + sim_upto(sim.config.jitter));
}
