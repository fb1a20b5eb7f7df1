// SPDX-License-Identifier: Apache-2.0
// Files that a configuration names: users, and lists of domains. One entry a line, `#` comments.
#include "config/lists.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/host.h"
#include "config/errors.h"
#include "config/node.h"
#include "snap/names.h"

// A place in a file of lines.
struct lines {
	const char *origin;
	const char *next, *end; // what was not read yet
	const char *line;       // the current one, without blanks at both ends
	size_t len;
	unsigned number;
	unsigned indent; // blanks that were cut off at its front
	struct config_errors *errors;
};

__attribute__((format(printf, 3, 4))) static int line_error(const struct lines *l, const char *at,
							    const char *format, ...)
{
	struct config_place place = {l->origin, l->number, (unsigned)(at - l->line) + l->indent + 1,
				     ""};
	va_list args;
	int r;

	va_start(args, format);
	r = config_errors_add(l->errors, &place, false, format, args);
	va_end(args);
	return r;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

// Goes to the next line that holds something; false at the end.
static bool lines_next(struct lines *l)
{
	while (l->next < l->end) {
		const char *newline = memchr(l->next, '\n', (size_t)(l->end - l->next));
		const char *stop = newline ? newline : l->end;
		const char *begin = l->next;

		l->number++;
		l->line = begin;
		while (l->line < stop && is_blank(*l->line))
			l->line++;
		l->indent = (unsigned)(l->line - begin);
		l->next = newline ? newline + 1 : l->end;
		while (stop > l->line && is_blank(stop[-1]))
			stop--;
		l->len = (size_t)(stop - l->line);
		if (l->len && *l->line != '#')
			return true;
	}
	return false;
}

// What stands before the next `mark`; moves behind it. Without a mark it is the rest.
static size_t field(const char **at, const char *end, char mark, bool *ret_more)
{
	const char *begin = *at;
	const char *stop = memchr(begin, mark, (size_t)(end - begin));

	*ret_more = stop != NULL;
	*at = stop ? stop + 1 : end;
	return (size_t)((stop ? stop : end) - begin);
}

static struct config_node *node_here(struct arena *arena, const struct lines *l, const char *at,
				     enum node_kind kind, const char *text, size_t len)
{
	struct config_node *n = kind == NODE_SCALAR ? node_new_text(arena, text, len, l->origin)
						    : node_new(arena, kind, l->origin);

	if (n) {
		n->line = l->number;
		n->column = (uint32_t)(at - l->line) + l->indent + 1;
	}
	return n;
}

static int add_text(struct arena *arena, const struct lines *l, struct config_node *parent,
		    const char *key, const char *text, size_t len)
{
	struct config_node *n = node_here(arena, l, text, NODE_SCALAR, text, len);

	return n ? node_append(arena, parent, key, n) : -ENOMEM;
}

static int add_groups(struct arena *arena, const struct lines *l, struct config_node *user,
		      const char *at, const char *end)
{
	struct config_node *groups = node_here(arena, l, at, NODE_LIST, NULL, 0);
	bool more = at < end;
	int r = groups ? node_append(arena, user, "groups", groups) : -ENOMEM;

	while (r == 0 && more) {
		const char *begin = at;
		size_t len = field(&at, end, ',', &more);

		r = add_text(arena, l, groups, NULL, begin, len);
	}
	return r;
}

static int add_limits(struct arena *arena, const struct lines *l, struct config_node *user,
		      const char *at, const char *end)
{
	struct config_node *limits = node_here(arena, l, at, NODE_MAP, NULL, 0);
	bool more = at < end;
	int r = limits ? node_append(arena, user, "limits", limits) : -ENOMEM;

	while (r == 0 && more) {
		const char *begin = at;
		size_t len = field(&at, end, ',', &more);
		const char *equals = memchr(begin, '=', len);
		char key[64];
		size_t key_len = equals ? (size_t)(equals - begin) : 0;

		if (!equals || !key_len || key_len >= sizeof(key)) {
			r = line_error(l, begin,
				       "expected a limit as key=value, such as connections=100");
			continue;
		}
		memcpy(key, begin, key_len);
		key[key_len] = '\0';
		if (node_get(limits, key))
			r = line_error(l, begin, "the limit %s stands twice; remove one", key);
		else
			r = add_text(arena, l, limits, key, equals + 1, len - key_len - 1);
	}
	return r;
}

static int add_user(struct arena *arena, const struct lines *l, struct config_node *users)
{
	struct config_node *user = node_here(arena, l, l->line, NODE_MAP, NULL, 0);
	const char *at = l->line, *end = l->line + l->len, *begin;
	bool more;
	size_t len = field(&at, end, ':', &more);
	int r;

	if (!user)
		return -ENOMEM;
	if (!more)
		return line_error(l, l->line,
				  "expected name:hash:groups:limits (groups and limits may be "
				  "left out), but there is no colon");
	r = add_text(arena, l, user, "name", l->line, len);
	if (r < 0)
		return r;
	begin = at;
	len = field(&at, end, ':', &more);
	r = add_text(arena, l, user, "password_hash", begin, len);
	if (r == 0 && more) {
		begin = at;
		len = field(&at, end, ':', &more);
		r = add_groups(arena, l, user, begin, begin + len);
	}
	if (r == 0 && more)
		r = add_limits(arena, l, user, at, end);
	return r < 0 ? r : node_append(arena, users, NULL, user);
}

int users_file_parse(struct arena *arena, const char *origin, const char *text, size_t len,
		     struct config_errors *errors, struct config_node *users)
{
	struct lines l = {.origin = origin, .next = text, .end = text + len, .errors = errors};
	int r = 0;

	while (r == 0 && lines_next(&l)) {
		if (l.len > LIST_LINE_MAX)
			r = line_error(&l, l.line, "a line of more than %d bytes", LIST_LINE_MAX);
		else
			r = add_user(arena, &l, users);
	}
	return r;
}

int domains_file_parse(const char *origin, const char *text, size_t len,
		       struct config_errors *errors, struct snap_names_builder *names)
{
	struct lines l = {.origin = origin, .next = text, .end = text + len, .errors = errors};
	int r = 0;

	while (r == 0 && lines_next(&l)) {
		// A comment may follow the name.
		const char *comment = memchr(l.line, '#', l.len);

		if (comment) {
			l.len = (size_t)(comment - l.line);
			while (l.len && is_blank(l.line[l.len - 1]))
				l.len--;
		}
		r = snap_names_builder_add(names, l.line, l.len);
		if (r == -E2BIG)
			return line_error(&l, l.line, "more than %u names", SNAP_NAMES_MAX);
		if (r < 0 && r != -ENOMEM)
			r = line_error(&l, l.line,
				       "found \"%.*s\"; expected a domain such as example.com, "
				       ".example.com or *.example.com, but it has %s",
				       l.len > 60 ? 60 : (int)l.len, l.line, host_error_text(r));
	}
	return r;
}
