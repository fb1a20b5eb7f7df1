// SPDX-License-Identifier: Apache-2.0
// The configuration as a tree of mappings, lists and scalars with their places in the text.
//
// Nodes live in the arena that they were made in. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct config_errors;

#define CONFIG_DEPTH_MAX 16
#define CONFIG_NODES_MAX 4000000
#define CONFIG_KEYS_MAX 1000 // in one mapping

enum node_kind {
	NODE_NULL, // written as nothing, ~ or null
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct config_node {
	struct config_node *parent;       // NULL = root
	struct config_node *first, *last; // children in order
	struct config_node *next;         // sibling
	const char *key;                  // in a mapping: its key; else NULL
	const char *text;                 // NODE_SCALAR, NUL-terminated
	const char *origin;               // file name, "environment", ...
	uint32_t text_len;
	uint32_t count;                // children
	uint32_t index;                // among its siblings
	uint32_t line, column;         // from 1; 0 = no place in a text
	uint32_t key_line, key_column; // of its key, in a mapping that was read
	uint8_t kind;
	bool plain; // a scalar without quotes: may be a number or a boolean
};

// Reads one YAML (or JSON) document. A syntax error, a duplicate key, an alias, a tag, a second
// document or a passed bound is added to `errors`, and *ret_root is then NULL (except for a
// duplicate key, after which reading goes on). An empty document gives a NODE_MAP without children.
// 0, or -ENOMEM.
int node_read(struct arena *arena, const char *origin, const char *text, size_t len,
	      struct config_errors *errors, struct config_node **ret_root);

// A new node without a place in a text. NULL without memory.
struct config_node *node_new(struct arena *arena, enum node_kind kind, const char *origin);
struct config_node *node_new_text(struct arena *arena, const char *text, size_t len,
				  const char *origin);

// Appends a child; `key` (copied) for mappings, else NULL. -ENOMEM.
int node_append(struct arena *arena, struct config_node *parent, const char *key,
		struct config_node *child);

// Puts what `from` holds in the place of `node`, which keeps its key, parent and siblings.
void node_replace(struct config_node *node, const struct config_node *from);

// The child of a mapping by key, or of a list by index; NULL when there is none or `node` is NULL.
struct config_node *node_get(const struct config_node *node, const char *key);
struct config_node *node_at(const struct config_node *node, uint32_t index);

// "listeners[0].address"; "" for the root. Always NUL-terminated; cut to `size`.
void node_path(const struct config_node *node, char *ret_path, size_t size);
#define NODE_PATH_SIZE 256

// Adds an error or warning at the node. -ENOMEM.
int node_error(const struct config_node *node, struct config_errors *errors, const char *format,
	       ...) __attribute__((format(printf, 3, 4)));
int node_warning(const struct config_node *node, struct config_errors *errors, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

// The same at the node's key, for what is wrong with the key rather than the value.
int node_key_error(const struct config_node *node, struct config_errors *errors, const char *format,
		   ...) __attribute__((format(printf, 3, 4)));

// What stands there, for an error text: `"x"` (cut), `a list`, `a mapping`, `nothing`.
#define NODE_FOUND_SIZE 80
const char *node_found(const struct config_node *node, char ret_text[NODE_FOUND_SIZE]);
