// SPDX-License-Identifier: Apache-2.0
// From raw users (of the configuration, of the users file, of listeners) to the snapshot's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "config/build.h"
#include "config/compile.h"
#include "config/errors.h"
#include "config/file.h"
#include "config/hash_text.h"
#include "config/lists.h"
#include "config/node.h"
#include "config/schema.h"

#define USERS_MAX 2000000
#define GROUPS_MAX 4096

static int read_users_file(struct config_build *b, struct raw_list *ret_users)
{
	const struct config_node *at = compile_at(b->root, "users_file");
	struct config_node *list;
	struct config_text file;
	struct raw_user *users;
	char *path;
	uint32_t i = 0;
	int r;

	*ret_users = (struct raw_list){0};
	if (!b->raw.users_file)
		return 0;
	path = build_path(b, b->raw.users_file);
	r = path ? build_read(b, at, path, LIST_FILE_MAX, &file) : -ENOMEM;
	if (r < 0 || !file.text)
		return r;
	list = node_new(&b->scratch, NODE_LIST, path);
	r = list ? users_file_parse(&b->scratch, path, file.text, file.len, b->errors, list)
		 : -ENOMEM;
	config_text_release(&file);
	if (r < 0)
		return r;
	users = arena_array(&b->scratch, list->count, sizeof(*users));
	if (!users)
		return -ENOMEM;
	for (struct config_node *n = list->first; n; n = n->next) {
		n->parent = NULL; // paths begin at the line: "name", "limits.upload"
		r = build_fill(b, schema_user, n, &users[i++]);
		if (r < 0)
			return r;
	}
	*ret_users = (struct raw_list){users, list->count, true};
	return 0;
}

static void merge_limits(struct snap_limits *own, const struct snap_limits *of_all)
{
	if (own->connections == RAW_INHERIT32)
		own->connections = of_all->connections;
	if (own->connections_per_second == RAW_INHERIT32)
		own->connections_per_second = of_all->connections_per_second;
	if (own->upload_bps == RAW_INHERIT64)
		own->upload_bps = of_all->upload_bps;
	if (own->download_bps == RAW_INHERIT64)
		own->download_bps = of_all->download_bps;
}

static int compile_credential(struct config_build *b, const struct raw_user *raw,
			      struct snap_user *u)
{
	enum snap_hash_kind kind = SNAP_HASH_KEYED;
	char keyed[HASH_KEYED_TEXT];

	if (raw->password && raw->password_hash)
		return node_error(compile_at(raw->node, "password"), b->errors,
				  "password_hash is given too; remove one of them");
	if (!raw->password && !raw->password_hash) {
		if (node_get(raw->node, "password") || node_get(raw->node, "password_hash"))
			return 0; // there was an error already
		return node_error(raw->node, b->errors,
				  "no password_hash; `sluice passwd` makes one");
	}
	if (raw->password_hash) {
		hash_text_check(raw->password_hash, strlen(raw->password_hash), &kind);
		u->hash = raw->password_hash;
	} else {
		// The snapshot keeps the hash only.
		hash_keyed_password(raw->password, strlen(raw->password), keyed);
		u->hash = arena_text(&b->snap->arena, keyed, strlen(keyed));
		if (!u->hash)
			return -ENOMEM;
		explicit_bzero((char *)(uintptr_t)raw->password, strlen(raw->password));
	}
	u->hash_kind = (uint8_t)kind;
	u->credential_id = snap_id(u->id, u->hash, strlen(u->hash));
	return 0;
}

// All names of groups, sorted, each once.
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct gather {
	const char **names;
	uint32_t count;
};

static void gather_names(struct gather *g, const struct raw_list *list)
{
	const char *const *items = list->items;

	for (uint32_t i = 0; i < list->count; i++)
		if (items[i])
			g->names[g->count++] = items[i];
}

// The raw users of one place, and where they may log in.
struct source {
	struct raw_list users;
	uint64_t scope;
};

static int build_groups(struct config_build *b, const struct source *sources, uint32_t count)
{
	size_t total = b->raw.groups.count;
	struct gather g = {0};
	uint32_t unique = 0;

	for (uint32_t s = 0; s < count; s++)
		for (uint32_t i = 0; i < sources[s].users.count; i++)
			total += ((struct raw_user *)sources[s].users.items)[i].groups.count;
	g.names = arena_array(&b->scratch, total, sizeof(*g.names));
	if (!g.names)
		return -ENOMEM;
	gather_names(&g, &b->raw.groups);
	for (uint32_t s = 0; s < count; s++)
		for (uint32_t i = 0; i < sources[s].users.count; i++)
			gather_names(&g, &((struct raw_user *)sources[s].users.items)[i].groups);
	qsort(g.names, g.count, sizeof(*g.names), compare_names);
	for (uint32_t i = 0; i < g.count; i++)
		if (!unique || strcmp(g.names[unique - 1], g.names[i]) != 0)
			g.names[unique++] = g.names[i];
	if (unique > GROUPS_MAX)
		return node_error(b->root, b->errors, "%u groups; at most %d are supported", unique,
				  GROUPS_MAX);
	b->snap->groups = arena_array(&b->snap->arena, unique, sizeof(*g.names));
	if (!b->snap->groups)
		return -ENOMEM;
	memcpy((void *)(uintptr_t)b->snap->groups, g.names, unique * sizeof(*g.names));
	b->snap->group_count = unique;
	b->snap->group_words = (unique + 63) / 64;
	return 0;
}

int compile_groups(struct config_build *b, const struct raw_list *names, const char **ret_unknown,
		   const uint64_t **ret_bits)
{
	const char *const *items = names->items;
	uint64_t *bits = arena_array(&b->snap->arena, b->snap->group_words, sizeof(*bits));

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < names->count; i++) {
		const char *const *at;
		size_t index;

		if (!items[i])
			continue; // there was an error already
		at = bsearch(&items[i], b->snap->groups, b->snap->group_count, sizeof(*at),
			     compare_names);
		if (!at) {
			if (ret_unknown)
				ret_unknown[i] = items[i];
			continue;
		}
		index = (size_t)(at - b->snap->groups);
		bits[index / 64] |= UINT64_C(1) << (index % 64);
	}
	*ret_bits = bits;
	return 0;
}

static int compile_user(struct config_build *b, struct raw_user *raw, uint64_t scope,
			struct snap_user *u)
{
	int r;

	u->name = raw->name ? raw->name : ""; // without a name there was an error already
	u->name_len = (uint16_t)strlen(u->name);
	u->scope = scope;
	u->id = snap_id(scope, u->name, u->name_len);
	u->limits = raw->limits;
	merge_limits(&u->limits, &b->snap->per_user);
	r = compile_credential(b, raw, u);
	// Every group of a user is known: they were gathered from here.
	return r < 0 ? r : compile_groups(b, &raw->groups, NULL, &u->groups);
}

// Reports users who stand twice; both in one scope.
static int report_twins(struct config_build *b, const struct raw_user *const *raws)
{
	struct snap *s = b->snap;
	struct snap_index_slot *seen;
	uint32_t size = 4;
	int r = 0;

	while (size < s->user_count * 2)
		size *= 2;
	seen = arena_array(&b->scratch, size, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	for (uint32_t u = 0; u < s->user_count && r == 0; u++) {
		const struct config_node *first;
		uint32_t i = (uint32_t)s->users[u].id & (size - 1);

		while (seen[i].index_plus_1 && seen[i].id != s->users[u].id)
			i = (i + 1) & (size - 1);
		if (!seen[i].index_plus_1) {
			seen[i] = (struct snap_index_slot){s->users[u].id, u + 1};
			continue;
		}
		first = raws[seen[i].index_plus_1 - 1]->node;
		if (*s->users[u].name)
			r = node_error(compile_at(raws[u]->node, "name"), b->errors,
				       "the user \"%s\" stands in %s line %u too; names are unique",
				       s->users[u].name, first->origin, first->line);
	}
	return r;
}

static int compile_all(struct config_build *b, const struct source *sources, uint32_t source_count,
		       uint32_t user_count)
{
	struct snap_user *users = arena_array(&b->snap->arena, user_count, sizeof(*users));
	const struct raw_user **raws = arena_array(&b->scratch, user_count, sizeof(*raws));
	uint32_t n = 0;
	int r;

	if (!users || !raws)
		return -ENOMEM;
	for (uint32_t s = 0; s < source_count; s++) {
		for (uint32_t i = 0; i < sources[s].users.count; i++, n++) {
			struct raw_user *raw = (struct raw_user *)sources[s].users.items + i;

			raws[n] = raw;
			users[n].index = n;
			r = compile_user(b, raw, sources[s].scope, &users[n]);
			if (r < 0)
				return r;
		}
	}
	b->snap->users = users;
	b->snap->user_count = n;
	r = snap_index_users(b->snap);
	return r == -EEXIST ? report_twins(b, raws) : r;
}

int build_users(struct config_build *b)
{
	const struct raw_listener *listeners = b->raw.listeners.items;
	uint32_t count = 2;
	uint64_t total;
	struct source *sources =
		arena_array(&b->scratch, 2 + b->raw.listeners.count, sizeof(*sources));
	int r;

	if (!sources)
		return -ENOMEM;
	sources[0].users = b->raw.users;
	r = read_users_file(b, &sources[1].users);
	if (r < 0)
		return r;
	total = (uint64_t)sources[0].users.count + sources[1].users.count;
	for (uint32_t i = 0; i < b->snap->listener_count; i++) {
		sources[count].users = listeners[i].users;
		sources[count++].scope = b->snap->listeners[i].id;
		total += listeners[i].users.count;
	}
	if (total > USERS_MAX)
		return node_error(b->root, b->errors, "more than %d users", USERS_MAX);
	r = build_groups(b, sources, count);
	return r < 0 ? r : compile_all(b, sources, count, (uint32_t)total);
}
