// SPDX-License-Identifier: Apache-2.0
// The reference of all keys in Markdown, from the schema.
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "config/config.h"
#include "config/schema.h"

static void write_words(FILE *out, const struct schema_word *words)
{
	for (const struct schema_word *w = words; w->word; w++)
		fprintf(out, "%s`%s`", w == words ? "" : ", ", w->word);
}

// The range of a number, where the schema has one.
static void write_range(FILE *out, const struct schema_key *k)
{
	char low[UNITS_TEXT], high[UNITS_TEXT];

	switch (k->type) {
	case SCHEMA_INT:
		snprintf(low, sizeof(low), "%llu", (unsigned long long)(k->words ? 1 : k->min));
		snprintf(high, sizeof(high), "%llu", (unsigned long long)k->max);
		break;
	case SCHEMA_DURATION:
		units_format_duration(k->min, low);
		units_format_duration(k->max, high);
		break;
	case SCHEMA_SIZE:
		units_format_size(k->min, low);
		units_format_size(k->max, high);
		break;
	default:
		return;
	}
	if (k->type == SCHEMA_INT && k->max >= UINT32_MAX - 1)
		return;
	if (k->min)
		fprintf(out, ", %s to %s", low, high);
	else
		fprintf(out, ", at most %s", high);
}

// A short name of what an item is; the page says elsewhere how each is written.
static const char *short_form(enum schema_type type)
{
	switch (type) {
	case SCHEMA_DURATION:
		return "duration";
	case SCHEMA_SIZE:
		return "size";
	case SCHEMA_RATE:
		return "rate";
	case SCHEMA_NAME:
	case SCHEMA_NAMES:
		return "name";
	case SCHEMA_USER_NAME:
	case SCHEMA_USER_NAMES:
		return "user name";
	case SCHEMA_PATH:
	case SCHEMA_PATHS:
		return "path";
	case SCHEMA_LISTEN:
		return "address:port";
	case SCHEMA_TARGET:
	case SCHEMA_TARGETS:
		return "host:port";
	case SCHEMA_SERVERS:
		return "address or address:port";
	case SCHEMA_CIDRS:
		return "block of addresses";
	case SCHEMA_PORTS:
		return "port or range";
	case SCHEMA_DOMAINS:
		return "domain";
	case SCHEMA_HOST_NAMES:
		return "host name";
	case SCHEMA_DAYS:
		return "weekday or range";
	case SCHEMA_TIME:
		return "`\"HH:MM\"`";
	case SCHEMA_ZONE:
		return "time zone";
	case SCHEMA_HASH:
		return "hash";
	case SCHEMA_SECRET:
		return "secret text";
	default:
		return schema_form(type);
	}
}

static void write_type(FILE *out, const struct schema_key *k)
{
	switch (k->type) {
	case SCHEMA_WORD:
		fputs("one of ", out);
		write_words(out, k->words);
		return;
	case SCHEMA_WORDS:
		fputs("list of ", out);
		write_words(out, k->words);
		return;
	case SCHEMA_LEVELS:
		fputs("mapping of module names to ", out);
		write_words(out, k->words);
		return;
	default:
		break;
	}
	if (schema_is_list(k->type))
		fputs("list of: ", out);
	fputs(short_form(k->type), out);
	write_range(out, k);
	if (k->words) {
		fputs(", or ", out);
		write_words(out, k->words);
	}
}

static void write_keys(FILE *out, const struct schema_section *section, const char *prefix)
{
	bool any = false;

	for (size_t i = 0; i < section->key_count; i++) {
		const struct schema_key *k = &section->keys[i];

		if (k->child)
			continue;
		if (!any)
			fputs("\n| key | value | default | |\n|---|---|---|---|\n", out);
		any = true;
		fprintf(out, "| `%s%s` | ", prefix, k->name);
		write_type(out, k);
		if (k->flags & SCHEMA_REQUIRED)
			fputs(" | **required**", out);
		else if (k->fallback)
			fprintf(out, " | `%s`", k->fallback);
		else
			fputs(" | ", out);
		fprintf(out, " | %s |\n", k->help);
	}
}

#define PREFIX_SIZE 128

static void write_section(FILE *out, const struct schema_section *section, const char *prefix)
{
	write_keys(out, section, prefix);
	for (size_t i = 0; i < section->key_count; i++) {
		const struct schema_key *k = &section->keys[i];
		char below[PREFIX_SIZE];

		if (!k->child)
			continue;
		snprintf(below, sizeof(below), "%s%s%s", prefix, k->name,
			 k->type == SCHEMA_SECTIONS ? "[]" : "");
		fprintf(out, "\n### `%s`\n\n%s%s%s\n", below, k->help, *k->child->help ? " " : "",
			k->child->help);
		// A user is the same wherever it stands.
		if (*prefix && k->child == schema_user) {
			fputs("\nThe keys are those of `users[]`.\n", out);
			continue;
		}
		strncat(below, ".", sizeof(below) - strlen(below) - 1);
		write_section(out, k->child, below);
	}
}

int config_reference(FILE *out)
{
	write_section(out, schema_root, "");
	return ferror(out) ? -EIO : 0;
}
