// SPDX-License-Identifier: Apache-2.0
// Peers' bytes in log lines, access lines, labels and JSON: always one line, printable, and parseable.
#include "base/addr.h"
#include "fuzz_target.h"
#include "obs/flight.h"
#include "obs/log_line.h"
#include "obs/metrics.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

// A text line is printable ASCII; a JSON line may hold UTF-8 but no control byte.
static void check_line(const char *line, size_t len, enum log_format format)
{
	REQUIRE(len > 0 && line[len - 1] == '\n');
	for (size_t i = 0; i + 1 < len; i++) {
		unsigned char c = (unsigned char)line[i];
		REQUIRE(c >= 0x20 && c != 0x7f);
		REQUIRE(format == LOG_FORMAT_JSON || c < 0x7f);
	}
}

static json_t *parse(const char *data, size_t len)
{
	json_t *o = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	REQUIRE(o);
	return o;
}

// After the known head only key=value may follow, where every quote is closed: nothing that a peer
// wrote is taken for a further field.
static void check_text(const char *line, size_t len, size_t fields, bool truncated)
{
	const char *at = memchr(line, ':', len); // in the time; the message's comes after it
	bool quoted = false;
	size_t found = 0;

	at = strstr(at, ": message");
	REQUIRE(at);
	for (at += 9; *at != '\n'; at++) {
		if (quoted && *at == '\\')
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == ' ')
			found++;
	}
	REQUIRE(!quoted);
	REQUIRE(truncated ? found <= fields + 1 : found == fields);
}

static void log_a_line(const uint8_t *data, size_t size, size_t cap, enum log_format format)
{
	char buf[LOG_LINE_MAX + 1];
	struct log_line line;
	const char *s = (const char *)data;
	const size_t third = size / 3;
	const struct log_field fields[] = {
		LOG_STRN("first", s, third),
		LOG_STRN("second", s + third, third),
		LOG_HEX("third", s + 2 * third, size - 2 * third),
		LOG_STRN("all", s, size),
		LOG_INT("size", (int64_t)size),
	};
	int64_t wall = 0;

	memcpy(&wall, data, size < sizeof wall ? size : sizeof wall);
	log_line_open(&line, buf, cap, format, wall);
	log_line_head(&line, LOG_LEVEL_INFO, LOG_HTTP, "message");
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		log_line_field(&line, &fields[i]);
	size_t len = log_line_close(&line);
	REQUIRE(len <= cap);
	buf[len] = '\0';
	check_line(buf, len, format);
	if (format == LOG_FORMAT_TEXT) {
		check_text(buf, len, sizeof fields / sizeof fields[0], line.truncated);
		return;
	}
	json_t *o = parse(buf, len);
	if (!line.truncated)
		REQUIRE(json_integer_value(json_object_get(o, "size")) == (json_int_t)size);
	json_decref(o);
}

static void show_a_close(const uint8_t *data, size_t size)
{
	struct flight_closed closed = {.summary = {.events = 2}};
	struct flight_view view = {.wall_offset = 0};
	struct text t;

	memcpy(closed.summary.user, data, size < 31 ? size : 31);
	memcpy(closed.summary.host, data, size < 95 ? size : 95);
	memcpy(closed.events, data, size < 32 ? size : 32);
	closed.summary.reason = size ? data[0] : 0;
	closed.summary.protocol = size ? data[0] : 0;
	text_init(&t, 0);
	flight_closed_json(&t, &view, &closed);
	REQUIRE(!t.failed);
	json_decref(parse(t.data, t.len));
	text_release(&t);
}

static void label_a_sample(const uint8_t *data, size_t size)
{
	char value[400];
	struct text t;
	const char *labels[] = {"l", value, NULL};

	size = size < sizeof value - 1 ? size : sizeof value - 1;
	memcpy(value, data, size);
	value[size] = '\0';
	text_init(&t, 0);
	metrics_sample(&t, "f", "", labels, 7);
	REQUIRE(!t.failed && t.len > 8 && memchr(t.data, '\n', t.len) == t.data + t.len - 1);
	REQUIRE(memcmp(t.data + t.len - 5, "\"} 7\n", 5) == 0);
	bool quoted = false;
	for (size_t i = 0; i + 5 < t.len; i++) {
		if (quoted && t.data[i] == '\\')
			i++;
		else if (t.data[i] == '"')
			quoted = !quoted;
	}
	REQUIRE(quoted);
	text_release(&t);
	metrics_negotiate((const char *)data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	// The first byte chooses how much room the line has.
	size_t cap = LOG_LINE_MIN + (size_t)data[0] * 16;
	if (cap > LOG_LINE_MAX)
		cap = LOG_LINE_MAX;
	log_a_line(data + 1, size - 1, cap, LOG_FORMAT_TEXT);
	log_a_line(data + 1, size - 1, cap, LOG_FORMAT_JSON);
	show_a_close(data + 1, size - 1);
	label_a_sample(data + 1, size - 1);
	return 0;
}
