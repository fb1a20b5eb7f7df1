// SPDX-License-Identifier: Apache-2.0
// The configuration tree: making, finding, naming nodes.
#include "config/node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "config/errors.h"

struct config_node *node_new(struct arena *arena, enum node_kind kind, const char *origin)
{
	struct config_node *n = arena_alloc(arena, sizeof(*n));

	if (n) {
		n->kind = kind;
		n->origin = origin;
	}
	return n;
}

struct config_node *node_new_text(struct arena *arena, const char *text, size_t len,
				  const char *origin)
{
	struct config_node *n = node_new(arena, NODE_SCALAR, origin);

	if (!n)
		return NULL;
	n->plain = true;
	n->text_len = (uint32_t)len;
	n->text = arena_text(arena, text, len);
	return n->text ? n : NULL;
}

int node_append(struct arena *arena, struct config_node *parent, const char *key,
		struct config_node *child)
{
	if (key) {
		child->key = arena_text(arena, key, strlen(key));
		if (!child->key)
			return -ENOMEM;
	}
	child->parent = parent;
	child->index = parent->count++;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	return 0;
}

void node_replace(struct config_node *node, const struct config_node *from)
{
	struct config_node old = *node;

	*node = *from;
	node->parent = old.parent;
	node->next = old.next;
	node->key = old.key;
	node->index = old.index;
	for (struct config_node *c = node->first; c; c = c->next)
		c->parent = node;
}

struct config_node *node_get(const struct config_node *node, const char *key)
{
	if (!node || node->kind != NODE_MAP)
		return NULL;
	for (struct config_node *c = node->first; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

struct config_node *node_at(const struct config_node *node, uint32_t index)
{
	struct config_node *c;

	if (!node || node->kind != NODE_LIST)
		return NULL;
	for (c = node->first; c && c->index != index; c = c->next)
		;
	return c;
}

void node_path(const struct config_node *node, char *ret_path, size_t size)
{
	const struct config_node *chain[CONFIG_DEPTH_MAX + 2];
	size_t depth = 0, used = 0;

	for (; node->parent && depth < sizeof(chain) / sizeof(chain[0]); node = node->parent)
		chain[depth++] = node;
	ret_path[0] = '\0';
	while (depth-- && used < size) {
		const struct config_node *n = chain[depth];
		int len;

		if (n->key)
			len = snprintf(ret_path + used, size - used, "%s%s", used ? "." : "",
				       n->key);
		else
			len = snprintf(ret_path + used, size - used, "[%u]", n->index);
		used += len > 0 ? (size_t)len : 0;
	}
}

static int add(const struct config_node *node, struct config_errors *errors, bool warning,
	       bool at_key, const char *format, va_list args)
{
	char path[NODE_PATH_SIZE];
	struct config_place place = {node->origin, node->line, node->column, path};

	if (at_key && node->key_line) {
		place.line = node->key_line;
		place.column = node->key_column;
	}
	node_path(node, path, sizeof(path));
	return config_errors_add(errors, &place, warning, format, args);
}

int node_error(const struct config_node *node, struct config_errors *errors, const char *format,
	       ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = add(node, errors, false, false, format, args);
	va_end(args);
	return r;
}

int node_warning(const struct config_node *node, struct config_errors *errors, const char *format,
		 ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = add(node, errors, true, false, format, args);
	va_end(args);
	return r;
}

int node_key_error(const struct config_node *node, struct config_errors *errors, const char *format,
		   ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = add(node, errors, false, true, format, args);
	va_end(args);
	return r;
}

const char *node_found(const struct config_node *node, char ret_text[NODE_FOUND_SIZE])
{
	switch ((enum node_kind)node->kind) {
	case NODE_NULL:
		return "nothing";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a mapping";
	case NODE_SCALAR:
		break;
	}
	snprintf(ret_text, NODE_FOUND_SIZE, node->text_len > 60 ? "\"%.60s...\"" : "\"%s\"",
		 node->text);
	return ret_text;
}
