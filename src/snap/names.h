// SPDX-License-Identifier: Apache-2.0
// A set of domain names and domain suffixes with look-up in constant time.
//
// Built once by the loader, read-only afterwards: look-ups are free for any thread. Entries:
//   example.com     that name only
//   .example.com    that name and every name below it
//   *.example.com   every name below it, not the name itself
// Names compare without case and without a trailing dot. An address literal is never a member.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct snap_names_slot;

struct snap_names {
	const struct snap_names_slot *slots; // mask + 1 of them, open addressing
	const char *text;                    // the names, one after the other
	uint32_t mask;
	uint32_t count;   // entries
	uint32_t longest; // bytes of the longest entry
};

// Is `host` (as base/host.h normalises names: lower case, no trailing dot) in the set? One hash a
// label, whatever the size of the set. False for an empty set. Any thread.
bool snap_names_match(const struct snap_names *names, const char *host, size_t len);

// Fills a set. Not for concurrent use.
struct snap_names_builder {
	char *text;
	size_t text_len, text_size;
	struct snap_names_entry *entries;
	size_t count, size;
};

void snap_names_builder_init(struct snap_names_builder *b);
void snap_names_builder_release(struct snap_names_builder *b);

// Adds one entry of a form above, in any case. -ENOMEM, -E2BIG past SNAP_NAMES_MAX entries, else
// what is wrong with the name, as host_error_text says it.
int snap_names_builder_add(struct snap_names_builder *b, const char *entry, size_t len);

#define SNAP_NAMES_MAX (16u * 1024 * 1024)

// Makes the set in `arena`, which keeps it. The builder can be released afterwards. -ENOMEM.
int snap_names_builder_build(struct snap_names_builder *b, struct arena *arena,
			     struct snap_names *ret_names);
