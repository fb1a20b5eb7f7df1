// SPDX-License-Identifier: Apache-2.0
// Decodes a mapping of the configuration into its section's struct, as the schema says.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/build.h"
#include "config/errors.h"
#include "config/node.h"
#include "config/schema.h"

static int fill_key(struct config_build *b, const struct schema_key *key,
		    const struct config_node *node, void *field);

static void *field_of(const struct schema_key *key, void *object)
{
	return (char *)object + key->offset;
}

// The default of one key: written as text in the schema, so it is read as the file is.
static int fill_default(struct config_build *b, const struct schema_key *key, void *field)
{
	struct config_node *node;
	int r;

	if (key->child && key->type == SCHEMA_SECTION)
		return build_fill(b, key->child, NULL, field);
	if (!key->fallback) {
		if (key->type == SCHEMA_INT || key->type == SCHEMA_RATE)
			memset(field, 0xff, key->size);
		return 0;
	}
	r = node_read(&b->scratch, "default", key->fallback, strlen(key->fallback), b->errors,
		      &node);
	if (r < 0)
		return r;
	// An empty text is a value here ("" of http.via), not an absent one.
	r = fill_key(b, key, node, field);
	if (r == 0 && build_item_size(key))
		((struct raw_list *)field)->given = false;
	return r;
}

// All defaults of a section, made once and copied from then on.
static int defaults_of(struct config_build *b, const struct schema_section *section,
		       const void **ret_image)
{
	void *image;

	for (size_t i = 0; i < b->default_count; i++) {
		if (b->defaults[i].section == section) {
			*ret_image = b->defaults[i].image;
			return 0;
		}
	}
	image = arena_alloc(&b->scratch, section->size);
	if (!image)
		return -ENOMEM;
	for (size_t i = 0; i < section->key_count; i++) {
		const struct schema_key *key = &section->keys[i];
		int r = fill_default(b, key, field_of(key, image));

		if (r < 0)
			return r;
	}
	if (b->default_count < CONFIG_SECTIONS_MAX) {
		b->defaults[b->default_count].section = section;
		b->defaults[b->default_count++].image = image;
	}
	*ret_image = image;
	return 0;
}

static int fill_sections(struct config_build *b, const struct schema_key *key,
			 const struct config_node *node, struct raw_list *list)
{
	char *items;
	uint32_t i = 0;

	if (node->kind != NODE_LIST) {
		char found[NODE_FOUND_SIZE];

		return node_error(node, b->errors, "found %s; expected a list (- ... or [...])",
				  node_found(node, found));
	}
	items = arena_array(&b->scratch, node->count, key->child->size);
	if (!items)
		return -ENOMEM;
	for (const struct config_node *n = node->first; n; n = n->next) {
		int r = build_fill(b, key->child, n, items + (size_t)i * key->child->size);

		if (r < 0)
			return r;
		// What is no mapping was reported; it is left out, so that every item has its node.
		if (n->kind == NODE_NULL)
			r = node_error(n, b->errors, "found nothing; expected a mapping for the %s",
				       key->child->name);
		if (r < 0)
			return r;
		i += n->kind == NODE_MAP;
	}
	*list = (struct raw_list){items, i, true};
	return 0;
}

// A list of values; one value may stand without brackets.
static int fill_list(struct config_build *b, const struct schema_key *key,
		     const struct config_node *node, void *field)
{
	size_t size = build_item_size(key);
	uint32_t count = node->kind == NODE_SCALAR ? 1 : node->count;
	const struct config_node *n = node->kind == NODE_SCALAR ? node : node->first;
	struct raw_list list = {NULL, count, true};

	if (node->kind != NODE_SCALAR &&
	    node->kind != (key->type == SCHEMA_LEVELS ? NODE_MAP : NODE_LIST)) {
		char found[NODE_FOUND_SIZE];

		return node_error(node, b->errors, "found %s; expected a list, each item %s",
				  node_found(node, found), schema_form(key->type));
	}
	if (size) {
		list.items = arena_array(&b->snap->arena, count, size);
		if (!list.items)
			return -ENOMEM;
	} else {
		memset(field, 0, key->size); // bits replace those of the default
		if (!count)
			return node_error(
				node, b->errors,
				"found an empty list; expected at least one item, each %s",
				schema_form(key->type));
	}
	for (uint32_t i = 0; i < count; i++, n = n->next) {
		void *to = size ? (char *)list.items + i * size : field;
		int r = build_decode(b, key, n, to);

		if (r < 0)
			return r;
	}
	if (size)
		*(struct raw_list *)field = list;
	return 0;
}

static int fill_key(struct config_build *b, const struct schema_key *key,
		    const struct config_node *node, void *field)
{
	if (key->type == SCHEMA_SECTIONS)
		return fill_sections(b, key, node, field);
	if (key->type == SCHEMA_SECTION)
		return build_fill(b, key->child, node, field);
	if (key->type == SCHEMA_LEVELS && node->kind != NODE_MAP) {
		char found[NODE_FOUND_SIZE];

		return node_error(node, b->errors, "found %s; expected %s", node_found(node, found),
				  schema_form(key->type));
	}
	if (schema_is_list(key->type) || key->type == SCHEMA_LEVELS)
		return fill_list(b, key, node, field);
	return build_decode(b, key, node, field);
}

static int unknown_key(struct config_build *b, const struct schema_section *section,
		       const struct config_node *node)
{
	char near[160];

	if (schema_suggest(section, node->key, near, sizeof(near)))
		return node_key_error(node, b->errors,
				      "unknown key of the %s; did you mean \"%s\"?", section->name,
				      near);
	return node_key_error(node, b->errors,
			      "unknown key of the %s; doc/configuration.md lists those that exist",
			      section->name);
}

static int missing_key(struct config_build *b, const struct schema_key *key,
		       const struct config_node *node)
{
	char form[200] = "one of";
	size_t used = strlen(form);

	if (key->type != SCHEMA_WORD)
		return node_error(node, b->errors, "the key \"%s\" is missing; expected %s",
				  key->name, schema_form(key->type));
	for (const struct schema_word *w = key->words; w->word && used < sizeof(form); w++)
		used += (size_t)snprintf(form + used, sizeof(form) - used, "%s %s",
					 w == key->words ? "" : ",", w->word);
	return node_error(node, b->errors, "the key \"%s\" is missing; expected %s", key->name,
			  form);
}

int build_fill(struct config_build *b, const struct schema_section *section,
	       const struct config_node *node, void *ret_object)
{
	const void *image;
	int r = defaults_of(b, section, &image);

	if (r < 0)
		return r;
	memcpy(ret_object, image, section->size);
	if (!node || node->kind == NODE_NULL)
		return 0;
	if (section->has_node)
		*(const struct config_node **)ret_object = node;
	if (node->kind != NODE_MAP) {
		char found[NODE_FOUND_SIZE];

		return node_error(node, b->errors,
				  "found %s; expected a mapping (key: value) for the %s",
				  node_found(node, found), section->name);
	}
	for (const struct config_node *n = node->first; n && r == 0; n = n->next) {
		const struct schema_key *key = schema_find(section, n->key);

		if (!key)
			r = unknown_key(b, section, n);
		else if (n->kind != NODE_NULL || !key->child)
			r = fill_key(b, key, n, field_of(key, ret_object));
	}
	for (size_t i = 0; i < section->key_count && r == 0; i++) {
		const struct schema_key *key = &section->keys[i];

		if ((key->flags & SCHEMA_REQUIRED) && !node_get(node, key->name))
			r = missing_key(b, key, node);
	}
	return r;
}
