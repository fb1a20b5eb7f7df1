// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration: a bounded list of findings, each with its place and its mend.
#include "config/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/strescape.h"

void config_errors_init(struct config_errors *errors)
{
	*errors = (struct config_errors){0};
}

void config_errors_release(struct config_errors *errors)
{
	arena_release(&errors->arena);
	config_errors_init(errors);
}

// Quotes stay as they are, everything that could move a terminal or start a line is escaped.
static const char *keep(struct arena *arena, const char *text)
{
	char escaped[1024], *to = escaped;
	size_t len = strescape_text(escaped, sizeof(escaped), text, strlen(text));

	for (size_t i = 0; i < len; i++) {
		if (escaped[i] == '\\' && i + 1 < len && escaped[i + 1] == '"')
			continue;
		*to++ = escaped[i];
	}
	return arena_text(arena, escaped, (size_t)(to - escaped));
}

int config_errors_add(struct config_errors *errors, const struct config_place *place, bool warning,
		      const char *format, va_list args)
{
	struct config_error *e = &errors->items[errors->count];
	char message[1024];

	*(warning ? &errors->warning_count : &errors->error_count) += 1;
	if (errors->count == CONFIG_ERRORS_MAX)
		return 0;
	vsnprintf(message, sizeof(message), format, args);
	*e = (struct config_error){
		.origin = keep(&errors->arena, place->origin),
		.line = place->line,
		.column = place->column,
		.path = keep(&errors->arena, place->path),
		.message = keep(&errors->arena, message),
		.warning = warning,
	};
	if (!e->origin || !e->path || !e->message)
		return -ENOMEM;
	errors->count++;
	return 0;
}

// Stable, so that findings of one place stay in the order in which they were made.
void config_errors_sort(struct config_errors *errors)
{
	for (size_t i = 1; i < errors->count; i++) {
		struct config_error e = errors->items[i];
		size_t to = i;

		// The last place that belongs before it: of its file, not of a later line.
		for (size_t k = 0; k < i; k++) {
			const struct config_error *other = &errors->items[k];

			if (strcmp(other->origin, e.origin) == 0 &&
			    (other->line > e.line ||
			     (other->line == e.line && other->column > e.column))) {
				to = k;
				break;
			}
			if (strcmp(other->origin, e.origin) == 0)
				to = k + 1;
		}
		memmove(&errors->items[to + 1], &errors->items[to],
			(i - to) * sizeof(errors->items[0]));
		errors->items[to] = e;
	}
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
	size_t left = errors->error_count + errors->warning_count - errors->count;

	for (size_t i = 0; i < errors->count; i++) {
		const struct config_error *e = &errors->items[i];

		fputs(e->origin, out);
		if (e->line)
			fprintf(out, ":%u:%u", e->line, e->column);
		fprintf(out, ": %s%s%s%s\n", e->warning ? "warning: " : "", e->path,
			*e->path ? ": " : "", e->message);
	}
	if (left)
		fprintf(out, "... and %zu more\n", left);
}
