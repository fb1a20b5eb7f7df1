// SPDX-License-Identifier: Apache-2.0
// Access records to lines.
#include "obs/access.h"

#include "obs/log_line.h"
#include "obs/log_thread.h"
#include "obs/metrics.h"

bool access_wants(void)
{
	return atomic_load_explicit(&log_access_atomic, memory_order_relaxed);
}

static void access_text(struct log_line *line, const char *key, struct slice value)
{
	const struct log_field field = LOG_SLICE(key, value);

	if (value.len > 0)
		log_line_field(line, &field);
}

static void access_micros(struct log_line *line, const char *key, uint64_t ns)
{
	const struct log_field field = LOG_UINT(key, ns / 1000);

	if (ns != ACCESS_NONE)
		log_line_field(line, &field);
}

static void access_field(struct log_line *line, struct log_field field)
{
	log_line_field(line, &field);
}

void access_write(const struct access_record *r)
{
	char buf[LOG_LINE_MAX];
	struct log_line line;

	if (!access_wants())
		return;
	log_line_open(&line, buf, sizeof buf, atomic_load(&log_formats_atomic[LOG_OUTPUT_ACCESS]),
		      r->wall);
	// What has a fixed size goes first: long peers' strings can then never push it out.
	access_field(&line, LOG_ID("session", r->session));
	if (r->request)
		access_field(&line, LOG_UINT("request", r->request));
	access_field(&line, LOG_ENDPOINT("client", r->client));
	access_field(&line, LOG_STR("protocol", metric_protocol_name(r->protocol)));
	if (r->has_status)
		access_field(&line, LOG_UINT("status", r->status));
	access_field(&line, LOG_STR("reason", close_reason_name(r->reason)));
	access_field(&line, LOG_UINT("bytes_up", r->bytes_up));
	access_field(&line, LOG_UINT("bytes_down", r->bytes_down));
	access_field(&line, LOG_UINT("bytes_spliced", r->bytes_spliced));
	access_field(&line, LOG_UINT("bytes_copied", r->bytes_copied));
	access_micros(&line, "queue_us", r->queue);
	access_micros(&line, "auth_us", r->auth);
	access_micros(&line, "resolve_us", r->resolve);
	access_micros(&line, "connect_us", r->connect);
	access_micros(&line, "first_byte_us", r->first_byte);
	access_micros(&line, "total_us", r->total);
	access_field(&line, LOG_ENDPOINT("address", r->address));
	if (r->port)
		access_field(&line, LOG_UINT("port", r->port));
	access_text(&line, "user", r->user);
	access_text(&line, "method", r->method);
	access_text(&line, "host", r->host);
	access_text(&line, "listener", r->listener);
	access_text(&line, "route", r->route);
	access_text(&line, "parent", r->parent);
	access_text(&line, "rule", r->rule);
	access_text(&line, "path", r->path);
	size_t len = log_line_close(&line);
	log_emit(LOG_OUTPUT_ACCESS, LOG_LEVEL_INFO, line.text.data, len);
}
