// SPDX-License-Identifier: Apache-2.0
// Tests of metrics: cells, sums, and the page checked line by line against the text formats' rules.
#include "obs/metrics.h"

#include "obs/metric_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"

static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

static void rows_keep_the_naming_rules(void **state)
{
	for (size_t i = 0; i < metric_row_count; i++) {
		const struct metric_row *row = &metric_rows[i];
		size_t len = strlen(row->family);
		assert_int_equal(strspn(row->family, name_chars), len);
		assert_memory_equal(row->family, "sluice_", 7);
		assert_null(strstr(row->family, "_total"));
		assert_true(row->help[strlen(row->help) - 1] == '.');
		if (*row->unit) {
			assert_true(len > strlen(row->unit) + 1);
			assert_string_equal(row->family + len - strlen(row->unit), row->unit);
			assert_int_equal(row->family[len - strlen(row->unit) - 1], '_');
		}
		if (row->kind == METRIC_KIND_HISTOGRAM || row->kind == METRIC_KIND_COUNTER_NS)
			assert_string_equal(row->unit, "seconds");
		size_t cells =
			row->size / (row->kind == METRIC_KIND_HISTOGRAM ? sizeof(struct hist) : 8);
		for (size_t d = 0; d < METRIC_LABELS_MAX && row->labels[d]; d++) {
			assert_int_equal(cells % row->labels[d]->count, 0);
			cells /= row->labels[d]->count;
			for (size_t e = 0; e < d; e++)
				assert_string_not_equal(row->labels[e]->name, row->labels[d]->name);
		}
		assert_int_equal(cells, 1);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(metric_rows[k].family, row->family);
	}
}

static void names_of_label_values(void **state)
{
	assert_string_equal(metric_protocol_name(METRIC_PROTOCOL_SOCKS5), "socks5");
	assert_string_equal(metric_mover_name(METRIC_MOVER_SPLICE), "splice");
	assert_string_equal(metric_direction_name(METRIC_DIRECTION_COUNT), "invalid");
	assert_int_equal(metric_denial_of(CLOSE_ACL_DENIED), METRIC_DENIAL_ACL);
	assert_int_equal(metric_denial_of(CLOSE_CLIENT_EOF), METRIC_DENIAL_COUNT);
	for (int i = 0; i < CLOSE_REASON_COUNT; i++)
		assert_true(metric_denial_of(i) <= METRIC_DENIAL_COUNT);
}

// ---- A checker of the two text formats.

struct checker {
	bool open;
	char family[128];
	char type[16];
	char seen_families[200][128];
	size_t family_count;
	char last_labels[512]; // without le
	double last_bucket;
	uint64_t last_le_count;
	size_t samples;
};

static void check_head(struct checker *c, const char *line)
{
	char word[8], family[128];
	int used;

	assert_int_equal(sscanf(line, "# %7s %127s %n", word, family, &used), 2);
	if (strcmp(word, "HELP") == 0) {
		for (size_t i = 0; i < c->family_count; i++)
			assert_string_not_equal(c->seen_families[i], family);
		assert_true(c->family_count < 200);
		strcpy(c->seen_families[c->family_count++], family);
		strcpy(c->family, family);
		c->type[0] = '\0';
		strcpy(c->last_labels, "-");
		assert_true(line[used] != '\0');
		return;
	}
	assert_string_equal(family, c->family);
	if (strcmp(word, "TYPE") == 0) {
		assert_string_equal(c->type, "");
		assert_true(strlen(line + used) < sizeof c->type);
		strcpy(c->type, line + used);
		return;
	}
	assert_true(c->open);
	assert_string_equal(word, "UNIT");
	size_t len = strlen(family), n = strlen(line + used);
	assert_true(n > 0 && n < len && family[len - n - 1] == '_');
	assert_string_equal(family + len - n, line + used);
}

// Takes the label section apart; gives le's value (or -1), leaves the rest in `labels`.
static const char *check_labels(const char *at, char labels[512], double *ret_le)
{
	size_t out = 0;

	labels[0] = '\0';
	*ret_le = -1;
	if (*at != '{')
		return at;
	at++;
	for (;;) {
		size_t n = strspn(at, name_chars);
		assert_true(n > 0);
		assert_memory_equal(at + n, "=\"", 2);
		bool le = n == 2 && memcmp(at, "le", 2) == 0;
		const char *value = at + n + 2;
		const char *end = value;
		while (*end != '"') {
			assert_true(*end != '\0' && (unsigned char)*end >= 0x20);
			if (*end == '\\') {
				end++;
				assert_non_null(strchr("\\\"n", *end));
			}
			end++;
		}
		if (le) {
			*ret_le = memcmp(value, "+Inf", 4) == 0 ? 1e300 : strtod(value, NULL);
		} else {
			assert_true(out + (size_t)(end + 1 - at) < 511);
			memcpy(labels + out, at, (size_t)(end + 1 - at));
			out += (size_t)(end + 1 - at);
			labels[out] = '\0';
		}
		at = end + 1;
		if (*at == '}')
			return at + 1;
		assert_int_equal(*at, ',');
		at++;
	}
}

static void check_suffix(struct checker *c, const char *suffix)
{
	if (strcmp(c->type, "histogram") == 0)
		assert_true(!strcmp(suffix, "_bucket") || !strcmp(suffix, "_sum") ||
			    !strcmp(suffix, "_count"));
	else if (c->open && strcmp(c->type, "counter") == 0)
		assert_string_equal(suffix, "_total");
	else if (c->open && strcmp(c->type, "info") == 0)
		assert_string_equal(suffix, "_info");
	else
		assert_string_equal(suffix, "");
	if (!c->open && strcmp(c->type, "counter") == 0)
		assert_string_equal(c->family + strlen(c->family) - 6, "_total");
}

static void check_sample(struct checker *c, const char *line)
{
	char name[128], labels[512], suffix[128];
	size_t n = strspn(line, name_chars);
	double le;
	char *end;

	assert_true(n > 0 && n < sizeof name);
	memcpy(name, line, n);
	name[n] = '\0';
	size_t f = strlen(c->family);
	assert_true(n >= f && memcmp(name, c->family, f) == 0);
	strcpy(suffix, name + f);
	check_suffix(c, suffix);
	const char *at = check_labels(line + n, labels, &le);
	assert_int_equal(*at, ' ');
	double value = strtod(at + 1, &end);
	assert_int_equal(*end, '\0');
	if (strcmp(suffix, "_bucket") == 0) {
		if (strcmp(labels, c->last_labels) != 0 || c->last_bucket > le) {
			strcpy(c->last_labels, labels);
			c->last_le_count = 0;
		}
		assert_true(le > 0);
		assert_true((uint64_t)value >= c->last_le_count);
		c->last_le_count = (uint64_t)value;
		c->last_bucket = le;
	} else if (strcmp(suffix, "_count") == 0) {
		assert_string_equal(labels, c->last_labels);
		assert_true(c->last_bucket > 1e299);
		assert_int_equal((uint64_t)value, c->last_le_count);
		c->last_bucket = 0;
		strcpy(c->last_labels, "-");
	}
	c->samples++;
}

static size_t check_page(const char *page, size_t len, bool open)
{
	static struct checker c;
	const char *at = page, *end = page + len;
	char line[1024];

	memset(&c, 0, sizeof c);
	c.open = open;
	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		assert_non_null(eol);
		assert_true((size_t)(eol - at) < sizeof line);
		memcpy(line, at, (size_t)(eol - at));
		line[eol - at] = '\0';
		at = eol + 1;
		if (strcmp(line, "# EOF") == 0) {
			assert_true(open);
			assert_ptr_equal(at, end);
			return c.samples;
		}
		if (line[0] == '#')
			check_head(&c, line);
		else
			check_sample(&c, line);
	}
	assert_false(open);
	return c.samples;
}

static bool two_users(void *ctx, size_t i, struct metrics_user *ret)
{
	static const char hostile[] = "bob\"} 1\nfake_metric 7 \\ \xc3\xa4\xff\x1b";

	if (i > 1)
		return false;
	*ret = (struct metrics_user){.name = i ? hostile : "alice",
				     .name_len = i ? sizeof hostile - 1 : 5,
				     .bytes_up = 10 + i,
				     .bytes_down = 20 + i,
				     .connections_live = i};
	return true;
}

static void extra(void *ctx, struct text *out, enum metrics_format format)
{
	const char *labels[] = {"target", "a\"b\\c\nd", NULL};

	metrics_family(out, format, "sluice_target_up", METRIC_GAUGE, "", "A \\ in\nthe help.");
	metrics_sample(out, "sluice_target_up", "", labels, 1);
}

static bool has(const struct text *t, const char *line)
{
	return memmem(t->data, t->len, line, strlen(line)) != NULL;
}

static void write_page(struct text *out, enum metrics_format format,
		       const struct metrics *const *parts, size_t n, size_t users_max)
{
	const struct metrics_page page = {.format = format,
					  .parts = parts,
					  .part_count = n,
					  .version = "1.2.3",
					  .start_ns = INT64_C(1700000000500000000),
					  .process = true,
					  .users = two_users,
					  .users_max = users_max,
					  .extra = extra};

	text_init(out, 0);
	assert_int_equal(metrics_write(out, &page), 0);
}

static void a_page_sums_all_parts(void **state)
{
	struct metrics *a = metrics_new(), *b = metrics_new();
	const struct metrics *parts[] = {a, b};
	struct text t;

	assert_non_null(a);
	assert_non_null(b);
	metric_inc(&a->connections_accepted);
	metric_add(&b->connections_accepted, 41);
	metric_gauge_add(&a->connections_live[METRIC_PROTOCOL_HTTP], 3);
	metric_gauge_add(&b->connections_live[METRIC_PROTOCOL_HTTP], -2);
	metric_gauge_add(&b->connections_live[METRIC_PROTOCOL_TLS], -2);
	metric_add(&a->relay_bytes[METRIC_PROTOCOL_CONNECT][METRIC_DIRECTION_DOWN]
				  [METRIC_MOVER_SPLICE],
		   UINT64_C(5000000000));
	metric_inc(&a->http_responses[METRIC_STATUS_5XX][METRIC_SOURCE_UPSTREAM]);
	metric_inc(&a->connections_closed[CLOSE_ACL_DENIED]);
	metric_add(&a->loop_busy, 1500000000);
	hist_record(&a->connect_duration, 100000);
	hist_record(&b->connect_duration, 1000000);
	hist_record(&b->first_byte[METRIC_PROTOCOL_TCP], 70000000000000);
	metric_gauge_set(&b->snapshot_revision, 7);

	write_page(&t, METRICS_OPENMETRICS, parts, 2, 0);
	size_t open_samples = check_page(t.data, t.len, true);
	static const char *const lines[] = {
		"# TYPE sluice_connections_accepted counter\n",
		"\nsluice_connections_accepted_total 42\n",
		"\nsluice_connections_live{protocol=\"http\"} 1\n",
		"\nsluice_connections_live{protocol=\"tls\"} -2\n",
		"# UNIT sluice_relay_bytes bytes\n",
		"direction=\"down\",mover=\"splice\"} 5000000000\n",
		"\nsluice_http_responses_total{class=\"5xx\",source=\"upstream\"} 1\n",
		"\nsluice_http_responses_total{class=\"5xx\",source=\"proxy\"} 0\n",
		"\nsluice_connections_closed_total{reason=\"acl_denied\"} 1\n",
		"\nsluice_loop_busy_seconds_total 1.5\n",
		"\nsluice_connect_duration_seconds_bucket{le=\"0.000064\"} 0\n",
		"\nsluice_connect_duration_seconds_bucket{le=\"0.000128\"} 1\n",
		"\nsluice_connect_duration_seconds_bucket{le=\"0.001024\"} 2\n",
		"\nsluice_connect_duration_seconds_sum 0.0011\n",
		"\nsluice_connect_duration_seconds_count 2\n",
		"\nsluice_first_byte_seconds_bucket{protocol=\"tcp\",le=\"67.108864\"} 0\n",
		"\nsluice_first_byte_seconds_bucket{protocol=\"tcp\",le=\"+Inf\"} 1\n",
		"\nsluice_snapshot_revision 7\n",
		"\nsluice_build_info{version=\"1.2.3\",",
		"\nprocess_start_time_seconds 1700000000.5\n",
		"\nsluice_user_bytes_total{user=\"alice\",direction=\"up\"} 10\n",
		"7 \\\\ \xc3\xa4\\\\xff\\\\x1b\"} 1\n", // bytes that are no UTF-8
		"\nsluice_target_up{target=\"a\\\"b\\\\c\\nd\"} 1\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		if (!has(&t, lines[i]))
			fail_msg("missing: %s", lines[i]);
	}
	assert_false(has(&t, "\nfake_metric"));
	text_release(&t);

	write_page(&t, METRICS_PROMETHEUS, parts, 2, 0);
	assert_int_equal(check_page(t.data, t.len, false), open_samples);
	assert_true(has(&t, "# TYPE sluice_connections_accepted_total counter\n"));
	assert_true(has(&t, "# TYPE sluice_build_info gauge\n"));
	assert_true(has(&t, "\nsluice_connections_accepted_total 42\n"));
	text_release(&t);

	write_page(&t, METRICS_OPENMETRICS, parts, 2, 1);
	assert_true(has(&t, "user=\"alice\""));
	assert_false(has(&t, "user=\"bob"));
	text_release(&t);
	metrics_free(a);
	metrics_free(b);
}

static void process_figures_are_real(void **state)
{
	struct text t;

	write_page(&t, METRICS_OPENMETRICS, NULL, 0, 0);
	text_char(&t, '\0');
	const char *at = strstr(t.data, "\nprocess_resident_memory_bytes ");
	assert_non_null(at);
	assert_true(strtoull(at + 31, NULL, 10) > 100000);
	at = strstr(t.data, "\nprocess_open_fds ");
	assert_true(strtoull(at + 18, NULL, 10) >= 3 && strtoull(at + 18, NULL, 10) < 1000);
	at = strstr(t.data, "\nprocess_threads ");
	assert_true(strtoull(at + 17, NULL, 10) >= 1);
	at = strstr(t.data, "\nprocess_cpu_seconds_total ");
	assert_true(strtod(at + 27, NULL) > 0);
	text_release(&t);
}

static void a_page_that_is_too_large_fails(void **state)
{
	struct text t;
	const struct metrics_page page = {.format = METRICS_OPENMETRICS};

	text_init(&t, 5000);
	assert_int_equal(metrics_write(&t, &page), -ENOMEM);
	assert_true(t.len <= 5000);
	text_release(&t);
}

static void without_memory_there_is_no_page(void **state)
{
	const struct metrics_page page = {.format = METRICS_OPENMETRICS};

	for (long n = 1, hit = 1; hit; n++) {
		struct text t;
		text_init(&t, 0);
		alloc_fail_at(n);
		int r = metrics_write(&t, &page);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		text_release(&t);
	}
}

static void the_format_follows_accept(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format want;
	} cases[] = {
		{NULL, METRICS_PROMETHEUS},
		{"", METRICS_PROMETHEUS},
		{"*/*", METRICS_PROMETHEUS},
		{"text/plain", METRICS_PROMETHEUS},
		{"application/openmetrics-text", METRICS_OPENMETRICS},
		{"application/openmetrics-text;version=1.0.0;q=0.5,application/"
		 "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		 METRICS_OPENMETRICS},
		{"application/openmetrics-text; q=0.1, text/plain; q=0.9", METRICS_PROMETHEUS},
		{"Application/OpenMetrics-Text ; Q=1.0 , text/plain;q=1", METRICS_OPENMETRICS},
		{"application/openmetrics-text;q=0", METRICS_PROMETHEUS},
		{"application/openmetrics-text;q=0.000", METRICS_PROMETHEUS},
		{"application/openmetrics-text;q=", METRICS_OPENMETRICS},
		{"application/openmetrics-text;q=x", METRICS_PROMETHEUS},
		{",,;q,application/openmetrics-text;", METRICS_OPENMETRICS},
		{"text/html,application/xhtml+xml,*/*;q=0.8", METRICS_PROMETHEUS},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *accept = cases[i].accept;
		if (metrics_negotiate(accept, accept ? strlen(accept) : 0) != cases[i].want)
			fail_msg("%s", accept ? accept : "NULL");
	}
	assert_string_equal(metrics_content_type(METRICS_OPENMETRICS),
			    "application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_string_equal(metrics_content_type(METRICS_PROMETHEUS),
			    "text/plain; version=0.0.4; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_keep_the_naming_rules),
		cmocka_unit_test(names_of_label_values),
		cmocka_unit_test(a_page_sums_all_parts),
		cmocka_unit_test(process_figures_are_real),
		cmocka_unit_test(a_page_that_is_too_large_fails),
		cmocka_unit_test(without_memory_there_is_no_page),
		cmocka_unit_test(the_format_follows_accept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
