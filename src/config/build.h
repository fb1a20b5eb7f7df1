// SPDX-License-Identifier: Apache-2.0
// What the steps of one load share. Internal to the room; one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/raw.h"

struct config_errors;
struct config_node;
struct config_text;
struct json_t;
struct schema_key;
struct schema_section;

#define CONFIG_SECTIONS_MAX 32

// Every step returns 0 or -ENOMEM; what is wrong with the configuration goes to `errors`.
struct config_build {
	struct arena scratch; // gone when the load ends
	struct snap *snap;
	struct config_errors *errors;
	const char *dir; // where relative paths begin; ends with '/', or is ""
	struct config_node *root;
	struct raw_config raw;
	int64_t wall_seconds;
	const char *const *log_modules; // NULL = any
	struct {
		const struct schema_section *section;
		void *image;
	} defaults[CONFIG_SECTIONS_MAX];
	size_t default_count;
	struct build_domain_file *domain_files; // that were read
	struct build_zone *zones;
	struct raw_list all_users; // struct raw_user: global ones, from the file, of listeners
};

// fill.c: decodes a mapping by the schema into the section's struct. `node` may be NULL or
// NODE_NULL: all defaults.
int build_fill(struct config_build *b, const struct schema_section *section,
	       const struct config_node *node, void *ret_object);

// decode.c: decodes one scalar, or one item of a list. On a bad value an error is added and `to`
// is left alone.
int build_decode(struct config_build *b, const struct schema_key *key,
		 const struct config_node *node, void *to);
// Bytes of a list's item; 0 when items are bits of a mask.
size_t build_item_size(const struct schema_key *key);

// encode.c: the effective configuration as JSON text in the snapshot's arena.
int build_dump(struct config_build *b, const char **ret_json);

// compile_*.c: raw configuration to snapshot, with all checks across keys. In this order.
int build_settings(struct config_build *b);
int build_listeners(struct config_build *b);
int build_parents(struct config_build *b);
int build_users(struct config_build *b);
int build_routes(struct config_build *b);
int build_rules(struct config_build *b);
int build_check(struct config_build *b);

// Helpers for these.
char *build_path(struct config_build *b, const char *path); // made absolute from b->dir
// Reads a file that the configuration names, with its absolute path, and notes it in snap->files. When
// it cannot be read that is reported at `at`, and ret_text->text is NULL.
int build_read(struct config_build *b, const struct config_node *at, const char *path, size_t max,
	       struct config_text *ret_text);
int build_note_file(struct config_build *b, const char *path);
