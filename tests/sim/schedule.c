// SPDX-License-Identifier: Apache-2.0
// Drawing a schedule from its seed: network, faults, configuration, clients.
#include "schedule.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "client.h"
#include "io/sim_internal.h"
#include "obs/metrics.h"
#include "world.h"

#define US UINT64_C(1000)
#define MS (1000 * US)

static uint32_t pick(struct rng *rng, const uint32_t *values, size_t count)
{
	return values[rng_below(rng, count)];
}
#define PICK(rng, ...)                                                                             \
	pick(rng, (const uint32_t[]){__VA_ARGS__},                                                 \
	     sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static bool chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

static void draw_options(struct rng *rng, struct world_options *o)
{
	o->rude = chance(rng, 60);
	o->unreliable = chance(rng, 25);
	o->scarce = chance(rng, 25);
	o->hungry = chance(rng, 20);
	o->reloads = chance(rng, 25);
	o->drains = chance(rng, 10);
	if (chance(rng, 25)) // nothing goes wrong: everything must work
		o->rude = o->unreliable = o->scarce = o->hungry = o->reloads = o->drains = false;
	o->bulk = chance(rng, 25);
	o->size_max = o->bulk ? sim_spread(rng, 200000, 4000000)
			      : sim_spread(rng, 64, PICK(rng, 4096, 65536, 300000, 3000000));
	o->admission_ms = PICK(rng, 5000, 10000);
	o->resolve_ms = PICK(rng, 1000, 5000);
	o->connect_ms = PICK(rng, 2000, 4000);
	if (!o->rude && !o->unreliable)
		o->admission_ms = 30000; // only what must end at it does
	o->idle_ms = PICK(rng, 20000, 60000);
	o->half_closed_ms = o->rude ? PICK(rng, 10000, 30000) : 30000;
	o->total_ms = o->rude ? PICK(rng, 0, 0, 0, 3000, 10000) : 0;
	o->keepalive_ms = o->rude ? PICK(rng, 1000, 10000) : 10000; // clients may dally for seconds
	o->udp_idle_ms = o->rude ? PICK(rng, 1000, 60000) : 60000;
	o->pipe_size = PICK(rng, 4096, 16384, 65536, 262144, 262144, 1048576);
	o->coalesce_us = PICK(rng, 0, 500, 1800, 1800, 20000);
	o->splice = chance(rng, 85);
	o->connections = o->rude ? PICK(rng, 0, 0, 3) : 0;
	o->per_address = o->rude ? PICK(rng, 0, 0, 2) : 0;
	o->address_rate = chance(rng, 10) ? PICK(rng, 100000, 3000000) : 0;
	if (o->address_rate == 100000 && o->size_max > 300000)
		o->size_max = 300000;
	if (o->address_rate && o->size_max > 1500000)
		o->size_max = 1500000;
}

static void draw_faults(struct rng *rng, const struct world_options *o, struct sim_config *config)
{
	struct sim_faults *f = &config->faults;

	// These cost time, nothing else.
	f->send_again = chance(rng, 40) ? (uint32_t)sim_spread(rng, 100, 300000) : 0;
	f->send_short = chance(rng, 40) ? (uint32_t)sim_spread(rng, 100, 300000) : 0;
	f->splice_short = chance(rng, 40) ? (uint32_t)sim_spread(rng, 100, 500000) : 0;
	f->pipe_size = chance(rng, 30) ? 500000 : 0;
	f->late = chance(rng, 20) ? (uint32_t)sim_spread(rng, 100, 50000) : 0;
	f->pipe = chance(rng, 20) ? (uint32_t)sim_spread(rng, 10000, 1000000) : 0;
	if (chance(rng, 30)) {
		f->datagram_loss = (uint32_t)sim_spread(rng, 1000, 300000);
		f->datagram_twice = (uint32_t)sim_spread(rng, 1000, 300000);
		f->datagram_late = (uint32_t)sim_spread(rng, 1000, 300000);
	}
	if (o->unreliable) {
		f->reset = chance(rng, 50) ? (uint32_t)sim_spread(rng, 10000, 500000) : 0;
		f->timeout = chance(rng, 30) ? (uint32_t)sim_spread(rng, 10000, 300000) : 0;
		f->refuse = chance(rng, 30) ? (uint32_t)sim_spread(rng, 10000, 300000) : 0;
		f->stall = chance(rng, 30) ? (uint32_t)sim_spread(rng, 100, 30000) : 0;
	}
	if (o->scarce) {
		f->socket = chance(rng, 50) ? (uint32_t)sim_spread(rng, 1000, 300000) : 0;
		f->accept = chance(rng, 50) ? (uint32_t)sim_spread(rng, 1000, 500000) : 0;
		f->connect = chance(rng, 50) ? (uint32_t)sim_spread(rng, 1000, 300000) : 0;
		f->poll_add = chance(rng, 50) ? (uint32_t)sim_spread(rng, 1000, 200000) : 0;
		f->option = chance(rng, 50) ? (uint32_t)sim_spread(rng, 1000, 300000) : 0;
		f->splice_memory = chance(rng, 30) ? (uint32_t)sim_spread(rng, 100, 30000) : 0;
		config->descriptors = chance(rng, 40) ? 14 + (uint32_t)rng_below(rng, 20) : 0;
	}
}

static void draw_network(struct rng *rng, const struct world_options *o, struct sim_config *config)
{
	config->latency_min = 1 * US;
	config->latency_max = PICK(rng, 5, 100, 1000, 20000) * US;
	config->jitter = PICK(rng, 0, 10, 1000) * US;
	if (chance(rng, 30)) {
		config->rate_min = 1000000;
		config->rate_max = 1000000000;
	}
	config->buffer_min = PICK(rng, 2048, 4096, 16384);
	config->buffer_max = PICK(rng, 16384, 65536, 262144, 1048576);
	config->segment_max = PICK(rng, 100, 1448, 9000, 65536, 65536);
	if (o->bulk) {
		config->buffer_min = PICK(rng, 32768, 131072);
		config->segment_max = 65536;
		config->latency_max = PICK(rng, 5, 100) * US;
	}
	config->slot_max = PICK(rng, 4096, 4096, 1448, 4096);
	config->call_ns = PICK(rng, 500, 3000, 3000, 30000);
	config->shuffle = chance(rng, 30);
	draw_faults(rng, o, config);
}

struct occasion {
	struct sim_event event;
	void (*what)(void);
};

static void happen(struct sim_event *event)
{
	caa_container_of(event, struct occasion, event)->what();
}

static void plan_occasion(void (*what)(void), uint64_t at)
{
	struct occasion *occasion = sim_alloc(sizeof(*occasion));

	*occasion = (struct occasion){.event.run = happen, .what = what};
	sim_event_set(&occasion->event, at);
}

uint64_t schedule_run(uint64_t seed, bool trace)
{
	struct world_options options = {.seed = seed, .trace = trace};
	struct sim_config config = {.seed = seed, .trace = trace};
	struct rng rng;

	rng_init(&rng, seed);
	draw_options(&rng, &options);
	draw_network(&rng, &options, &config);
	sim_begin(&config);
	world_begin(&options);
	unsigned clients = 1 + (unsigned)rng_below(&rng, options.bulk ? 5 : 10);
	uint64_t span = sim_spread(&rng, 1 * MS, 3000 * MS);
	for (unsigned i = 0; i < clients; i++)
		client_new((enum client_kind)rng_below(&rng, CLIENT_KINDS),
			   sim.now + rng_below(&rng, span));
	for (unsigned i = 0; options.reloads && i < 1 + seed % 3; i++)
		plan_occasion(world_reload, sim.now + rng_below(&rng, 2 * span));
	if (options.drains)
		plan_occasion(world_drain, sim.now + rng_below(&rng, 2 * span));
	world_run();
	return sim_trace_hash();
}

void schedule_print_metrics(void)
{
	const struct metrics *parts[] = {&world_metrics};
	const struct metrics_page page = {.parts = parts, .part_count = 1};
	struct text text;

	text_init(&text, 0);
	if (metrics_write(&text, &page) == 0) {
		const char *line = text.data, *end = text.data + text.len, *next;
		for (; line < end; line = next) {
			next = memchr(line, '\n', (size_t)(end - line));
			next = next ? next + 1 : end;
			if (*line != '#' && !memmem(line, (size_t)(next - line), "_bucket{", 8))
				printf("%.*s", (int)(next - line), line);
		}
	}
	text_release(&text);
}
