// SPDX-License-Identifier: Apache-2.0
// The metrics page: OpenMetrics 1.0 or classic Prometheus text.
#include "obs/metrics.h"

#include "base/utf8.h"
#include "obs/log.h"
#include "obs/metric_table.h"
#include "obs/process.h"

#include <errno.h>
#include <string.h>

#ifdef __clang__
#define COMPILER __VERSION__ // names itself
#else
#define COMPILER "gcc " __VERSION__
#endif

enum { LABEL_TEXT_MAX = 256, USERS_MAX = 1000 };

// HELP escapes backslash and line feed, label values the double quote too. The page must be UTF-8 or
// all of it is refused, so invalid bytes (and controls) become \xNN, which keeps values apart.
static void page_escape(struct text *out, const char *s, size_t len, bool quotes)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t code;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_decode(p + i, len - i, &code);
		if (n == 1 && (s[i] == '\\' || (s[i] == '"' && quotes))) {
			text_char(out, '\\');
			text_char(out, s[i]);
		} else if (n == 1 && s[i] == '\n') {
			text_str(out, "\\n");
		} else if (n == 0 || code < 0x20 || code == 0x7f) {
			text_str(out, "\\\\x");
			text_hex(out, p[i], 2);
			n = 1;
		} else {
			text_bytes(out, p + i, n);
		}
		i += n;
	}
}

void metrics_family(struct text *out, enum metrics_format format, const char *family,
		    enum metric_type type, const char *unit, const char *help)
{
	static const char *const open_types[] = {"counter", "gauge", "histogram", "info"};
	static const char *const old_types[] = {"counter", "gauge", "histogram", "gauge"};
	bool open = format == METRICS_OPENMETRICS;
	const char *suffix = "";

	// Classic text names the samples, OpenMetrics the family.
	if (!open && type == METRIC_COUNTER)
		suffix = "_total";
	else if (!open && type == METRIC_INFO)
		suffix = "_info";
	text_str(out, "# HELP ");
	text_str(out, family);
	text_str(out, suffix);
	text_char(out, ' ');
	page_escape(out, help, strlen(help), open);
	text_str(out, "\n# TYPE ");
	text_str(out, family);
	text_str(out, suffix);
	text_char(out, ' ');
	text_str(out, open ? open_types[type] : old_types[type]);
	text_char(out, '\n');
	if (open && *unit) {
		text_str(out, "# UNIT ");
		text_str(out, family);
		text_char(out, ' ');
		text_str(out, unit);
		text_char(out, '\n');
	}
}

// `more` is one further label (for buckets' le), already text; NULL: none.
static void page_labels(struct text *out, const char *const *labels, const char *more)
{
	char sep = '{';

	for (; labels && labels[0]; labels += 2) {
		text_char(out, sep);
		sep = ',';
		text_str(out, labels[0]);
		text_str(out, "=\"");
		page_escape(out, labels[1], strnlen(labels[1], LABEL_TEXT_MAX), true);
		text_char(out, '"');
	}
	if (more) {
		text_char(out, sep);
		sep = ',';
		text_str(out, "le=\"");
		text_str(out, more);
		text_char(out, '"');
	}
	if (sep == ',')
		text_char(out, '}');
}

static void page_name(struct text *out, const char *family, const char *suffix,
		      const char *const *labels, const char *more)
{
	text_str(out, family);
	text_str(out, suffix);
	page_labels(out, labels, more);
	text_char(out, ' ');
}

void metrics_sample(struct text *out, const char *family, const char *suffix,
		    const char *const *labels, uint64_t value)
{
	page_name(out, family, suffix, labels, NULL);
	text_uint(out, value);
	text_char(out, '\n');
}

static void page_int(struct text *out, const char *family, const char *const *labels, int64_t value)
{
	page_name(out, family, "", labels, NULL);
	text_int(out, value);
	text_char(out, '\n');
}

static void page_decimal(struct text *out, const char *family, const char *suffix,
			 const char *const *labels, int64_t value, unsigned decimals)
{
	page_name(out, family, suffix, labels, NULL);
	if (value < 0)
		text_char(out, '-');
	text_decimal(out, value < 0 ? -(uint64_t)value : (uint64_t)value, decimals);
	text_char(out, '\n');
}

static void page_bucket(struct text *out, const char *family, const char *const *labels,
			const char *le, uint64_t seen)
{
	page_name(out, family, "_bucket", labels, le);
	text_uint(out, seen);
	text_char(out, '\n');
}

// Four buckets an octave are kept, the page shows octaves: a fourth of the series, the same bounds
// always. OpenMetrics wants le as a float in canonical form, and `1.0` for whole numbers.
static void page_histogram(struct text *out, const char *family, const char *const *labels,
			   const struct hist *h)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		uint64_t bound = hist_bound(i);
		if (bound & (bound - 1))
			continue;
		char le[32];
		struct text number;
		text_init_fixed(&number, le, sizeof le - 1);
		text_decimal(&number, bound, 6);
		if (bound % 1000000 == 0)
			text_str(&number, ".0");
		le[number.len] = '\0';
		page_bucket(out, family, labels, le, seen);
	}
	seen += h->bucket[HIST_BUCKETS - 1];
	page_bucket(out, family, labels, "+Inf", seen);
	page_name(out, family, "_sum", labels, NULL);
	text_decimal(out, h->sum_ns, 9);
	text_char(out, '\n');
	metrics_sample(out, family, "_count", labels, seen);
}

static size_t row_cell(const struct metric_row *row)
{
	return row->kind == METRIC_KIND_HISTOGRAM ? sizeof(struct hist) : sizeof(uint64_t);
}

static void page_cell(struct text *out, const struct metric_row *row, const char *const *labels,
		      const void *cell)
{
	uint64_t value;

	if (row->kind == METRIC_KIND_HISTOGRAM) {
		page_histogram(out, row->family, labels, cell);
		return;
	}
	memcpy(&value, cell, sizeof value);
	switch (row->kind) {
	case METRIC_KIND_COUNTER:
		metrics_sample(out, row->family, "_total", labels, value);
		break;
	case METRIC_KIND_COUNTER_NS:
		page_decimal(out, row->family, "_total", labels, (int64_t)value, 9);
		break;
	case METRIC_KIND_GAUGE:
		page_int(out, row->family, labels, (int64_t)value);
		break;
	default:
		page_decimal(out, row->family, "", labels, (int64_t)value, 9);
		break;
	}
}

static void page_row(struct text *out, enum metrics_format format, const struct metric_row *row,
		     const struct metrics *sum)
{
	static const enum metric_type types[] = {
		[METRIC_KIND_COUNTER] = METRIC_COUNTER,
		[METRIC_KIND_COUNTER_NS] = METRIC_COUNTER,
		[METRIC_KIND_GAUGE] = METRIC_GAUGE,
		[METRIC_KIND_GAUGE_NS] = METRIC_GAUGE,
		[METRIC_KIND_HISTOGRAM] = METRIC_HISTOGRAM,
	};
	const char *cells = (const char *)sum + row->offset;
	size_t count = row->size / row_cell(row);

	metrics_family(out, format, row->family, types[row->kind], row->unit, row->help);
	for (size_t i = 0; i < count; i++) {
		const char *labels[2 * METRIC_LABELS_MAX + 1] = {0};
		size_t rest = i;
		size_t stride = count;
		for (size_t d = 0; d < METRIC_LABELS_MAX && row->labels[d]; d++) {
			stride /= row->labels[d]->count;
			labels[2 * d] = row->labels[d]->name;
			labels[2 * d + 1] = row->labels[d]->values[rest / stride];
			rest %= stride;
		}
		page_cell(out, row, labels, cells + i * row_cell(row));
	}
}

static void page_users(struct text *out, const struct metrics_page *page)
{
	static const struct {
		const char *family, *unit, *help;
		size_t field;
		bool gauge;
		const char *direction;
	} series[] = {
		{"sluice_user_bytes", "bytes", "Payload bytes by user.",
		 offsetof(struct metrics_user, bytes_up), false, "up"},
		{"sluice_user_bytes", NULL, NULL, offsetof(struct metrics_user, bytes_down), false,
		 "down"},
		{"sluice_user_connections", "", "Sessions begun by user.",
		 offsetof(struct metrics_user, connections_total), false, NULL},
		{"sluice_user_connections_live", "", "Sessions open now by user.",
		 offsetof(struct metrics_user, connections_live), true, NULL},
		{"sluice_user_requests_denied", "", "Requests denied by user.",
		 offsetof(struct metrics_user, requests_denied), false, NULL},
	};
	size_t max = page->users_max ? page->users_max : USERS_MAX;

	for (size_t s = 0; s < sizeof series / sizeof series[0]; s++) {
		if (series[s].help)
			metrics_family(out, page->format, series[s].family,
				       series[s].gauge ? METRIC_GAUGE : METRIC_COUNTER,
				       series[s].unit, series[s].help);
		struct metrics_user user;
		for (size_t i = 0; i < max && page->users(page->users_ctx, i, &user); i++) {
			char name[LABEL_TEXT_MAX + 1];
			uint64_t value;
			size_t len =
				user.name_len < LABEL_TEXT_MAX ? user.name_len : LABEL_TEXT_MAX;
			memcpy(name, user.name, len);
			name[len] = '\0';
			const char *labels[] = {"user", name,
						series[s].direction ? "direction" : NULL,
						series[s].direction, NULL};
			memcpy(&value, (const char *)&user + series[s].field, sizeof value);
			metrics_sample(out, series[s].family, series[s].gauge ? "" : "_total",
				       labels, value);
		}
	}
}

static void page_process(struct text *out, const struct metrics_page *page)
{
	enum metrics_format f = page->format;
	struct process_stats p;

	process_stats_read(&p);
	metrics_family(out, f, "process_cpu_seconds", METRIC_COUNTER, "seconds",
		       "User and system CPU time of the process.");
	page_decimal(out, "process_cpu_seconds", "_total", NULL, (int64_t)p.cpu_ns, 9);
	metrics_family(out, f, "process_resident_memory_bytes", METRIC_GAUGE, "bytes",
		       "Resident memory.");
	metrics_sample(out, "process_resident_memory_bytes", "", NULL, p.resident);
	metrics_family(out, f, "process_virtual_memory_bytes", METRIC_GAUGE, "bytes",
		       "Virtual memory.");
	metrics_sample(out, "process_virtual_memory_bytes", "", NULL, p.virtual_memory);
	metrics_family(out, f, "process_open_fds", METRIC_GAUGE, "", "Open file descriptors.");
	metrics_sample(out, "process_open_fds", "", NULL, p.open_fds);
	metrics_family(out, f, "process_max_fds", METRIC_GAUGE, "",
		       "Limit of open file descriptors.");
	metrics_sample(out, "process_max_fds", "", NULL, p.max_fds);
	metrics_family(out, f, "process_threads", METRIC_GAUGE, "", "Threads.");
	metrics_sample(out, "process_threads", "", NULL, p.threads);
}

static void page_log(struct text *out, enum metrics_format f)
{
	struct log_stats s;

	log_stats_read(&s);
	metrics_family(out, f, "sluice_log_lines", METRIC_COUNTER, "",
		       "Log lines written or queued, by level.");
	for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++) {
		const char *labels[] = {"level", log_level_name(i), NULL};
		metrics_sample(out, "sluice_log_lines", "_total", labels, s.lines[i]);
	}
	metrics_family(out, f, "sluice_log_lines_dropped", METRIC_COUNTER, "",
		       "Lines lost because the queue to the writer thread was full, by output.");
	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++) {
		const char *labels[] = {"output", log_output_name(i), NULL};
		metrics_sample(out, "sluice_log_lines_dropped", "_total", labels, s.dropped[i]);
	}
	metrics_family(out, f, "sluice_log_lines_suppressed", METRIC_COUNTER, "",
		       "Repeated messages held back by the limit on each call site.");
	metrics_sample(out, "sluice_log_lines_suppressed", "_total", NULL, s.suppressed);
	metrics_family(out, f, "sluice_log_write_errors", METRIC_COUNTER, "",
		       "Failed writes of log lines.");
	metrics_sample(out, "sluice_log_write_errors", "_total", NULL, s.write_errors);
	metrics_family(out, f, "sluice_access_lines", METRIC_COUNTER, "",
		       "Access log lines written or queued.");
	metrics_sample(out, "sluice_access_lines", "_total", NULL, s.access_lines);
}

int metrics_write(struct text *out, const struct metrics_page *page)
{
	enum metrics_format f = page->format;
	struct metrics *sum = metrics_new();

	if (!sum)
		return -ENOMEM;
	for (size_t i = 0; i < page->part_count; i++)
		metrics_sum(sum, page->parts[i]);
	metrics_family(out, f, "sluice_build", METRIC_INFO, "", "The build.");
	const char *build[] = {"version", page->version ? page->version : SLUICE_VERSION,
			       "compiler", COMPILER, NULL};
	metrics_sample(out, "sluice_build", "_info", build, 1);
	if (page->start_ns > 0) {
		metrics_family(out, f, "process_start_time_seconds", METRIC_GAUGE, "seconds",
			       "Unix time at which the process started.");
		page_decimal(out, "process_start_time_seconds", "", NULL, page->start_ns, 9);
	}
	for (size_t i = 0; i < metric_row_count; i++)
		page_row(out, f, &metric_rows[i], sum);
	metrics_free(sum);
	page_log(out, f);
	if (page->process)
		page_process(out, page);
	if (page->users)
		page_users(out, page);
	if (page->extra)
		page->extra(page->extra_ctx, out, f);
	if (f == METRICS_OPENMETRICS)
		text_str(out, "# EOF\n");
	return out->failed ? -ENOMEM : 0;
}

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

static bool ascii_has(const char *s, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++) {
		if (strncasecmp(s + i, word, n) == 0)
			return true;
	}
	return false;
}

// A media range's q in thousandths (RFC 9110, 12.4.2); a malformed one counts as 0.
static unsigned accept_quality(const char *s, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++) {
		if (s[i] != ';')
			continue;
		size_t at = i + 1;
		while (at < len && (s[at] == ' ' || s[at] == '\t'))
			at++;
		if (at + 2 >= len || (s[at] | 0x20) != 'q' || s[at + 1] != '=')
			continue;
		at += 2;
		if (s[at] == '1')
			return 1000;
		unsigned q = 0;
		unsigned scale = 100;
		if (s[at] != '0' || at + 1 >= len || s[at + 1] != '.')
			return 0;
		for (at += 2; at < len && s[at] >= '0' && s[at] <= '9' && scale; at++) {
			q += (unsigned)(s[at] - '0') * scale;
			scale /= 10;
		}
		return q;
	}
	return 1000;
}

enum metrics_format metrics_negotiate(const char *accept, size_t len)
{
	unsigned open = 0;
	unsigned plain = 0;

	for (size_t at = 0; accept && at < len;) {
		const char *part = accept + at;
		const char *comma = memchr(part, ',', len - at);
		size_t n = comma ? (size_t)(comma - part) : len - at;
		unsigned q = accept_quality(part, n);
		if (ascii_has(part, n, "application/openmetrics-text")) {
			if (q > open)
				open = q;
		} else if (ascii_has(part, n, "text/plain") && q > plain) {
			plain = q;
		}
		at += n + 1;
	}
	return open > 0 && open >= plain ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}
