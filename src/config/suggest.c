// SPDX-License-Identifier: Apache-2.0
// The schema's answer to a mistyped word: what was most likely meant.
#include <stdio.h>
#include <string.h>

#include "config/schema.h"

#define WORD_MAX 40 // longer ones get no suggestion

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

// Edits (insert, delete, replace, swap of neighbours) that make one word of the other.
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned rows[3][WORD_MAX + 1];

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (unsigned j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned *now = rows[i % 3], *last = rows[(i - 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    rows[(i - 2) % 3][j - 2] + 1 < now[j])
				now[j] = rows[(i - 2) % 3][j - 2] + 1;
		}
	}
	return rows[na % 3][nb];
}

// How many edits may still be a slip: a third of the word.
static unsigned slip(const char *typed)
{
	size_t n = strlen(typed);

	return n <= 3 ? 1 : n <= 9 ? 2 : 3;
}

const char *schema_nearest(const char *typed, const char *(*next)(void *state, size_t i),
			   void *state)
{
	unsigned best = slip(typed) + 1;
	const char *found = NULL, *word;

	for (size_t i = 0; (word = next(state, i)); i++) {
		unsigned d = distance(typed, word);

		if (d < best) {
			best = d;
			found = word;
		}
	}
	return found;
}

static const char *next_key(void *state, size_t i)
{
	const struct schema_section *s = state;

	return i < s->key_count ? s->keys[i].name : NULL;
}

// Looks for a key of that very name anywhere in the schema. Sections hang together as a tree (a part
// is never above itself), so this ends.
static bool find_elsewhere(const struct schema_section *section, const char *name, char *ret_text,
			   size_t size)
{
	for (size_t i = 0; i < section->key_count; i++) {
		const struct schema_key *k = &section->keys[i];
		char below[128];

		if (strcmp(k->name, name) == 0) {
			snprintf(ret_text, size, "%s", k->name);
			return true;
		}
		if (k->child && find_elsewhere(k->child, name, below, sizeof(below))) {
			snprintf(ret_text, size, "%s%s.%s", k->name,
				 k->type == SCHEMA_SECTIONS ? "[]" : "", below);
			return true;
		}
	}
	return false;
}

enum schema_hint schema_suggest(const struct schema_section *section, const char *name,
				char *ret_text, size_t size)
{
	// next_key only reads the section.
	const char *near = schema_nearest(name, next_key, (void *)(uintptr_t)section);

	if (near) {
		snprintf(ret_text, size, "%s", near);
		return SCHEMA_HINT_HERE;
	}
	return find_elsewhere(schema_root, name, ret_text, size) ? SCHEMA_HINT_ELSEWHERE
								 : SCHEMA_HINT_NONE;
}
