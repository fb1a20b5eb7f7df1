// SPDX-License-Identifier: Apache-2.0
// Flight recorder events and abnormal closes as JSON.
#include "obs/flight.h"

#include "obs/log_line.h"
#include "obs/metrics.h"
#include "obs/text.h"

#include <string.h>

enum arg_kind {
	ARG_NONE,
	ARG_NUMBER,
	ARG_ERRNO,
	ARG_MICROS,
	ARG_KIB,
	ARG_STATE,
	ARG_CLOSE,
	ARG_PROTOCOL,
	ARG_DIRECTION,
	ARG_MOVER,
	ARG_AUTH,
	ARG_DENIAL,
};

static const struct {
	const char *name;
	struct {
		enum arg_kind kind;
		const char *key;
	} args[2];
} codes[EVENT_COUNT] = {
#define EVENT(id, text, a_kind, a_key, b_kind, b_key, help)                                        \
	[EVENT_##id] = {.name = text, .args = {{ARG_##a_kind, a_key}, {ARG_##b_kind, b_key}}},
#include "obs/events.def"
#undef EVENT
};

const char *flight_code_name(unsigned code)
{
	return code < EVENT_COUNT ? codes[code].name : "invalid";
}

static void json_string(struct text *out, const char *s)
{
	text_char(out, '"');
	text_json(out, s, strlen(s), TEXT_ESCAPE_MAX);
	text_char(out, '"');
}

static void json_key(struct text *out, const char *key)
{
	text_str(out, ",\"");
	text_str(out, key);
	text_str(out, "\":");
}

static void json_uint(struct text *out, const char *key, uint64_t v)
{
	json_key(out, key);
	text_uint(out, v);
}

static void json_named(struct text *out, const char *key, const char *name)
{
	json_key(out, key);
	json_string(out, name);
}

static void arg_json(struct text *out, const struct flight_view *view, enum arg_kind kind,
		     const char *key, uint32_t v)
{
	const char *name;

	switch (kind) {
	case ARG_NONE:
		return;
	case ARG_ERRNO:
		if (v == 0)
			return;
		name = v <= INT32_MAX ? strerrorname_np((int)v) : NULL;
		if (name) {
			json_named(out, key, name);
			return;
		}
		break;
	case ARG_MICROS:
		text_str(out, ",\"");
		text_str(out, key);
		text_str(out, "_us\":");
		text_uint(out, v);
		return;
	case ARG_KIB:
		json_key(out, key);
		text_uint(out, (uint64_t)v * 1024);
		return;
	case ARG_STATE:
		if (view->state_name) {
			json_named(out, key, view->state_name(v));
			return;
		}
		break;
	case ARG_CLOSE:
		json_named(out, key, close_reason_name((enum close_reason)v));
		return;
	case ARG_PROTOCOL:
		json_named(out, key, metric_protocol_name(v));
		return;
	case ARG_DIRECTION:
		json_named(out, key, metric_direction_name(v));
		return;
	case ARG_MOVER:
		json_named(out, key, metric_mover_name(v));
		return;
	case ARG_AUTH:
		json_named(out, key, metric_auth_name(v));
		return;
	case ARG_DENIAL:
		json_named(out, key, metric_denial_name(v));
		return;
	case ARG_NUMBER:
		break;
	}
	json_uint(out, key, v);
}

void flight_events_json(struct text *out, const struct flight_view *view,
			const struct flight_event *events, size_t count)
{
	text_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		const struct flight_event *e = &events[i];
		if (i > 0)
			text_char(out, ',');
		text_str(out, "{\"time\":\"");
		log_time(out, (int64_t)e->time + view->wall_offset);
		text_char(out, '"');
		json_uint(out, "at_us", (e->time - events[0].time) / 1000);
		json_named(out, "event", flight_code_name(e->code));
		if (e->code < EVENT_COUNT) {
			arg_json(out, view, codes[e->code].args[0].kind, codes[e->code].args[0].key,
				 e->a);
			arg_json(out, view, codes[e->code].args[1].kind, codes[e->code].args[1].key,
				 e->b);
		}
		text_char(out, '}');
	}
	text_char(out, ']');
}

void flight_closed_json(struct text *out, const struct flight_view *view,
			const struct flight_closed *closed)
{
	const struct flight_summary *s = &closed->summary;
	char endpoint[ENDPOINT_STRLEN];
	size_t events = s->events < FLIGHT_CLOSE_EVENTS ? s->events : FLIGHT_CLOSE_EVENTS;

	text_str(out, "{\"session\":\"");
	text_hex(out, s->session, 16);
	text_str(out, "\",\"opened\":\"");
	log_time(out, (int64_t)s->opened + view->wall_offset);
	text_str(out, "\",\"closed\":\"");
	log_time(out, (int64_t)s->closed + view->wall_offset);
	text_char(out, '"');
	json_uint(out, "duration_us", (s->closed - s->opened) / 1000);
	json_named(out, "protocol", metric_protocol_name(s->protocol));
	json_named(out, "reason", close_reason_name(s->reason));
	json_named(out, "class", close_class_name(close_reason_class(s->reason)));
	endpoint_format(&s->client, endpoint);
	json_named(out, "client", endpoint);
	if (s->user[0])
		json_named(out, "user", s->user);
	if (s->host[0])
		json_named(out, "host", s->host);
	if (s->port)
		json_uint(out, "port", s->port);
	if (endpoint_is_set(&s->address)) {
		endpoint_format(&s->address, endpoint);
		json_named(out, "address", endpoint);
	}
	json_uint(out, "bytes_up", s->bytes_up);
	json_uint(out, "bytes_down", s->bytes_down);
	json_key(out, "events");
	flight_events_json(out, view, closed->events, events);
	text_char(out, '}');
}
