// SPDX-License-Identifier: Apache-2.0
// The effective configuration as JSON, as the schema says, with secrets masked.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "config/build.h"
#include "config/schema.h"

#define MASK "***"

static json_t *encode_section(const struct schema_section *section, const void *object);

static json_t *encode_text(const void *from)
{
	const char *s = *(const char *const *)from;

	return s ? json_string(s) : json_null();
}

// The list with one more item, or NULL (and no list) for want of memory.
static json_t *append(json_t *list, json_t *item)
{
	if (list && json_array_append_new(list, item) == 0)
		return list;
	if (!list)
		json_decref(item);
	json_decref(list);
	return NULL;
}

static json_t *encode_words(const struct schema_key *key, uint32_t bits)
{
	json_t *list;

	if (!bits)
		return json_null();
	list = json_array();
	for (const struct schema_word *w = key->words; w->word && list; w++)
		if (bits & w->value)
			list = append(list, json_string(w->word));
	return list;
}

static json_t *encode_word(const struct schema_key *key, uint32_t value)
{
	for (const struct schema_word *w = key->words; w && w->word; w++)
		if (w->value == value)
			return json_string(w->word);
	return value == UINT32_MAX ? json_null() : json_integer(value);
}

static uint64_t number_of(const struct schema_key *key, const void *from)
{
	return key->size == sizeof(uint32_t) ? *(const uint32_t *)from : *(const uint64_t *)from;
}

static json_t *encode_quantity(const struct schema_key *key, const void *from)
{
	char text[UNITS_TEXT];
	uint64_t n = number_of(key, from);

	switch (key->type) {
	case SCHEMA_DURATION:
		return json_string(units_format_duration(n, text));
	case SCHEMA_SIZE:
		return json_string(units_format_size(n, text));
	default:
		if (n == RAW_INHERIT64)
			return json_null();
		return json_string(n ? units_format_rate(n, text) : "0");
	}
}

static json_t *encode_listen(const struct raw_listen *listen)
{
	char text[ENDPOINT_STRLEN] = "off";

	if (listen->all_addresses)
		snprintf(text, sizeof(text), ":%u", listen->endpoint.port);
	else if (endpoint_is_set(&listen->endpoint))
		endpoint_format(&listen->endpoint, text);
	return json_string(text);
}

static json_t *encode_host(const struct host *host)
{
	char text[HOST_STRLEN];

	host_format(host, text);
	return json_string(text);
}

static json_t *encode_days(uint8_t days)
{
	static const char *const names[7] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
	json_t *list = json_array();

	for (int i = 0; i < 7 && list; i++)
		if (days >> i & 1)
			list = append(list, json_string(names[i]));
	return list;
}

static json_t *encode_port(const struct snap_port_range *range)
{
	if (range->first == range->last)
		return json_integer(range->first);
	return json_sprintf("%u-%u", range->first, range->last);
}

static json_t *encode_item(const struct schema_key *key, const void *item)
{
	char text[ENDPOINT_STRLEN];

	switch (key->type) {
	case SCHEMA_SECTIONS:
		return encode_section(key->child, item);
	case SCHEMA_TARGETS:
		return encode_host(item);
	case SCHEMA_SERVERS:
		endpoint_format(item, text);
		return json_string(text);
	case SCHEMA_CIDRS:
		cidr_format(item, text);
		return json_string(text);
	case SCHEMA_PORTS:
		return encode_port(item);
	default:
		return encode_text(item);
	}
}

static json_t *encode_list(const struct schema_key *key, const struct raw_list *list)
{
	size_t size = key->type == SCHEMA_SECTIONS ? key->child->size : build_item_size(key);
	json_t *json = json_array();

	for (uint32_t i = 0; i < list->count && json; i++)
		json = append(json, encode_item(key, (const char *)list->items + i * size));
	return json;
}

static json_t *encode_levels(const struct schema_key *key, const struct raw_list *list)
{
	const struct snap_log_module_level *levels = list->items;
	json_t *json = json_object();

	for (uint32_t i = 0; i < list->count && json; i++) {
		if (json_object_set_new(json, levels[i].module,
					encode_word(key, levels[i].level))) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

// NULL without memory; a JSON null is a value that was not given, which is left out.
static json_t *encode_value(const struct schema_key *key, const void *from)
{
	switch (key->type) {
	case SCHEMA_SECTION:
		return encode_section(key->child, from);
	case SCHEMA_BOOL:
		return json_boolean(*(const bool *)from);
	case SCHEMA_INT:
	case SCHEMA_WORD:
		return encode_word(key, *(const uint32_t *)from);
	case SCHEMA_WORDS:
		return encode_words(key, *(const uint32_t *)from);
	case SCHEMA_DURATION:
	case SCHEMA_SIZE:
	case SCHEMA_RATE:
		return encode_quantity(key, from);
	case SCHEMA_SECRET:
	case SCHEMA_HASH:
		return *(const char *const *)from ? json_string(MASK) : json_null();
	case SCHEMA_LISTEN:
		return encode_listen(from);
	case SCHEMA_TARGET:
		return encode_host(from);
	case SCHEMA_DAYS:
		return encode_days(*(const uint8_t *)from);
	case SCHEMA_TIME:
		return json_sprintf("%02u:%02u", *(const uint16_t *)from / 60,
				    *(const uint16_t *)from % 60);
	case SCHEMA_LEVELS:
		return encode_levels(key, from);
	default:
		return schema_is_list(key->type) ? encode_list(key, from) : encode_text(from);
	}
}

// Is this part of a struct one that was never written? (A rule without `time`.)
static bool is_absent(const struct schema_key *key, const void *from)
{
	if (key->type == SCHEMA_SECTION)
		return key->child->has_node && !*(const struct config_node *const *)from;
	// An empty condition that was not written would be an error when it is.
	return schema_is_list(key->type) && key->type != SCHEMA_WORDS && key->type != SCHEMA_DAYS &&
	       !((const struct raw_list *)from)->count && !((const struct raw_list *)from)->given;
}

static json_t *encode_section(const struct schema_section *section, const void *object)
{
	json_t *json = json_object();

	for (size_t i = 0; i < section->key_count && json; i++) {
		const struct schema_key *key = &section->keys[i];
		const void *from = (const char *)object + key->offset;
		json_t *value;

		if (is_absent(key, from))
			continue;
		value = encode_value(key, from);
		if (json_is_null(value)) {
			json_decref(value);
		} else if (json_object_set_new(json, key->name, value) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

// Measured, then written in place: jansson's own growing buffer loses keys when memory runs out.
int build_dump(struct config_build *b, const char **ret_json)
{
	const size_t flags = JSON_INDENT(2) | JSON_PRESERVE_ORDER;
	json_t *json = encode_section(schema_root, &b->raw);
	size_t size = json ? json_dumpb(json, NULL, 0, flags) : 0;
	char *text = size ? arena_alloc(&b->snap->arena, size + 1) : NULL;
	bool ok = text && json_dumpb(json, text, size, flags) == size;

	json_decref(json);
	if (!ok)
		return -ENOMEM;
	*ret_json = text;
	return 0;
}
