// SPDX-License-Identifier: Apache-2.0
// What the environment says on top of the file: SLUICE_SECTION__KEY=value.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/errors.h"
#include "config/node.h"
#include "config/overlay.h"
#include "config/schema.h"

#define PREFIX "SLUICE_"
#define LEVELS_MAX 8
#define NAME_MAX_LEN 160

struct variable {
	const char *name; // whole, "SLUICE_TIMEOUTS__CONNECT"; the origin of its nodes
	const char *value;
	const char *levels[LEVELS_MAX]; // "timeouts", "connect"
	unsigned count;
};

static bool ends_with(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len >= n && memcmp(s + len - n, end, n) == 0;
}

// Kubernetes sets variables for each service of the namespace; those of a service called sluice-...
// begin as ours do: SLUICE_SERVICE_HOST, SLUICE_SERVICE_PORT_HTTP, SLUICE_PORT=tcp://...,
// SLUICE_PORT_8080_TCP_ADDR.
static bool is_service_link(const char *name, size_t len, const char *value)
{
	const char *port;

	if (ends_with(name, len, "_SERVICE_HOST") || ends_with(name, len, "_SERVICE_PORT"))
		return true;
	if (strstr(name, "_SERVICE_PORT_"))
		return true;
	port = strstr(name, "_PORT");
	if (ends_with(name, len, "_PORT"))
		return strstr(value, "://") != NULL;
	return port && port[5] == '_' && port[6] >= '0' && port[6] <= '9' &&
	       (strstr(port, "_TCP") || strstr(port, "_UDP") || strstr(port, "_SCTP"));
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s) && strlen(s) <= 6;
}

// By levels, numbers by value; what is above comes before what is below.
static int compare(const void *pa, const void *pb)
{
	const struct variable *a = pa, *b = pb;

	for (unsigned i = 0; i < a->count && i < b->count; i++) {
		int order = is_number(a->levels[i]) && is_number(b->levels[i])
				    ? atoi(a->levels[i]) - atoi(b->levels[i])
				    : strcmp(a->levels[i], b->levels[i]);

		if (order)
			return order;
	}
	return (a->count > b->count) - (a->count < b->count);
}

// Splits the name behind the prefix at "__", in lower case. False when there are too many levels.
static int split(struct arena *arena, const char *name, size_t len, struct variable *v)
{
	char *copy = arena_text(arena, name, len);
	char *at;

	if (!copy)
		return -ENOMEM;
	for (char *c = copy; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	for (at = copy; at && v->count < LEVELS_MAX;) {
		char *end = strstr(at, "__");

		v->levels[v->count++] = at;
		if (end)
			*end = '\0';
		at = end ? end + 2 : NULL;
	}
	if (at)
		v->count = 0;
	return 0;
}

// The value as nodes: YAML or JSON for what has keys, a list with or without brackets, or a scalar.
static int read_value(struct config_build *b, const struct schema_key *key,
		      const struct variable *v, struct config_node **ret_node)
{
	bool list = schema_is_list(key->type);
	const char *at = v->value + strspn(v->value, " \t\n");
	struct config_node *n;

	*ret_node = NULL;
	if (key->child || key->type == SCHEMA_LEVELS || (list && *at == '['))
		return node_read(&b->scratch, v->name, v->value, strlen(v->value), b->errors,
				 ret_node);
	if (!list) {
		*ret_node = node_new_text(&b->scratch, v->value, strlen(v->value), v->name);
		return *ret_node ? 0 : -ENOMEM;
	}
	n = node_new(&b->scratch, NODE_LIST, v->name);
	if (!n)
		return -ENOMEM;
	while (*at) {
		size_t len = strcspn(at, ","), used = len;
		struct config_node *item;

		while (used && (at[used - 1] == ' ' || at[used - 1] == '\t'))
			used--;
		item = node_new_text(&b->scratch, at, used, v->name);
		if (!item || node_append(&b->scratch, n, NULL, item) < 0)
			return -ENOMEM;
		at += len + (at[len] == ',');
		at += strspn(at, " \t");
	}
	*ret_node = n;
	return 0;
}

// The child `key` of a mapping, made when it is not there. A value of another kind gives way.
static int descend(struct config_build *b, struct config_node *map, const char *key,
		   enum node_kind kind, const struct variable *v, struct config_node **ret_child)
{
	struct config_node *n = node_get(map, key);

	if (!n) {
		n = node_new(&b->scratch, kind, v->name);
		if (!n || node_append(&b->scratch, map, key, n) < 0)
			return -ENOMEM;
	} else if (n->kind != kind) {
		struct config_node *fresh = node_new(&b->scratch, kind, v->name);

		if (!fresh)
			return -ENOMEM;
		node_replace(n, fresh);
	}
	*ret_child = n;
	return 0;
}

static int fail(struct config_build *b, const struct variable *v, const char *text,
		const char *detail)
{
	struct config_node *n = node_new(&b->scratch, NODE_NULL, v->name);

	return n ? node_error(n, b->errors, "%s%s", text, detail) : -ENOMEM;
}

// `path` as it stands in a variable: upper case, "__" between levels, 0 for some item.
static void append_path(char *text, size_t size, const char *path)
{
	size_t n = strlen(text);

	for (const char *c = path; *c && n + 4 < size; c++) {
		if (*c == '[') {
			memcpy(text + n, "__0", 3);
			n += 3;
			c++; // the closing bracket
		} else if (*c == '.') {
			memcpy(text + n, "__", 2);
			n += 2;
		} else {
			text[n++] = *c >= 'a' && *c <= 'z' ? (char)(*c & ~0x20) : *c;
		}
	}
	text[n] = '\0';
}

static int unknown(struct config_build *b, const struct variable *v,
		   const struct schema_section *section, unsigned level)
{
	char near[160], text[256] = PREFIX;
	enum schema_hint hint = schema_suggest(section, v->levels[level], near, sizeof(near));

	if (hint == SCHEMA_HINT_NONE)
		return fail(b, v, "sets no key; doc/configuration.md lists those that exist", "");
	for (unsigned i = 0; hint == SCHEMA_HINT_HERE && i < level; i++) {
		append_path(text, sizeof(text), v->levels[i]);
		append_path(text, sizeof(text), ".");
	}
	append_path(text, sizeof(text), near);
	return fail(b, v, "sets no key; perhaps you mean ", text);
}

// The element of a list of mappings that a level numbers; the one behind the last is made.
static int element(struct config_build *b, const struct variable *v, struct config_node *list,
		   const char *level, struct config_node **ret_map)
{
	struct config_node *n;
	uint32_t index = is_number(level) ? (uint32_t)atoi(level) : UINT32_MAX;

	*ret_map = NULL;
	if (index == UINT32_MAX)
		return fail(b, v, "expected the number of a list's item, from 0, instead of ",
			    level);
	if (index > list->count) {
		char text[80];

		snprintf(text, sizeof(text), "%u, as the list has %u items", index, list->count);
		return fail(b, v, "there is no item ", text);
	}
	n = node_at(list, index);
	if (!n) {
		n = node_new(&b->scratch, NODE_MAP, v->name);
		if (!n || node_append(&b->scratch, list, NULL, n) < 0)
			return -ENOMEM;
	}
	*ret_map = n;
	return 0;
}

static int put_value(struct config_build *b, const struct variable *v, const struct schema_key *key,
		     struct config_node *map)
{
	struct config_node *value, *old = node_get(map, key->name);
	int r = read_value(b, key, v, &value);

	if (r < 0 || !value)
		return r;
	if (!old)
		return node_append(&b->scratch, map, key->name, value);
	node_replace(old, value);
	return 0;
}

static int put_level(struct config_build *b, const struct variable *v, const char *module,
		     struct config_node *levels)
{
	struct config_node *value = node_new_text(&b->scratch, v->value, strlen(v->value), v->name);
	struct config_node *old = node_get(levels, module);

	if (!value)
		return -ENOMEM;
	if (!old)
		return node_append(&b->scratch, levels, module, value);
	node_replace(old, value);
	return 0;
}

static int put(struct config_build *b, const struct variable *v)
{
	const struct schema_section *section = schema_root;
	struct config_node *map = b->root, *n;

	for (unsigned i = 0; i < v->count; i++) {
		const struct schema_key *key = schema_find(section, v->levels[i]);
		bool last = i + 1 == v->count;
		int r = 0;

		if (!key)
			return unknown(b, v, section, i);
		if (last)
			return put_value(b, v, key, map);
		if (key->type == SCHEMA_LEVELS && i + 2 == v->count) {
			r = descend(b, map, key->name, NODE_MAP, v, &n);
			return r < 0 ? r : put_level(b, v, v->levels[i + 1], n);
		}
		if (!key->child)
			return fail(b, v, "there is nothing below the key ", key->name);
		r = descend(b, map, key->name, key->type == SCHEMA_SECTIONS ? NODE_LIST : NODE_MAP,
			    v, &n);
		if (r == 0 && key->type == SCHEMA_SECTIONS) {
			r = element(b, v, n, v->levels[++i], &map);
			if (r < 0 || !map)
				return r;
			if (i + 1 == v->count)
				return fail(b, v, "expected __KEY behind the number", "");
			if (map->kind != NODE_MAP)
				return 0; // the file is wrong there, which is reported later
		} else if (r == 0) {
			map = n;
		}
		if (r < 0)
			return r;
		section = key->child;
	}
	return 0;
}

static int take(struct config_build *b, const char *entry, struct variable *v, bool *ret_ours)
{
	const char *equals = strchr(entry, '=');
	size_t len = equals ? (size_t)(equals - entry) : 0;

	*ret_ours = false;
	if (!equals || strncmp(entry, PREFIX, sizeof(PREFIX) - 1) != 0)
		return 0;
	*v = (struct variable){.value = equals + 1};
	v->name = arena_text(&b->scratch, entry, len);
	if (!v->name)
		return -ENOMEM;
	if (strcmp(v->name, "SLUICE_LISTEN") == 0 || is_service_link(v->name, len, v->value))
		return 0;
	*ret_ours = true;
	return split(&b->scratch, entry + sizeof(PREFIX) - 1, len - (sizeof(PREFIX) - 1), v);
}

int overlay_environment(struct config_build *b, const char *const *environment)
{
	struct variable *variables;
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; environment && environment[i]; i++)
		count++;
	variables = arena_array(&b->scratch, count, sizeof(*variables));
	if (!variables)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; environment && environment[i] && r == 0; i++) {
		bool ours;

		r = take(b, environment[i], &variables[count], &ours);
		count += r == 0 && ours;
	}
	if (r == 0 && count)
		qsort(variables, count, sizeof(*variables), compare);
	for (size_t i = 0; i < count && r == 0; i++)
		r = variables[i].count ? put(b, &variables[i])
				       : fail(b, &variables[i], "sets no key: too many levels", "");
	return r;
}
