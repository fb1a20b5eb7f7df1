// SPDX-License-Identifier: Apache-2.0
// Reads the head of an HTTP/1.1 message strictly.
//
// There is one fast way, which takes good and complete lines only, and one slow way, entered when
// the fast one stops: it looks for the end of the line, and either waits for it or says what is
// wrong. A line is judged only when it is complete (or too long), so that the verdict does not
// depend on how the bytes came.
#include "proto/http1/parser.h"

#include "base/http_syntax.h"
#include "proto/http1/target.h"

#include <errno.h>

enum kind { KIND_REQUEST, KIND_RESPONSE, KIND_TRAILERS };
enum state { STATE_FIRST_LINE, STATE_FIELDS, STATE_DONE };

static void init(struct http1_parser *parser, enum kind kind, struct http_head *head,
		 const struct http1_limits *limits)
{
	*parser = (struct http1_parser){.kind = kind, .limits = *limits, .head = head};
	head->is_request = kind == KIND_REQUEST;
}

void http1_parser_init_request(struct http1_parser *parser, struct http_head *head,
			       const struct http1_limits *limits)
{
	init(parser, KIND_REQUEST, head, limits);
}

void http1_parser_init_response(struct http1_parser *parser, struct http_head *head,
				const struct http1_limits *limits, enum http_method request_method)
{
	init(parser, KIND_RESPONSE, head, limits);
	parser->request_method = request_method;
}

void http1_parser_init_trailers(struct http1_parser *parser, struct http_head *head,
				const struct http1_limits *limits)
{
	init(parser, KIND_TRAILERS, head, limits);
	parser->state = STATE_FIELDS;
}

bool http1_parser_began(const struct http1_parser *parser)
{
	return parser->state != STATE_FIRST_LINE || parser->scan > parser->line;
}

// A fast reader gives the start of the next line, or NULL: let the slow way look at this line. An
// error that shows only when the line is otherwise complete and well formed is put into
// parser->error.

// "HTTP/1.x" at p. false: anything else.
static bool read_version(struct http_head *head, const char *p)
{
	if (memcmp(p, "HTTP/1.", 7) != 0 || !http_char_is(p[7], HTTP_CHAR_DIGIT))
		return false;
	head->version = p[7] == '0' ? HTTP_VERSION_1_0 : HTTP_VERSION_1_1;
	return true;
}

static const char *read_request_line(struct http1_parser *parser, const char *line, const char *end)
{
	struct http_head *head = parser->head;
	const char *p = line;
	while (p < end && http_char_is(*p, HTTP_CHAR_TOKEN))
		p++;
	if (p == line || p == end || *p != ' ')
		return NULL;
	head->method_name = slice_make(line, (size_t)(p - line));
	const char *target = ++p;
	p = http_skip_target(p, end);
	if (p == target || end - p < 11 || *p != ' ' || p[9] != '\r' || p[10] != '\n' ||
	    !read_version(head, p + 1))
		return NULL;
	head->method = http_method_lookup(head->method_name);
	parser->error = http1_target_parse(head, slice_make(target, (size_t)(p - target)),
					   parser->allow_https);
	return p + 11;
}

static const char *read_status_line(struct http1_parser *parser, const char *line, const char *end)
{
	struct http_head *head = parser->head;
	// Some servers leave out the space before an empty reason; nothing depends on it.
	if (end - line < 14 || !read_version(head, line) || line[8] != ' ')
		return NULL;
	const char *p = line + 9;
	for (int i = 0; i < 3; i++) {
		if (!http_char_is(p[i], HTTP_CHAR_DIGIT))
			return NULL;
	}
	unsigned status =
		(unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
	p += 3;
	const char *reason = p;
	if (*p == ' ')
		reason = ++p;
	p = http_skip_value(p, end);
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n' || (p > reason && reason == line + 12))
		return NULL;
	head->status = (uint16_t)status;
	head->reason = slice_make(reason, (size_t)(p - reason));
	if (status < 100)
		parser->error = HTTP1_ERROR_BAD_STATUS;
	return p + 2;
}

static const char *read_field(struct http1_parser *parser, const char *line, const char *end)
{
	struct http_head *head = parser->head;
	const char *p = line;
	while (p < end && http_char_is(*p, HTTP_CHAR_TOKEN))
		p++;
	if (p == line || p == end || *p != ':')
		return NULL;
	struct slice name = slice_make(line, (size_t)(p - line));
	p++;
	while (p < end && http_char_is(*p, HTTP_CHAR_SPACE))
		p++;
	const char *value = p;
	p = http_skip_value(p, end);
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
		return NULL;
	const char *last = p;
	while (last > value && http_char_is(last[-1], HTTP_CHAR_SPACE))
		last--;
	enum http_field_id id = http_field_lookup(name);
	if (parser->kind == KIND_TRAILERS && http_field_flags(id) & HTTP_FIELD_NO_TRAILER)
		return p + 2;
	if (http_head_append_checked(head, id, name, slice_make(value, (size_t)(last - value))) < 0)
		parser->error = HTTP1_ERROR_TOO_MANY_FIELDS;
	return p + 2;
}

// What is wrong with the ends of a complete line: the fault that can desynchronise two readers
// first.
static enum http1_error judge_line_end(const char *line, const char *lf)
{
	if (lf == line || lf[-1] != '\r')
		return HTTP1_ERROR_BARE_LF;
	if (memchr(line, '\r', (size_t)(lf - 1 - line)))
		return HTTP1_ERROR_BARE_CR;
	return HTTP1_OK;
}

static enum http1_error judge_version(const char *p, size_t len)
{
	if (len != 8 || memcmp(p, "HTTP/", 5) != 0 || !http_char_is(p[5], HTTP_CHAR_DIGIT) ||
	    p[6] != '.' || !http_char_is(p[7], HTTP_CHAR_DIGIT))
		return HTTP1_ERROR_BAD_VERSION;
	return p[5] == '1' ? HTTP1_OK : HTTP1_ERROR_VERSION_UNSUPPORTED;
}

// These name the fault of a complete line that the fast way refused; cr is where its CRLF begins.
static enum http1_error judge_request_line(const char *line, const char *cr)
{
	const char *method_end = line, *version = cr;
	while (method_end < cr && http_char_is(*method_end, HTTP_CHAR_TOKEN))
		method_end++;
	if (method_end == cr)
		return HTTP1_ERROR_BAD_REQUEST_LINE;
	if (method_end == line || *method_end != ' ')
		return HTTP1_ERROR_BAD_METHOD;
	const char *target = method_end + 1;
	while (version > target && version[-1] != ' ')
		version--;
	if (version <= target + 1)
		return HTTP1_ERROR_BAD_REQUEST_LINE;
	enum http1_error error = judge_version(version, (size_t)(cr - version));
	if (error != HTTP1_OK)
		return error;
	return memchr(target, ' ', (size_t)(version - 1 - target)) ? HTTP1_ERROR_BAD_REQUEST_LINE
								   : HTTP1_ERROR_BAD_TARGET;
}

static enum http1_error judge_status_line(const char *line, const char *cr)
{
	const char *space = memchr(line, ' ', (size_t)(cr - line));
	enum http1_error error = judge_version(line, (size_t)((space ? space : cr) - line));
	if (error != HTTP1_OK)
		return error;
	if (!space || cr - space < 4 || (cr - space > 4 && space[4] != ' '))
		return HTTP1_ERROR_BAD_STATUS_LINE;
	for (int i = 1; i < 4; i++) {
		if (!http_char_is(space[i], HTTP_CHAR_DIGIT))
			return HTTP1_ERROR_BAD_STATUS;
	}
	return HTTP1_ERROR_BAD_STATUS_LINE; // a control character in the reason
}

static enum http1_error judge_field(const char *line, const char *cr)
{
	if (line < cr && http_char_is(*line, HTTP_CHAR_SPACE))
		return HTTP1_ERROR_FOLDED_LINE;
	const char *colon = memchr(line, ':', (size_t)(cr - line));
	if (!colon)
		return HTTP1_ERROR_NO_COLON;
	if (colon == line)
		return HTTP1_ERROR_EMPTY_NAME;
	if (!http_is_token(slice_make(line, (size_t)(colon - line))))
		return http_char_is(colon[-1], HTTP_CHAR_SPACE) ? HTTP1_ERROR_SPACE_BEFORE_COLON
								: HTTP1_ERROR_BAD_NAME;
	return HTTP1_ERROR_BAD_VALUE;
}

// Whether a line that begins at offset `line` may reach to offset `end`.
static enum http1_error check_limits(const struct http1_parser *parser, size_t line, size_t end)
{
	size_t line_limit = line + parser->limits.max_line;
	if (line_limit <= parser->limits.max_head) {
		if (end <= line_limit)
			return HTTP1_OK;
		return parser->state == STATE_FIRST_LINE ? HTTP1_ERROR_LINE_TOO_LONG
							 : HTTP1_ERROR_FIELD_TOO_LONG;
	}
	return end <= parser->limits.max_head ? HTTP1_OK : HTTP1_ERROR_HEAD_TOO_LARGE;
}

static ssize_t fail(struct http1_parser *parser, enum http1_error error)
{
	if (parser->kind == KIND_TRAILERS &&
	    (error == HTTP1_ERROR_HEAD_TOO_LARGE || error == HTTP1_ERROR_FIELD_TOO_LONG ||
	     error == HTTP1_ERROR_TOO_MANY_FIELDS))
		error = HTTP1_ERROR_TRAILER_TOO_LARGE;
	parser->error = error;
	return -EBADMSG;
}

// The slow way: the fast reader stopped at the line that begins at p.
static ssize_t wait_or_judge(struct http1_parser *parser, const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	// Without the LF the line has at least one byte more than what is here.
	const char *reach = lf ? lf + 1 : end + 1;
	enum http1_error error =
		check_limits(parser, (size_t)(p - parser->base), (size_t)(reach - parser->base));
	if (error == HTTP1_OK && lf)
		error = judge_line_end(p, lf);
	if (error == HTTP1_OK && !lf) {
		parser->line = (uint32_t)(p - parser->base);
		parser->scan = (uint32_t)(end - parser->base);
		return -EAGAIN;
	}
	if (error == HTTP1_OK && parser->state == STATE_FIELDS)
		error = judge_field(p, lf - 1);
	else if (error == HTTP1_OK)
		error = parser->kind == KIND_REQUEST ? judge_request_line(p, lf - 1)
						     : judge_status_line(p, lf - 1);
	return fail(parser, error);
}

static enum http1_error finish(struct http1_parser *parser)
{
	enum http1_error error = HTTP1_OK;
	if (parser->kind == KIND_REQUEST) {
		error = http1_target_check_host(parser->head);
		if (error == HTTP1_OK)
			error = http1_framing_of_request(parser->head, &parser->framing);
	} else if (parser->kind == KIND_RESPONSE) {
		error = http1_framing_of_response(
			parser->head, (enum http_method)parser->request_method, &parser->framing);
	}
	return error;
}

// Reads lines from p until one is not complete, wrong, or the last.
static ssize_t read_lines(struct http1_parser *parser, const char *p, const char *end)
{
	for (;;) {
		const char *next;
		bool blank = end - p >= 2 && p[0] == '\r' && p[1] == '\n';
		bool last = blank && parser->state == STATE_FIELDS;
		if (last) {
			next = p + 2;
		} else if (parser->state == STATE_FIELDS) {
			next = read_field(parser, p, end);
		} else if (blank && parser->kind == KIND_REQUEST) {
			next = p + 2;
			if (++parser->blank_lines > HTTP1_BLANK_LINES)
				parser->error = HTTP1_ERROR_BLANK_LINES;
		} else {
			next = parser->kind == KIND_REQUEST ? read_request_line(parser, p, end)
							    : read_status_line(parser, p, end);
		}
		if (!next)
			return wait_or_judge(parser, p, end);
		// The limits come first, since a line that is too long is refused before its end is
		// seen.
		enum http1_error error = check_limits(parser, (size_t)(p - parser->base),
						      (size_t)(next - parser->base));
		if (error == HTTP1_OK)
			error = parser->error;
		if (error == HTTP1_OK && last)
			error = finish(parser);
		if (error != HTTP1_OK)
			return fail(parser, error);
		p = next;
		if (last)
			break;
		if (!blank)
			parser->state = STATE_FIELDS;
	}
	parser->state = STATE_DONE;
	parser->line = (uint32_t)(p - parser->base);
	return parser->line;
}

ssize_t http1_parser_feed(struct http1_parser *parser, const void *data, size_t len)
{
	if (parser->error != HTTP1_OK)
		return -EBADMSG;
	if (parser->state == STATE_DONE)
		return parser->line;
	if (len == 0 || len < parser->scan)
		return -EAGAIN;
	const char *base = data;
	if (parser->base && parser->base != base)
		http_head_rebase(parser->head, parser->base, parser->scan, base);
	parser->base = base;
	if (parser->scan > parser->line) {
		// The rest of a line: until its end is here, only the new bytes are looked at.
		if (!memchr(base + parser->scan, '\n', len - parser->scan)) {
			enum http1_error error = check_limits(parser, parser->line, len + 1);
			if (error != HTTP1_OK)
				return fail(parser, error);
			parser->scan = (uint32_t)len;
			return -EAGAIN;
		}
	}
	return read_lines(parser, base + parser->line, base + len);
}
