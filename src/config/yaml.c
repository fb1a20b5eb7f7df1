// SPDX-License-Identifier: Apache-2.0
// The configuration tree: read from YAML by libyaml's events, with bounds on depth and size.
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <yaml.h>

#include "base/arena.h"
#include "config/errors.h"
#include "config/node.h"

// What is being read: the open collections, the innermost last.
struct reader {
	struct arena *arena;
	const char *origin;
	struct config_errors *errors;
	struct config_node *root;
	struct config_node *open[CONFIG_DEPTH_MAX];
	unsigned depth;
	unsigned nodes;
	struct config_node *key; // in a mapping: its key was read, the value comes next
	bool stop;               // an error after which nothing more makes sense
};

__attribute__((format(printf, 3, 4))) static int fail(struct reader *r, const yaml_mark_t *mark,
						      const char *format, ...)
{
	char path[NODE_PATH_SIZE] = "";
	struct config_place place = {r->origin, (unsigned)mark->line + 1,
				     (unsigned)mark->column + 1, path};
	va_list args;
	int ret;

	if (r->depth)
		node_path(r->open[r->depth - 1], path, sizeof(path));
	r->stop = true;
	va_start(args, format);
	ret = config_errors_add(r->errors, &place, false, format, args);
	va_end(args);
	return ret;
}

static bool is_null(const char *text, size_t len)
{
	return len == 0 || (len == 1 && *text == '~') || (len == 4 && memcmp(text, "null", 4) == 0);
}

static struct config_node *new_at(struct reader *r, enum node_kind kind, const yaml_event_t *e)
{
	struct config_node *n = node_new(r->arena, kind, r->origin);

	if (n) {
		n->line = (uint32_t)e->start_mark.line + 1;
		n->column = (uint32_t)e->start_mark.column + 1;
	}
	return n;
}

static int take_key(struct reader *r, struct config_node *n, const yaml_event_t *e)
{
	const struct config_node *map = r->open[r->depth - 1], *twin;

	if (n->kind != NODE_SCALAR)
		return fail(r, &e->start_mark, "expected a key, a plain word followed by a colon");
	if (strlen(n->text) != n->text_len)
		return fail(r, &e->start_mark, "a key with a NUL byte");
	if (map->count >= CONFIG_KEYS_MAX)
		return fail(r, &e->start_mark, "more than %d keys in one mapping", CONFIG_KEYS_MAX);
	twin = node_get(map, n->text);
	if (twin) {
		int ret = node_key_error(twin, r->errors,
					 "the key stands twice, here and in line %u; "
					 "remove one",
					 n->line);

		if (ret < 0)
			return ret;
	}
	r->key = n;
	return 0;
}

// Puts a finished scalar or a just opened collection where it belongs.
static int place(struct reader *r, struct config_node *n, const yaml_event_t *e)
{
	struct config_node *parent;
	int ret;

	if (++r->nodes > CONFIG_NODES_MAX)
		return fail(r, &e->start_mark, "more than %d values", CONFIG_NODES_MAX);
	if (!r->depth) {
		r->root = n;
		return 0;
	}
	parent = r->open[r->depth - 1];
	if (parent->kind == NODE_MAP && !r->key)
		return take_key(r, n, e);
	ret = node_append(r->arena, parent, NULL, n);
	if (parent->kind == NODE_MAP) {
		n->key = r->key->text;
		n->key_line = r->key->line;
		n->key_column = r->key->column;
		// An error about a value that is not there is shown at its key.
		if (n->kind == NODE_NULL) {
			n->line = r->key->line;
			n->column = r->key->column;
		}
		r->key = NULL;
	}
	return ret;
}

static int take_scalar(struct reader *r, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct config_node *n;

	if (e->data.scalar.anchor || e->data.scalar.tag)
		return fail(r, &e->start_mark,
			    "anchors (&) and tags (!) are not supported; write the value out");
	n = new_at(r, plain && is_null(text, len) ? NODE_NULL : NODE_SCALAR, e);
	if (!n)
		return -ENOMEM;
	n->plain = plain;
	n->text_len = (uint32_t)len;
	n->text = arena_text(r->arena, text, len);
	if (!n->text)
		return -ENOMEM;
	return place(r, n, e);
}

static int take_open(struct reader *r, const yaml_event_t *e, enum node_kind kind)
{
	bool marked = kind == NODE_MAP
			      ? e->data.mapping_start.anchor || e->data.mapping_start.tag
			      : e->data.sequence_start.anchor || e->data.sequence_start.tag;
	struct config_node *n;
	int ret;

	if (marked)
		return fail(r, &e->start_mark,
			    "anchors (&) and tags (!) are not supported; write the value out");
	if (r->depth == CONFIG_DEPTH_MAX)
		return fail(r, &e->start_mark, "nested more than %d deep", CONFIG_DEPTH_MAX);
	n = new_at(r, kind, e);
	if (!n)
		return -ENOMEM;
	ret = place(r, n, e);
	if (ret == 0 && !r->stop)
		r->open[r->depth++] = n;
	return ret;
}

static int take_event(struct reader *r, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(r, e);
	case YAML_MAPPING_START_EVENT:
		return take_open(r, e, NODE_MAP);
	case YAML_SEQUENCE_START_EVENT:
		return take_open(r, e, NODE_LIST);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		r->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return fail(r, &e->start_mark,
			    "aliases (*) are not supported; write the value out");
	case YAML_DOCUMENT_START_EVENT:
		if (r->root)
			return fail(r, &e->start_mark,
				    "a second document; one file holds one configuration");
		return 0;
	default:
		return 0;
	}
}

static int syntax_error(struct reader *r, const yaml_parser_t *p)
{
	yaml_mark_t mark = p->problem_mark;

	switch (p->error) {
	case YAML_MEMORY_ERROR:
		return -ENOMEM;
	case YAML_READER_ERROR:
		return fail(r, &p->mark, "not UTF-8 text: %s", p->problem);
	default:
		break;
	}
	r->depth = 0; // the path of an unfinished value would mislead
	if (p->context)
		return fail(r, &mark, "not YAML: %s, %s (begun in line %zu)", p->context,
			    p->problem, p->context_mark.line + 1);
	return fail(r, &mark, "not YAML: %s", p->problem ? p->problem : "unknown error");
}

int node_read(struct arena *arena, const char *origin, const char *text, size_t len,
	      struct config_errors *errors, struct config_node **ret_root)
{
	struct reader r = {.arena = arena, .origin = origin, .errors = errors};
	yaml_parser_t parser;
	int ret = 0;
	bool end = false;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!end && !r.stop && ret == 0) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			ret = syntax_error(&r, &parser);
			break;
		}
		ret = take_event(&r, &event);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (ret < 0)
		return ret;
	if (r.stop) {
		*ret_root = NULL; // half a tree would only give errors that are none
		return 0;
	}
	if (!r.root || r.root->kind == NODE_NULL) {
		r.root = node_new(arena, NODE_MAP, origin);
		if (!r.root)
			return -ENOMEM;
		r.root->line = r.root->column = 1;
	}
	*ret_root = r.root;
	return 0;
}
