// SPDX-License-Identifier: Apache-2.0
// Files that a configuration names: users, and lists of domains. One entry a line, `#` comments.
#pragma once

#include <stddef.h>

struct arena;
struct config_errors;
struct config_node;
struct snap_names_builder;

#define LIST_FILE_MAX (256u * 1024 * 1024)
#define LIST_LINE_MAX 4096

// Users: `name:hash[:groups[:limits]]`, groups and limits divided by commas, limits as `key=value`
// with the keys of a user's `limits`:
//   alice:$y$j9T$...:staff,ops:connections=100,download=10Mbit/s
// Adds one mapping a line to the list `users`, in the shape of the `users` key and with its place, so
// that the schema checks it. What is not of the form is added to `errors`. -ENOMEM.
int users_file_parse(struct arena *arena, const char *origin, const char *text, size_t len,
		     struct config_errors *errors, struct config_node *users);

// Domains: one of the forms of snap/names.h a line. -ENOMEM.
int domains_file_parse(const char *origin, const char *text, size_t len,
		       struct config_errors *errors, struct snap_names_builder *names);
