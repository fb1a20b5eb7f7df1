// SPDX-License-Identifier: Apache-2.0
// The logging side of the logger: levels, limits of call sites, and the way of a line into its
// ring.
#include "obs/log.h"

#include "obs/log_line.h"
#include "obs/log_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { SITE_LINES_PER_SECOND = 20, THREAD_NAME_MAX = 15 };

_Atomic uint8_t log_levels_atomic[LOG_MODULE_COUNT] = {
#define LOG_MODULE(name, text, help) [LOG_##name] = LOG_LEVEL_INFO,
#include "obs/log_modules.def"
#undef LOG_MODULE
};

static const char *const level_names[LOG_LEVEL_COUNT] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
static const char *const module_names[LOG_MODULE_COUNT] = {
#define LOG_MODULE(name, text, help) [LOG_##name] = text,
#include "obs/log_modules.def"
#undef LOG_MODULE
};
static const char *const output_names[LOG_OUTPUT_COUNT] = {
	[LOG_OUTPUT_MAIN] = "log",
	[LOG_OUTPUT_ACCESS] = "access",
};

// The threads that have logged.
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct log_thread *) threads;
static struct log_stats past_stats; // of threads freed; under threads_lock
static _Atomic(uint64_t) homeless;  // lines dropped for want of memory for their thread
static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
static _Thread_local struct log_thread *self;
static _Thread_local char self_name[THREAD_NAME_MAX + 1];

static _Atomic(struct log_site *) sites; // with suppressed lines at least once

static log_sink_fn *test_sink;
static log_clock_fn *test_clock;
static void *test_ctx;

void log_set_level(enum log_module module, enum log_level level)
{
	atomic_store_explicit(&log_levels_atomic[module], (uint8_t)level, memory_order_relaxed);
}

void log_set_level_all(enum log_level level)
{
	for (unsigned i = 0; i < LOG_MODULE_COUNT; i++)
		log_set_level(i, level);
}

enum log_level log_level(enum log_module module)
{
	return atomic_load_explicit(&log_levels_atomic[module], memory_order_relaxed);
}

const char *log_level_name(unsigned level)
{
	return level < LOG_LEVEL_COUNT ? level_names[level] : "invalid";
}

const char *log_module_name(unsigned module)
{
	return module < LOG_MODULE_COUNT ? module_names[module] : "invalid";
}

const char *log_output_name(unsigned output)
{
	return output < LOG_OUTPUT_COUNT ? output_names[output] : "invalid";
}

static int name_find(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

int log_level_parse(const char *name)
{
	return name_find(level_names, LOG_LEVEL_COUNT, name);
}

int log_module_parse(const char *name)
{
	return name_find(module_names, LOG_MODULE_COUNT, name);
}

void log_set_sink(log_sink_fn *sink, log_clock_fn *clock, void *ctx)
{
	test_sink = sink;
	test_clock = clock;
	test_ctx = ctx;
	atomic_store(&log_access_atomic, sink != NULL);
}

void log_set_format(enum log_output output, enum log_format format)
{
	atomic_store(&log_formats_atomic[output], (uint8_t)format);
}

void log_thread_name(const char *name)
{
	size_t n = strnlen(name, THREAD_NAME_MAX);

	memcpy(self_name, name, n);
	self_name[n] = '\0';
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void log_clock_read(int64_t *ret_wall, uint64_t *ret_now)
{
	if (test_clock) {
		test_clock(test_ctx, ret_wall, ret_now);
		return;
	}
	*ret_wall = (int64_t)nanoseconds(CLOCK_REALTIME);
	*ret_now = nanoseconds(CLOCK_MONOTONIC_COARSE);
}

static void thread_exit(void *arg)
{
	struct log_thread *t = arg;

	// Destructors that run after this one and log would make a new ring, which is as good.
	self = NULL;
	atomic_store_explicit(&t->gone, true, memory_order_release);
}

static void make_thread_key(void)
{
	pthread_key_create(&thread_key, thread_exit);
}

static struct log_thread *thread_self(void)
{
	if (self)
		return self;
	struct log_thread *t = aligned_alloc(_Alignof(struct log_thread), sizeof *t);
	if (!t)
		return NULL;
	memset(t, 0, sizeof *t);
	pthread_once(&thread_key_once, make_thread_key);
	if (pthread_setspecific(thread_key, t) != 0) {
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&threads_lock);
	atomic_store(&t->next, atomic_load(&threads));
	atomic_store(&threads, t);
	pthread_mutex_unlock(&threads_lock);
	self = t;
	return t;
}

struct log_thread *log_thread_first(void)
{
	return atomic_load(&threads);
}

static void stats_add(struct log_stats *sum, const struct log_stats *from)
{
	uint64_t *to = (uint64_t *)(void *)sum;
	const uint64_t *cells = (const uint64_t *)(const void *)from;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
}

static void stats_inc(uint64_t *cell)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

void log_thread_sweep(void)
{
	pthread_mutex_lock(&threads_lock);
	_Atomic(struct log_thread *) *at = &threads;
	for (struct log_thread *t = atomic_load(at); t; t = atomic_load(at)) {
		if (!atomic_load_explicit(&t->gone, memory_order_acquire) ||
		    (atomic_load(&t->has_ring) && !log_ring_empty(&t->ring))) {
			at = &t->next;
			continue;
		}
		atomic_store(at, atomic_load(&t->next));
		stats_add(&past_stats, &t->stats);
		if (atomic_load(&t->has_ring))
			log_ring_release(&t->ring);
		free(t);
	}
	pthread_mutex_unlock(&threads_lock);
}

void log_stats_read(struct log_stats *ret)
{
	struct log_stats sum;

	pthread_mutex_lock(&threads_lock);
	sum = past_stats;
	for (struct log_thread *t = log_thread_first(); t; t = atomic_load(&t->next))
		stats_add(&sum, &t->stats);
	pthread_mutex_unlock(&threads_lock);
	sum.dropped[LOG_OUTPUT_MAIN] += atomic_load(&homeless);
	sum.write_errors = atomic_load(&log_write_errors_atomic);
	*ret = sum;
}

// No ring yet, or no writer any more: the caller writes by itself. What standard error does not
// take is lost, as there is nowhere else to say so.
static void write_now(enum log_output output, const char *line, size_t len)
{
	if (output != LOG_OUTPUT_MAIN)
		return;
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, line, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

static bool thread_push(struct log_thread *t, enum log_output output, bool urgent, const char *line,
			size_t len)
{
	if (!atomic_load_explicit(&t->has_ring, memory_order_relaxed)) {
		if (log_ring_init(&t->ring, LOG_RING_BYTES) < 0)
			return false;
		atomic_store_explicit(&t->has_ring, true, memory_order_release);
	}
	return log_ring_push(&t->ring, (uint8_t)output, urgent, line, len);
}

void log_emit(enum log_output output, enum log_level level, const char *line, size_t len)
{
	struct log_thread *t = thread_self();

	if (!t) {
		atomic_fetch_add(&homeless, 1);
		return;
	}
	if (test_sink) {
		test_sink(test_ctx, output, line, len);
	} else if (!atomic_load_explicit(&log_queued_atomic, memory_order_acquire)) {
		write_now(output, line, len);
	} else if (thread_push(t, output, level == LOG_LEVEL_ERROR, line, len)) {
		log_writer_wake();
	} else {
		stats_inc(&t->stats.dropped[output]);
		return;
	}
	if (output == LOG_OUTPUT_ACCESS)
		stats_inc(&t->stats.access_lines);
	else
		stats_inc(&t->stats.lines[level]);
}

static void site_list(struct log_site *site, enum log_level level, enum log_module module,
		      const char *message)
{
	if (atomic_exchange(&site->listed, 1))
		return;
	site->message = message;
	site->level = (uint8_t)level;
	site->module = (uint8_t)module;
	struct log_site *first = atomic_load(&sites);
	do
		site->next = first;
	while (!atomic_compare_exchange_weak(&sites, &first, site));
}

// Whether this site may give a line now; `*ret_suppressed` lines of it were held back before.
static bool site_allows(struct log_site *site, uint64_t now, uint32_t *ret_suppressed)
{
	uint64_t second = now / 1000000000 + 1; // never 0, which a new site has
	uint64_t window = atomic_load_explicit(&site->window, memory_order_relaxed);

	for (;;) {
		uint64_t next = second << 16 | 1;
		if (window >> 16 == second) {
			if ((window & 0xffff) >= SITE_LINES_PER_SECOND) {
				atomic_fetch_add(&site->suppressed, 1);
				return false;
			}
			next = window + 1;
		}
		if (atomic_compare_exchange_weak(&site->window, &window, next))
			break;
	}
	*ret_suppressed = atomic_load_explicit(&site->suppressed, memory_order_relaxed)
				  ? atomic_exchange(&site->suppressed, 0)
				  : 0;
	return true;
}

static void line_emit(enum log_level level, enum log_module module, const char *message,
		      const struct log_field *fields, size_t count, uint32_t suppressed,
		      int64_t wall)
{
	char buf[LOG_LINE_MAX];
	struct log_line line;

	log_line_open(&line, buf, sizeof buf, atomic_load(&log_formats_atomic[LOG_OUTPUT_MAIN]),
		      wall);
	log_line_head(&line, level, module, message);
	if (self_name[0]) {
		const struct log_field thread = LOG_STR("thread", self_name);
		log_line_field(&line, &thread);
	}
	if (suppressed) {
		const struct log_field field = LOG_UINT("suppressed", suppressed);
		log_line_field(&line, &field);
	}
	for (size_t i = 0; i < count && fields[i].type != LOG_TYPE_END; i++)
		log_line_field(&line, &fields[i]);
	size_t len = log_line_close(&line);
	log_emit(LOG_OUTPUT_MAIN, level, line.text.data, len);
}

void log_write(enum log_level level, enum log_module module, struct log_site *site,
	       const char *message, const struct log_field *fields, size_t count)
{
	int saved = errno;
	int64_t wall;
	uint64_t now;
	uint32_t suppressed = 0;

	log_clock_read(&wall, &now);
	if (site && !site_allows(site, now, &suppressed)) {
		struct log_thread *t = thread_self();
		site_list(site, level, module, message);
		if (t)
			stats_inc(&t->stats.suppressed);
	} else {
		line_emit(level, module, message, fields, count, suppressed, wall);
	}
	errno = saved; // logging between a call and the look at its errno must be harmless
}

void log_sites_report(void)
{
	int64_t wall;
	uint64_t now;

	log_clock_read(&wall, &now);
	uint64_t second = now / 1000000000 + 1;
	for (struct log_site *s = atomic_load(&sites); s; s = s->next) {
		if (atomic_load(&s->window) >> 16 == second)
			continue;
		uint32_t n = atomic_exchange(&s->suppressed, 0);
		if (n)
			line_emit(s->level, s->module, s->message, NULL, 0, n, wall);
	}
}
