// SPDX-License-Identifier: Apache-2.0
// Typed fields to text or JSON.
#include "obs/log_line.h"

#include "base/addr.h"

#include <errno.h>
#include <string.h>

// Kept free for what closes a line: truncated=true, the brace and the newline.
enum { LOG_LINE_TAIL = 32 };

static void two_digits(char *at, unsigned v)
{
	at[0] = (char)('0' + v / 10 % 10);
	at[1] = (char)('0' + v % 10);
}

// gmtime_r(3) takes a lock that all threads share, so the calendar is ours (days from a March era).
void log_time(struct text *t, int64_t wall)
{
	int64_t seconds = wall / 1000000000;
	int64_t nanos = wall % 1000000000;
	if (nanos < 0) {
		nanos += 1000000000;
		seconds--;
	}
	int64_t days = seconds / 86400;
	int64_t second = seconds % 86400;
	if (second < 0) {
		second += 86400;
		days--;
	}
	days += 719468; // from 0000-03-01
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	unsigned day_of_era = (unsigned)(days - era * 146097);
	unsigned year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month_from_march = (5 * day_of_year + 2) / 153;
	unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	unsigned year = (unsigned)((int64_t)year_of_era + era * 400) + (month <= 2);

	char out[] = "0000-00-00T00:00:00.000000Z";
	two_digits(out, year / 100);
	two_digits(out + 2, year);
	two_digits(out + 5, month);
	two_digits(out + 8, day);
	two_digits(out + 11, (unsigned)(second / 3600));
	two_digits(out + 14, (unsigned)(second / 60 % 60));
	two_digits(out + 17, (unsigned)(second % 60));
	unsigned micros = (unsigned)(nanos / 1000);
	two_digits(out + 20, micros / 10000);
	two_digits(out + 22, micros / 100);
	two_digits(out + 24, micros);
	text_bytes(t, out, sizeof out - 1);
}

void log_line_open(struct log_line *line, char *buf, size_t cap, enum log_format format,
		   int64_t wall)
{
	*line = (struct log_line){.format = format};
	text_init_fixed(&line->text, buf, cap - LOG_LINE_TAIL);
	if (format == LOG_FORMAT_JSON)
		text_str(&line->text, "{\"time\":\"");
	log_time(&line->text, wall);
	if (format == LOG_FORMAT_JSON)
		text_char(&line->text, '"');
}

void log_line_head(struct log_line *line, enum log_level level, enum log_module module,
		   const char *message)
{
	struct text *t = &line->text;

	if (line->format == LOG_FORMAT_JSON) {
		const struct log_field head[] = {LOG_STR("level", log_level_name(level)),
						 LOG_STR("module", log_module_name(module)),
						 LOG_STR("message", message)};
		for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
			log_line_field(line, &head[i]);
		return;
	}
	size_t mark = t->len;
	text_char(t, ' ');
	text_str(t, log_level_name(level));
	text_char(t, ' ');
	text_str(t, log_module_name(module));
	text_str(t, ": ");
	text_quoted(t, message, strlen(message), LOG_VALUE_MAX);
	if (t->failed) {
		text_truncate(t, mark);
		line->truncated = true;
	}
}

static void line_key(struct log_line *line, const char *key, const char *suffix)
{
	struct text *t = &line->text;

	if (line->format == LOG_FORMAT_JSON) {
		text_str(t, ",\"");
		text_str(t, key);
		text_str(t, suffix);
		text_str(t, "\":");
	} else {
		text_char(t, ' ');
		text_str(t, key);
		text_str(t, suffix);
		text_char(t, '=');
	}
}

static void line_string(struct log_line *line, const char *s, size_t len)
{
	if (line->format == LOG_FORMAT_JSON) {
		text_char(&line->text, '"');
		text_json(&line->text, s, len, LOG_VALUE_MAX);
		text_char(&line->text, '"');
	} else {
		text_value(&line->text, s, len, LOG_VALUE_MAX);
	}
}

static void line_hex(struct log_line *line, const struct log_field *field)
{
	size_t n = field->len > LOG_VALUE_MAX / 2 ? LOG_VALUE_MAX / 2 : field->len;

	text_char(&line->text, '"');
	for (size_t i = 0; i < n; i++)
		text_hex(&line->text, (unsigned char)field->s[i], 2);
	if (n < field->len)
		text_str(&line->text, "...");
	text_char(&line->text, '"');
}

static void line_errno(struct log_line *line, const struct log_field *field)
{
	int64_t e = field->i < 0 ? -field->i : field->i;
	const char *text = e <= INT32_MAX ? strerrordesc_np((int)e) : NULL;
	const char *name = e <= INT32_MAX ? strerrorname_np((int)e) : NULL;

	if (!text)
		text = "unknown error";
	line_string(line, text, strlen(text));
	line_key(line, field->key, "_code");
	if (name)
		line_string(line, name, strlen(name));
	else
		text_int(&line->text, e);
}

// JSON readers often have signed integers of 64 bits at most.
static void line_uint(struct log_line *line, uint64_t v)
{
	bool quote = line->format == LOG_FORMAT_JSON && v > INT64_MAX;

	if (quote)
		text_char(&line->text, '"');
	text_uint(&line->text, v);
	if (quote)
		text_char(&line->text, '"');
}

static void line_value(struct log_line *line, const struct log_field *field)
{
	struct text *t = &line->text;
	bool json = line->format == LOG_FORMAT_JSON;
	char endpoint[ENDPOINT_STRLEN];

	switch (field->type) {
	case LOG_TYPE_STRING:
		line_string(line, field->s, field->len == SIZE_MAX ? strlen(field->s) : field->len);
		break;
	case LOG_TYPE_HEX:
		line_hex(line, field);
		break;
	case LOG_TYPE_INT:
		text_int(t, field->i);
		break;
	case LOG_TYPE_UINT:
		line_uint(line, field->u);
		break;
	case LOG_TYPE_ID:
		if (json)
			text_char(t, '"');
		text_hex(t, field->u, 16);
		if (json)
			text_char(t, '"');
		break;
	case LOG_TYPE_BOOL:
		text_str(t, field->u ? "true" : "false");
		break;
	case LOG_TYPE_SECONDS:
		text_decimal(t, field->u, 9);
		break;
	case LOG_TYPE_ERRNO:
		line_errno(line, field);
		break;
	case LOG_TYPE_ENDPOINT:
		line_string(line, endpoint, endpoint_format(field->endpoint, endpoint));
		break;
	case LOG_TYPE_END:
		break;
	}
}

void log_line_field(struct log_line *line, const struct log_field *field)
{
	struct text *t = &line->text;
	size_t mark = t->len;

	if (field->type == LOG_TYPE_END)
		return;
	// Absent pointers are left out rather than shown as empty.
	if ((field->type == LOG_TYPE_STRING || field->type == LOG_TYPE_HEX) && !field->s)
		return;
	if (field->type == LOG_TYPE_ENDPOINT && !field->endpoint)
		return;
	line_key(line, field->key, "");
	line_value(line, field);
	if (t->failed) {
		text_truncate(t, mark);
		line->truncated = true;
	}
}

size_t log_line_close(struct log_line *line)
{
	struct text *t = &line->text;

	t->cap += LOG_LINE_TAIL;
	if (line->truncated) {
		const struct log_field truncated = LOG_BOOL("truncated", true);
		log_line_field(line, &truncated);
	}
	text_str(t, line->format == LOG_FORMAT_JSON ? "}\n" : "\n");
	return t->len;
}
