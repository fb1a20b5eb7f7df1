// SPDX-License-Identifier: Apache-2.0
// The simulated network's clock, events, descriptors and trace.
#include "io/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io/sim_internal.h"

struct sim sim;

enum { RING_CLASSES = 32 };
#define ARENA_BYTES (1ULL << 33) // of addresses; memory only for what is touched

static struct {
	uint8_t *base;
	size_t used;
	void *rings[RING_CLASSES];
} arena;

static void (*fail_handler)(void);

// Not from malloc: its failures and leaks are the proxy's matter.
void *sim_alloc(size_t size)
{
	size = (size + 63) & ~(size_t)63;
	if (!arena.base) {
		arena.base = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
				  // cppcheck-suppress invalidFunctionArg
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arena.base == MAP_FAILED)
			abort();
	}
	if (arena.used + size > ARENA_BYTES)
		sim_fail("the simulation is out of memory");
	void *memory = arena.base + arena.used;
	arena.used += size;
	return memory;
}

static unsigned ring_class(size_t size)
{
	return (unsigned)(63 - __builtin_clzll(size));
}

void *sim_ring_alloc(size_t size)
{
	void **list = &arena.rings[ring_class(size)];
	void *ring = *list;

	if (!ring)
		return sim_alloc(size);
	*list = *(void **)ring;
	return ring;
}

void sim_ring_free(void *ring, size_t size)
{
	void **list = &arena.rings[ring_class(size)];

	if (!ring)
		return;
	*(void **)ring = *list;
	*list = ring;
}

void sim_begin(const struct sim_config *config)
{
	arena.used = 0;
	memset(arena.rings, 0, sizeof(arena.rings));
	memset(&sim, 0, sizeof(sim));
	sim.config = *config;
	sim.now = 1000000000000;
	sim.wall_offset = INT64_C(1700000000000000000);
	sim.side = SIM_PEER;
	rng_init(&sim.rng, config->seed);
	rng_init(&sim.script, ~config->seed);
	for (int side = 0; side < SIM_SIDES; side++) {
		sim.files[side] = sim_alloc(SIM_FDS * sizeof(struct sim_file *));
		memset(sim.files[side], 0, SIM_FDS * sizeof(struct sim_file *));
		sim.lowest[side] = 3;
	}
	sim.heap = sim_alloc(SIM_EVENTS * sizeof(struct sim_event *));
	sim.hash = 0xcbf29ce484222325;
	sim.next_port = 32768;
	CDS_INIT_LIST_HEAD(&sim.sockets);
	CDS_INIT_LIST_HEAD(&sim.datagram_sockets);
}

struct sim_config *sim_config(void)
{
	return &sim.config;
}

enum sim_side sim_enter(enum sim_side side)
{
	enum sim_side before = sim.side;

	sim.side = side;
	return before;
}

struct rng *sim_rng(void)
{
	return &sim.script;
}

uint64_t sim_spread(struct rng *rng, uint64_t min, uint64_t max)
{
	if (max <= min)
		return min;
	unsigned low = 63 - (unsigned)__builtin_clzll(min | 1);
	unsigned high = 63 - (unsigned)__builtin_clzll(max | 1);
	unsigned bits = low + (unsigned)rng_below(rng, high - low + 1);
	uint64_t value = (1ULL << bits) + rng_below(rng, 1ULL << bits);
	return value < min ? min : value > max ? max : value;
}

bool sim_chance(uint32_t per_million)
{
	return per_million && sim.side == SIM_PROXY && rng_below(&sim.rng, 1000000) < per_million;
}

uint64_t sim_upto(uint64_t max)
{
	return max ? rng_below(&sim.rng, max + 1) : 0;
}

/*
 * Events.
 */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void put(uint32_t place, struct sim_event *event)
{
	sim.heap[place] = event;
	event->place = place + 1;
}

static void sift(uint32_t place, struct sim_event *event)
{
	while (place > 0 && earlier(event, sim.heap[(place - 1) / 2])) {
		put(place, sim.heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * place + 1;
		if (child >= sim.heap_count)
			break;
		if (child + 1 < sim.heap_count && earlier(sim.heap[child + 1], sim.heap[child]))
			child++;
		if (!earlier(sim.heap[child], event))
			break;
		put(place, sim.heap[child]);
		place = child;
	}
	put(place, event);
}

void sim_event_cancel(struct sim_event *event)
{
	if (!event->place)
		return;
	uint32_t place = event->place - 1;
	struct sim_event *last = sim.heap[--sim.heap_count];
	event->place = 0;
	if (event->network)
		sim.on_the_way--;
	if (last != event)
		sift(place, last);
}

void sim_event_set(struct sim_event *event, uint64_t at)
{
	sim_event_cancel(event);
	if (sim.heap_count == SIM_EVENTS)
		sim_fail("too many events");
	event->at = at > sim.now ? at : sim.now;
	event->sequence = sim.sequence++;
	if (event->network)
		sim.on_the_way++;
	sift(sim.heap_count++, event);
}

unsigned sim_on_the_way(void)
{
	return sim.on_the_way;
}

static void run_next(void)
{
	struct sim_event *event = sim.heap[0];
	enum sim_side before = sim_enter(SIM_PEER);

	sim_event_cancel(event);
	if (event->at > sim.now)
		sim.now = event->at;
	event->run(event);
	sim_enter(before);
}

static void run_due(void)
{
	if (sim.depth)
		return;
	sim.depth++;
	while (sim.heap_count && sim.heap[0]->at <= sim.now)
		run_next();
	sim.depth--;
}

bool sim_run_one(uint64_t until)
{
	if (!sim.heap_count || sim.heap[0]->at > until)
		return false;
	sim.depth++;
	run_next();
	sim.depth--;
	return true;
}

void sim_run(uint64_t until)
{
	while (sim_run_one(until))
		;
	if (until > sim.now)
		sim.now = until;
}

/*
 * Descriptors.
 */

int sim_install(struct sim_file *file, enum sim_kind kind)
{
	enum sim_side side = sim.side;
	int fd = sim.lowest[side];

	if (side == SIM_PROXY && sim.config.descriptors && sim.open[side] >= sim.config.descriptors)
		return -EMFILE;
	while (fd < SIM_FDS && sim.files[side][fd])
		fd++;
	if (fd == SIM_FDS)
		return -EMFILE;
	sim.lowest[side] = fd + 1;
	sim.files[side][fd] = file;
	sim.open[side]++;
	*file = (struct sim_file){.kind = (uint8_t)kind, .side = (uint8_t)side, .fd = fd};
	CDS_INIT_LIST_HEAD(&file->items);
	return fd;
}

void sim_uninstall(struct sim_file *file)
{
	sim.files[file->side][file->fd] = NULL;
	sim.open[file->side]--;
	if (file->fd < sim.lowest[file->side])
		sim.lowest[file->side] = file->fd;
	file->fd = -1;
	file->notify = NULL;
	sim_event_cancel(&file->notify_event);
	sim_unpoll(file);
}

uint16_t sim_port(void)
{
	if (sim.next_port < 32768)
		sim.next_port = 32768;
	return sim.next_port++;
}

struct sim_file *sim_file(int fd)
{
	struct sim_file *file = fd >= 0 && fd < SIM_FDS ? sim.files[sim.side][fd] : NULL;

	if (!file)
		sim_fail("a call names descriptor %d, which is not open", fd);
	return file;
}

struct sim_file *sim_file_of(int fd, enum sim_kind kind)
{
	struct sim_file *file = sim_file(fd);

	if (file->kind != kind)
		sim_fail("a call names descriptor %d, which is of another kind", fd);
	return file;
}

unsigned sim_open(enum sim_side side)
{
	return sim.open[side];
}

void sim_print_open(enum sim_side side, FILE *out)
{
	static const char *const kinds[] = {
		"tcp", "udp", "pipe (read end)", "pipe (write end)", "epoll", "eventfd"};

	for (int fd = 0; fd < SIM_FDS && sim.open[side]; fd++) {
		struct sim_file *file = sim.files[side][fd];
		char text[ENDPOINT_STRLEN] = "";
		struct endpoint peer;
		if (!file)
			continue;
		if (file->kind == SIM_TCP && sim_tcp_name(file, true, &peer) == 0)
			endpoint_format(&peer, text);
		fprintf(out, "  %d: %s %s\n", fd, kinds[file->kind], text);
	}
}

static void told(struct sim_event *event)
{
	struct sim_file *file = caa_container_of(event, struct sim_file, notify_event);

	if (file->notify)
		file->notify(file->notify_ctx);
}

void sim_notify(int fd, sim_notify_fn *notify, void *ctx)
{
	struct sim_file *file = sim_file(fd);

	file->notify = notify;
	file->notify_ctx = ctx;
	file->notify_event.run = told;
	file->notify_event.network = true;
	if (notify)
		sim_event_set(&file->notify_event, sim.now);
	else
		sim_event_cancel(&file->notify_event);
}

/*
 * Calls and the trace.
 */

void sim_call(void)
{
	if (sim.side != SIM_PROXY)
		return;
	sim.calls++;
	sim.now += 1 + sim_upto(sim.config.call_ns);
	run_due();
}

static void mix(const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		sim.hash = (sim.hash ^ bytes[i]) * 0x100000001b3;
}

void sim_result(const char *call, int fd, int64_t result)
{
	if (sim.side != SIM_PROXY)
		return;
	const uint64_t words[] = {sim.now, (uint64_t)fd, (uint64_t)result};
	mix(words, sizeof(words));
	if (sim.config.trace)
		printf("%14.6f   %s(%d) = %lld%s%s\n", (double)(sim.now - 1000000000000) / 1e6,
		       call, fd, (long long)result, result < 0 ? " " : "",
		       result < 0 ? strerror((int)-result) : "");
}

void sim_trace(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (n < 0)
		return;
	mix(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	if (sim.config.trace)
		printf("%14.6f %s\n", (double)(sim.now - 1000000000000) / 1e6, text);
}

uint64_t sim_trace_hash(void)
{
	return sim.hash;
}

uint64_t sim_calls(void)
{
	return sim.calls;
}

void sim_on_fail(void (*handler)(void))
{
	fail_handler = handler;
}

void sim_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "at %.6f ms: ", (double)(sim.now - 1000000000000) / 1e6);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	if (fail_handler)
		fail_handler();
	abort();
}

int sim_shortage(void)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS};

	return -errors[sim_upto(3)];
}
