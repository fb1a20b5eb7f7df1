// SPDX-License-Identifier: Apache-2.0
// Makes one log line of typed fields, as text or JSON, in a buffer that may be too small for all of
// them.
#pragma once

#include "obs/log.h"
#include "obs/text.h"

// One thread at a time; everything here is pure.
struct log_line {
	struct text text;
	enum log_format format;
	bool truncated;
};

enum { LOG_LINE_MIN = 128 };

// Begins a line with its time (unix nanoseconds, shown in UTC with microseconds). `cap` is at least
// LOG_LINE_MIN; `buf` is the caller's and must live until the line is used.
void log_line_open(struct log_line *line, char *buf, size_t cap, enum log_format format,
		   int64_t wall);
// Level, module and message.
void log_line_head(struct log_line *line, enum log_level level, enum log_module module,
		   const char *message);
// Adds a field whole, or not at all when there is no room.
void log_line_field(struct log_line *line, const struct log_field *field);
// Ends the line with its newline, and gives its length; the bytes are at line->text.data.
size_t log_line_close(struct log_line *line);

// RFC 3339 in UTC with microseconds, e.g. 2026-11-21T13:09:57.000123Z. Years 0 to 9999.
void log_time(struct text *t, int64_t wall);
