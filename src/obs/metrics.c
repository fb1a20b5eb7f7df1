// SPDX-License-Identifier: Apache-2.0
// Cells of metrics: their memory, their sum, and names of label values.
#include "obs/metrics.h"

#include "obs/metric_table.h"

#include <stdlib.h>
#include <string.h>

#define LABEL(set, noun, label, help) static const char *const values_##set[] = {
#define LABEL_VALUE(set, value, text) text,
#define LABEL_END(set)                                                                             \
	}                                                                                          \
	;
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END

static const char *const values_CLOSE[] = {
#define CLOSE_REASON(name, text, cls, help) text,
#include "obs/close_reasons.def"
#undef CLOSE_REASON
};

enum {
#define LABEL(set, noun, label, help) LABEL_INDEX_##set,
#define LABEL_VALUE(set, value, text)
#define LABEL_END(set)
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END
	LABEL_INDEX_CLOSE,
};

const struct metric_label metric_labels[] = {
#define LABEL(set, noun, label, help_)                                                             \
	{.name = label, .help = help_, .values = values_##set, .count = METRIC_##set##_COUNT},
#define LABEL_VALUE(set, value, text)
#define LABEL_END(set)
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END
	{.name = "reason",
	 .help = "A close reason.",
	 .values = values_CLOSE,
	 .count = METRIC_CLOSE_COUNT},
};

#define L0                                                                                         \
	{                                                                                          \
		0                                                                                  \
	}
#define L1(a)                                                                                      \
	{                                                                                          \
		&metric_labels[LABEL_INDEX_##a]                                                    \
	}
#define L2(a, b)                                                                                   \
	{                                                                                          \
		&metric_labels[LABEL_INDEX_##a], &metric_labels[LABEL_INDEX_##b]                   \
	}
#define L3(a, b, c)                                                                                \
	{                                                                                          \
		&metric_labels[LABEL_INDEX_##a], &metric_labels[LABEL_INDEX_##b],                  \
			&metric_labels[LABEL_INDEX_##c]                                            \
	}
// The labels hold commas once expanded: they must not go through a further macro.
#define ROW(field, fam, kind_, unit_, help_)                                                       \
	.family = "sluice_" fam, .unit = unit_, .help = help_, .kind = kind_,                      \
	.offset = offsetof(struct metrics, field), .size = sizeof(((struct metrics *)0)->field)
#define COUNTER(field, f, u, l, h) {ROW(field, f, METRIC_KIND_COUNTER, u, h), .labels = l},
#define COUNTER_NS(field, f, u, l, h) {ROW(field, f, METRIC_KIND_COUNTER_NS, u, h), .labels = l},
#define GAUGE(field, f, u, l, h) {ROW(field, f, METRIC_KIND_GAUGE, u, h), .labels = l},
#define GAUGE_NS(field, f, u, l, h) {ROW(field, f, METRIC_KIND_GAUGE_NS, u, h), .labels = l},
#define HISTOGRAM(field, f, u, l, h) {ROW(field, f, METRIC_KIND_HISTOGRAM, u, h), .labels = l},
const struct metric_row metric_rows[] = {
#include "obs/metrics.def"
};
const size_t metric_row_count = sizeof metric_rows / sizeof metric_rows[0];

struct metrics *metrics_new(void)
{
	struct metrics *m = aligned_alloc(_Alignof(struct metrics), sizeof *m);

	if (m)
		memset(m, 0, sizeof *m);
	return m;
}

void metrics_free(struct metrics *m)
{
	free(m);
}

// Every member is made of 64-bit cells, so the sum does not need to know the rows.
_Static_assert(sizeof(struct metrics) % sizeof(uint64_t) == 0, "cells of 8 bytes");
_Static_assert(sizeof(struct hist) % sizeof(uint64_t) == 0, "cells of 8 bytes");

void metrics_sum(struct metrics *sum, const struct metrics *from)
{
	uint64_t *to = (uint64_t *)(void *)sum;
	const uint64_t *cell = (const uint64_t *)(const void *)from;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += __atomic_load_n(&cell[i], __ATOMIC_RELAXED);
}

// metric_<noun>_name for every label set.
#define LABEL(set, noun, label, help)                                                              \
	const char *metric_##noun##_name(unsigned value)                                           \
	{                                                                                          \
		return value < METRIC_##set##_COUNT ? values_##set[value] : "invalid";             \
	}
#define LABEL_VALUE(set, value, text)
#define LABEL_END(set)
#include "obs/labels.def"
#undef LABEL
#undef LABEL_VALUE
#undef LABEL_END

unsigned metric_denial_of(enum close_reason reason)
{
	switch (reason) {
	case CLOSE_ACL_DENIED:
		return METRIC_DENIAL_ACL;
	case CLOSE_LOCAL_DESTINATION_DENIED:
		return METRIC_DENIAL_LOCAL_DESTINATION;
	case CLOSE_ADMIN_DESTINATION_DENIED:
	case CLOSE_LOOP_DETECTED:
		return METRIC_DENIAL_ADMIN_DESTINATION;
	case CLOSE_NO_ROUTE:
	case CLOSE_TLS_NO_SNI:
		return METRIC_DENIAL_NO_ROUTE;
	case CLOSE_PROTOCOL_REFUSED:
	case CLOSE_HTTP2_UNSUPPORTED:
		return METRIC_DENIAL_PROTOCOL;
	case CLOSE_AUTH_REQUIRED:
		return METRIC_DENIAL_AUTH_REQUIRED;
	case CLOSE_AUTH_FAILED:
		return METRIC_DENIAL_AUTH_FAILED;
	case CLOSE_AUTH_THROTTLED:
		return METRIC_DENIAL_AUTH_THROTTLED;
	case CLOSE_CONNECTION_LIMIT:
		return METRIC_DENIAL_CONNECTION_LIMIT;
	case CLOSE_USER_LIMIT:
	case CLOSE_QUOTA_EXCEEDED:
		return METRIC_DENIAL_USER_LIMIT;
	case CLOSE_ADDRESS_LIMIT:
		return METRIC_DENIAL_ADDRESS_LIMIT;
	case CLOSE_RATE_LIMITED:
		return METRIC_DENIAL_RATE;
	case CLOSE_NO_MEMORY:
	case CLOSE_NO_DESCRIPTORS:
	case CLOSE_NO_PORTS:
	case CLOSE_NO_BUFFERS:
	case CLOSE_HELPER_BUSY:
	case CLOSE_RESOLVER_BUSY:
		return METRIC_DENIAL_RESOURCES;
	default:
		return METRIC_DENIAL_COUNT;
	}
}
