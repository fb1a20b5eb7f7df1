// SPDX-License-Identifier: Apache-2.0
// The schema: one table of sections and keys, from which parser, environment, dump and reference work.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a value is, how it is written, and what its field is in C.
enum schema_type {
	SCHEMA_SECTION,    // a mapping; the child section's struct in place
	SCHEMA_SECTIONS,   // a list of mappings; struct raw_list of the child's struct
	SCHEMA_BOOL,       // bool
	SCHEMA_INT,        // uint32_t; `words` may name values such as "auto"; no default: all ones
	SCHEMA_DURATION,   // uint64_t, nanoseconds
	SCHEMA_SIZE,       // uint32_t or uint64_t, bytes
	SCHEMA_RATE,       // uint64_t, bytes per second; no default: all ones
	SCHEMA_WORD,       // an enum; one of `words`
	SCHEMA_WORDS,      // uint32_t bit mask; a list of `words`
	SCHEMA_NAME,       // const char *; letters, digits, '.', '_', '-'
	SCHEMA_NAMES,      // raw_list of const char *
	SCHEMA_USER_NAME,  // const char *
	SCHEMA_USER_NAMES, // raw_list of const char *; "*" is any user
	SCHEMA_TEXT,       // const char *; printable
	SCHEMA_SECRET,     // const char *; printable, never shown
	SCHEMA_PATH,       // const char *; a file, relative to the configuration file
	SCHEMA_PATHS,      // raw_list of const char *
	SCHEMA_OUTPUT,     // const char *; stdout, stderr or an absolute path
	SCHEMA_HASH,       // const char *; a password hash, never shown
	SCHEMA_LISTEN,     // struct raw_listen
	SCHEMA_TARGET,     // struct host
	SCHEMA_TARGETS,    // raw_list of struct host
	SCHEMA_SERVERS,    // raw_list of struct endpoint; port 53 where none is given
	SCHEMA_CIDRS,      // raw_list of struct cidr
	SCHEMA_PORTS,      // raw_list of struct snap_port_range
	SCHEMA_DOMAINS,    // raw_list of const char *
	SCHEMA_HOST_NAMES, // raw_list of const char *
	SCHEMA_DAYS,       // uint8_t bit mask, bit 0 = Sunday
	SCHEMA_TIME,       // uint16_t, minutes after midnight
	SCHEMA_ZONE,       // const char *
	SCHEMA_LEVELS,     // raw_list of struct snap_log_module_level; a mapping
};

enum schema_flag {
	SCHEMA_REQUIRED = 1u << 0,
};

struct schema_word {
	const char *word;
	uint32_t value;
};

struct schema_section;

struct schema_key {
	const char *name;
	enum schema_type type;
	uint16_t offset;                    // of the field in the section's struct
	uint16_t size;                      // of the field
	const char *fallback;               // the default as it would be written; NULL = none
	uint64_t min, max;                  // of numbers, in the field's unit
	const struct schema_word *words;    // ends with a NULL word
	const struct schema_section *child; // SCHEMA_SECTION, SCHEMA_SECTIONS
	unsigned flags;
	const char *help;
};

struct schema_section {
	const char *name; // for people: "listener"
	const char *help;
	const struct schema_key *keys;
	size_t key_count;
	size_t size;   // of the section's struct
	bool has_node; // the struct begins with the struct config_node * that it came from
};

// The section of the whole file; the others hang below it.
extern const struct schema_section *const schema_root;

// One user: a line of the users file has that shape too.
extern const struct schema_section *const schema_user;

// NULL when the section has no such key.
const struct schema_key *schema_find(const struct schema_section *section, const char *name);

// The key that a mistyped name most likely means.
enum schema_hint {
	SCHEMA_HINT_NONE,
	SCHEMA_HINT_HERE,      // ret_text is a key of the section
	SCHEMA_HINT_ELSEWHERE, // ret_text is a path from the root: "timeouts.connect"
};
enum schema_hint schema_suggest(const struct schema_section *section, const char *name,
				char *ret_text, size_t size);

// The word of a list that is nearest to a mistyped one, or NULL. `next` gives the words, NULL ends.
const char *schema_nearest(const char *typed, const char *(*next)(void *state, size_t i),
			   void *state);

bool schema_is_secret(enum schema_type type);
bool schema_is_list(enum schema_type type);

// What a value of that type looks like, for errors and the reference: "a duration such as 10s".
const char *schema_form(enum schema_type type);
