// SPDX-License-Identifier: Apache-2.0
// Helpers of the compile steps: places, names, references. Internal to the room.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/raw.h"

struct config_build;
struct config_node;

// The node of `key` in a mapping, else the mapping's own, for an error about what is not written.
const struct config_node *compile_at(const struct config_node *map, const char *key);

// The node of item `i` of the list `key` (which may be one value without brackets).
const struct config_node *compile_item(const struct config_node *map, const char *key, uint32_t i);

// Gives what has no name one after its place, from 1: "route-3". -ENOMEM.
int compile_default_name(struct config_build *b, const char **name, const char *kind, uint32_t i);

void compile_target(const struct host *host, struct snap_target *ret_target);

// The listeners that `names` (a list under the key `listeners` of `node`) means; all when it is empty.
int compile_listener_mask(struct config_build *b, const struct config_node *node,
			  const struct raw_list *names, uint64_t *ret_mask);

// The parent that the key `parent` of `node` names; NULL for "direct" (then *ret_direct is set, when
// it is asked for) and when there is no name.
int compile_parent_ref(struct config_build *b, const struct config_node *node, const char *name,
		       const struct snap_parent **ret_parent, bool *ret_direct);

// The bitset of the groups in a list. What is no group is put into ret_unknown[i], which may be NULL
// when all are known. -ENOMEM.
int compile_groups(struct config_build *b, const struct raw_list *names, const char **ret_unknown,
		   const uint64_t **ret_bits);

// A set of the domains of a list. -ENOMEM.
int compile_names(struct config_build *b, const struct raw_list *domains,
		  struct snap_names *ret_names);
