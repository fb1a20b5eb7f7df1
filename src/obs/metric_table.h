// SPDX-License-Identifier: Apache-2.0
// The rows of metrics.def and labels.def as data, for the page writer, the dashboard and tests.
#pragma once

#include <stddef.h>

enum metric_kind {
	METRIC_KIND_COUNTER,
	METRIC_KIND_COUNTER_NS,
	METRIC_KIND_GAUGE,
	METRIC_KIND_GAUGE_NS,
	METRIC_KIND_HISTOGRAM,
};

struct metric_label {
	const char *name;
	const char *help;
	const char *const *values;
	size_t count;
};

enum { METRIC_LABELS_MAX = 3 };

struct metric_row {
	const char *family; // with the prefix, without _total
	const char *unit;   // "" if it has none
	const char *help;
	enum metric_kind kind;
	size_t offset;                                        // of the first cell in struct metrics
	size_t size;                                          // of all its cells
	const struct metric_label *labels[METRIC_LABELS_MAX]; // NULL where there is none
};

extern const struct metric_row metric_rows[];
extern const size_t metric_row_count;
extern const struct metric_label metric_labels[];
