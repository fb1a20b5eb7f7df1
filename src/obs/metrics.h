// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms: one struct of cells per writing thread, summed when a page is
// asked for.
#pragma once

#include "obs/close_reason.h"
#include "obs/hist.h"
#include "obs/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The label sets: enum metric_protocol { METRIC_PROTOCOL_UNKNOWN, ..., METRIC_PROTOCOL_COUNT } etc.
#define LABEL(set, noun, label, help)                                                              \
	enum metric_##noun                                                                         \
	{
#define LABEL_VALUE(set, value, text) METRIC_##set##_##value,
#define LABEL_END(set)                                                                             \
	METRIC_##set##_COUNT                                                                       \
	}                                                                                          \
	;
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END
enum { METRIC_CLOSE_COUNT = CLOSE_REASON_COUNT };

// One per writing thread: each worker, the control thread, each helper (those who need any).
// Only the owning thread writes; anyone may read. Cells are written through the functions below:
//	metric_inc(&m->connections_accepted);
//	metric_add(&m->datagrams[METRIC_DIRECTION_UP], n);
//	metric_gauge_add(&m->connections_live[METRIC_PROTOCOL_HTTP], -1);
//	hist_record(&m->connect_duration, ns);
struct metrics {
#define L0
#define L1(a) [METRIC_##a##_COUNT]
#define L2(a, b) [METRIC_##a##_COUNT][METRIC_##b##_COUNT]
#define L3(a, b, c) [METRIC_##a##_COUNT][METRIC_##b##_COUNT][METRIC_##c##_COUNT]
#define COUNTER(field, family, unit, labels, help) uint64_t field labels;
#define COUNTER_NS(field, family, unit, labels, help) uint64_t field labels;
#define GAUGE(field, family, unit, labels, help) int64_t field labels;
#define GAUGE_NS(field, family, unit, labels, help) int64_t field labels;
#define HISTOGRAM(field, family, unit, labels, help) struct hist field labels;
#include "obs/metrics.def"
#undef L0
#undef L1
#undef L2
#undef L3
#undef COUNTER
#undef COUNTER_NS
#undef GAUGE
#undef GAUGE_NS
#undef HISTOGRAM
} __attribute__((aligned(64)));

// Zeroed cells, touched by the calling thread so that they are local to its node. NULL: no memory.
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

static inline void metric_add(uint64_t *cell, uint64_t n)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void metric_inc(uint64_t *cell)
{
	metric_add(cell, 1);
}

static inline void metric_gauge_add(int64_t *cell, int64_t n)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void metric_gauge_set(int64_t *cell, int64_t v)
{
	__atomic_store_n(cell, v, __ATOMIC_RELAXED);
}

// One cell read by another thread.
static inline uint64_t metric_get(const uint64_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static inline int64_t metric_gauge_get(const int64_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

// The label value's text, e.g. metric_protocol_name(METRIC_PROTOCOL_TLS) is "tls"; "invalid" if out of
// range. One for every label set.
#define LABEL(set, noun, label, help) const char *metric_##noun##_name(unsigned value);
#define LABEL_VALUE(set, value, text)
#define LABEL_END(set)
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END

// The labels of denials and connects that go with a close reason; METRIC_DENIAL_COUNT: it is no
// denial.
unsigned metric_denial_of(enum close_reason reason);

// Adds every cell of `from` (any thread's) to `sum` (the caller's).
void metrics_sum(struct metrics *sum, const struct metrics *from);

// ---- The page.

enum metrics_format {
	METRICS_PROMETHEUS,  // text/plain; version=0.0.4
	METRICS_OPENMETRICS, // application/openmetrics-text; version=1.0.0
};

// By an Accept header's value (`accept` may be NULL): OpenMetrics where it is accepted at least as
// gladly as text/plain and is named explicitly, else classic text.
enum metrics_format metrics_negotiate(const char *accept, size_t len);
const char *metrics_content_type(enum metrics_format format);

// Per-user figures: gives user number `i` = 0, 1, ... in a stable order; false when there are no
// more. The strings are copied before the next call. Called several times over all users for one
// page.
struct metrics_user {
	const char *name;
	size_t name_len;
	uint64_t bytes_up;
	uint64_t bytes_down;
	uint64_t connections_total;
	uint64_t connections_live;
	uint64_t requests_denied;
};
typedef bool metrics_user_fn(void *ctx, size_t i, struct metrics_user *ret);

struct metrics_page {
	enum metrics_format format;
	const struct metrics *const *parts; // all threads' cells
	size_t part_count;
	const char *version; // for build info; NULL: the built-in version
	int64_t start_ns; // wall clock at the start of the process, unix nanoseconds; 0: left out
	bool process;     // read /proc/self for the process metrics
	metrics_user_fn *users; // NULL: no per-user series
	void *users_ctx;
	size_t users_max; // at most so many users; 0: 1000
	// Called before the end of the page, for families of the caller's own (see metrics_family);
	// may be NULL.
	void (*extra)(void *ctx, struct text *out, enum metrics_format format);
	void *extra_ctx;
};

// Appends the whole page. 0; -ENOMEM when `out` failed. Allocates one struct metrics for the sum.
int metrics_write(struct text *out, const struct metrics_page *page);

// For families that are not in metrics.def (targets, limits): a head, then its samples, nothing
// between.
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO };
// `family` is the full name without _total or _info; `unit` "" or the family's last word.
void metrics_family(struct text *out, enum metrics_format format, const char *family,
		    enum metric_type type, const char *unit, const char *help);
// One sample; `suffix` "_total", "_info" or "". Labels are pairs of name and value, ended by NULL.
// Values are escaped; at most 256 bytes of each are taken.
void metrics_sample(struct text *out, const char *family, const char *suffix,
		    const char *const *labels, uint64_t value);
