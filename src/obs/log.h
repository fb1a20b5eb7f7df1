// SPDX-License-Identifier: Apache-2.0
// The structured logger: typed fields, a level per module, and a writer thread so that no caller
// waits.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;

enum log_level {
	LOG_LEVEL_ERROR, // somebody must act
	LOG_LEVEL_WARN,  // something is wrong and handled
	LOG_LEVEL_INFO,  // what an operator wants to know
	LOG_LEVEL_DEBUG, // what a developer wants to know
	LOG_LEVEL_COUNT
};

enum log_module {
#define LOG_MODULE(name, text, help) LOG_##name,
#include "obs/log_modules.def"
#undef LOG_MODULE
	LOG_MODULE_COUNT
};

enum log_output {
	LOG_OUTPUT_MAIN,   // the log
	LOG_OUTPUT_ACCESS, // the access log (obs/access.h)
	LOG_OUTPUT_COUNT
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/*
 * Logging. Any thread; never blocks, never fails:
 *
 *	log_info(LOG_DNS, "name does not exist", LOG_STR("name", name), LOG_INT("ttl", ttl),
 *LOG_END);
 *
 * The message and the keys are literals of ours (keys: [a-z_]+, not time, level, module, thread or
 * message). Values may be what a peer wrote: they are escaped, and cut at 512 bytes. A line has at
 * most LOG_LINE_MAX bytes; fields that no longer fit are left out and `truncated=true` says so.
 * Arguments are evaluated only if the line is wanted.
 *
 * Each call site may give 20 lines a second; more are held back, and a line of the same message
 *with `suppressed=N` says how many. Debug lines are not held back; log_each() is not either, for
 *lists such as the errors of a configuration.
 */
#define log_error(module, ...) LOG_LIMITED_(LOG_LEVEL_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...) LOG_LIMITED_(LOG_LEVEL_WARN, module, __VA_ARGS__)
#define log_info(module, ...) LOG_LIMITED_(LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) LOG_UNLIMITED_(LOG_LEVEL_DEBUG, module, __VA_ARGS__)
#define log_each(level, module, ...) LOG_UNLIMITED_(level, module, __VA_ARGS__)

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 512 };

enum log_type {
	LOG_TYPE_END,
	LOG_TYPE_STRING,
	LOG_TYPE_HEX, // the bytes in hex
	LOG_TYPE_INT,
	LOG_TYPE_UINT,
	LOG_TYPE_ID, // a number in hex, 16 digits, as a string
	LOG_TYPE_BOOL,
	LOG_TYPE_SECONDS, // nanoseconds, shown as seconds
	LOG_TYPE_ERRNO,   // an errno or negative errno: the text, and errno=NAME behind it
	LOG_TYPE_ENDPOINT,
};

struct log_field {
	enum log_type type;
	const char *key;
	size_t len;
	union {
		const char *s;
		int64_t i;
		uint64_t u;
		const struct endpoint *endpoint;
	};
};

// The pointers need to live only until the call returns. A NULL string is left out.
#define LOG_STR(k, v)                                                                              \
	((struct log_field){.type = LOG_TYPE_STRING, .key = (k), .len = SIZE_MAX, .s = (v)})
#define LOG_STRN(k, v, n)                                                                          \
	((struct log_field){.type = LOG_TYPE_STRING, .key = (k), .len = (n), .s = (v)})
#define LOG_SLICE(k, v) LOG_STRN(k, (v).data, (v).len)
#define LOG_HEX(k, v, n)                                                                           \
	((struct log_field){.type = LOG_TYPE_HEX, .key = (k), .len = (n), .s = (const char *)(v)})
#define LOG_INT(k, v) ((struct log_field){.type = LOG_TYPE_INT, .key = (k), .i = (v)})
#define LOG_UINT(k, v) ((struct log_field){.type = LOG_TYPE_UINT, .key = (k), .u = (v)})
#define LOG_ID(k, v) ((struct log_field){.type = LOG_TYPE_ID, .key = (k), .u = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.type = LOG_TYPE_BOOL, .key = (k), .u = (v) ? 1 : 0})
#define LOG_SECONDS(k, ns) ((struct log_field){.type = LOG_TYPE_SECONDS, .key = (k), .u = (ns)})
#define LOG_ERRNO(k, e) ((struct log_field){.type = LOG_TYPE_ERRNO, .key = (k), .i = (e)})
#define LOG_ENDPOINT(k, ep)                                                                        \
	((struct log_field){.type = LOG_TYPE_ENDPOINT, .key = (k), .endpoint = (ep)})
// Ends the fields.
#define LOG_END ((struct log_field){.type = LOG_TYPE_END})

// One call site's limiter; a static in the macros. Shared by all threads.
struct log_site {
	_Atomic uint64_t window; // second << 16 | lines in it
	_Atomic uint32_t suppressed;
	_Atomic uint32_t listed;
	struct log_site *next; // this and below: written once, when listed
	const char *message;
	uint8_t level;
	uint8_t module;
};

extern _Atomic uint8_t log_levels_atomic[LOG_MODULE_COUNT];

// Any thread; one relaxed load.
static inline bool log_wants(enum log_module module, enum log_level level)
{
	return atomic_load_explicit(&log_levels_atomic[module], memory_order_relaxed) >=
	       (unsigned)level;
}

// The fields end with LOG_TYPE_END or after `count`. `site` may be NULL: not limited.
void log_write(enum log_level level, enum log_module module, struct log_site *site,
	       const char *message, const struct log_field *fields, size_t count);

#define LOG_LIMITED_(level_, module_, message_, ...)                                               \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		if (log_wants((module_), (level_))) {                                              \
			const struct log_field log_fields_[] = {__VA_ARGS__};                      \
			log_write((level_), (module_), &log_site_, (message_), log_fields_,        \
				  sizeof log_fields_ / sizeof log_fields_[0]);                     \
		}                                                                                  \
	} while (0)
#define LOG_UNLIMITED_(level_, module_, message_, ...)                                             \
	do {                                                                                       \
		if (log_wants((module_), (level_))) {                                              \
			const struct log_field log_fields_[] = {__VA_ARGS__};                      \
			log_write((level_), (module_), NULL, (message_), log_fields_,              \
				  sizeof log_fields_ / sizeof log_fields_[0]);                     \
		}                                                                                  \
	} while (0)

/*
 * Levels. Any thread. All modules start at info.
 */
void log_set_level(enum log_module module, enum log_level level);
void log_set_level_all(enum log_level level);
enum log_level log_level(enum log_module module);
// Names; "invalid" if out of range.
const char *log_level_name(unsigned level);
const char *log_module_name(unsigned module);
const char *log_output_name(unsigned output);
// By name, case as in the tables; -1 if there is none.
int log_level_parse(const char *name);
int log_module_parse(const char *name);

/*
 * Outputs. Before log_start, and after log_stop, lines are written by the caller's own thread to
 * standard error (so that early errors are seen); access lines are then dropped.
 */
struct log_target {
	const char *path; // "stderr", "stdout", or a file's path; NULL: none
	enum log_format format;
};

struct log_config {
	struct log_target targets[LOG_OUTPUT_COUNT];
};

// Opens the outputs (files: append, created with mode 0640) and starts the writer thread, with all
// signals blocked in it. The main thread; once. 0, or a negative errno of open(2) or of the thread;
// `*ret_failed` is then the output that could not be opened (untouched for other errors; may be
// NULL).
int log_start(const struct log_config *config, enum log_output *ret_failed);

// New outputs and formats, while running: opens all first, and changes nothing if one fails.
// The control thread. Errors as log_start; -ESRCH: not started.
int log_configure(const struct log_config *config, enum log_output *ret_failed);

// Asks the writer to reopen its files (after a rotation). Any thread, async-signal-safe. When a
// file cannot be opened, the old one goes on and an error line says so.
void log_reopen(void);

// Waits until the lines that were logged before the call are written, at most `timeout_ms`.
// True if they are.
bool log_flush(unsigned timeout_ms);

// Writes what is queued (for at most `timeout_ms`), ends the writer, closes files. Threads may log
// during and after it (see above). The main thread.
void log_stop(unsigned timeout_ms);

// The name of the calling thread in its lines ("worker-0"); at most 15 bytes are kept.
void log_thread_name(const char *name);

/*
 * Lines in a queue wait in a ring of LOG_RING_BYTES per thread, made at its first line. When it is
 * full, lines are dropped and counted, and a line says how many were lost as soon as there is room.
 * An eighth of the ring is kept for error lines: they are dropped only when that is full as well.
 */
enum { LOG_RING_BYTES = 256 << 10 };

struct log_stats {
	uint64_t lines[LOG_LEVEL_COUNT];    // of the log, accepted
	uint64_t access_lines;              // accepted
	uint64_t dropped[LOG_OUTPUT_COUNT]; // for want of room or of memory
	uint64_t suppressed;                // by call sites' limits
	uint64_t write_errors;              // failed write(2)s; their lines are lost
};
// Any thread.
void log_stats_read(struct log_stats *ret);

/*
 * For tests and the simulated network: every line goes to `sink` at once, in the caller's thread,
 * complete with its newline, and the clock is the one given. NULL sink: back to normal.
 * Not while other threads log. A NULL clock: the real ones.
 */
typedef void log_sink_fn(void *ctx, enum log_output output, const char *line, size_t len);
// Gives wall time (unix nanoseconds) and monotonic time.
typedef void log_clock_fn(void *ctx, int64_t *ret_wall, uint64_t *ret_now);
void log_set_sink(log_sink_fn *sink, log_clock_fn *clock, void *ctx);
// The format of an output as log_start would set it; for tests with a sink.
void log_set_format(enum log_output output, enum log_format format);
