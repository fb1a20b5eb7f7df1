// SPDX-License-Identifier: Apache-2.0
// From raw access rules to the snapshot's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/compile.h"
#include "config/errors.h"
#include "config/file.h"
#include "config/lists.h"
#include "config/node.h"
#include "config/schema.h"
#include "config/zoneinfo.h"

#define RULES_MAX 10000

// A list of domains that was read, for other rules that name the same file.
struct build_domain_file {
	struct build_domain_file *next;
	const char *path;
	struct snap_names names;
};

struct build_zone {
	struct build_zone *next;
	struct snap_zone zone;
};

static int find_users(struct config_build *b, const char *name, uint32_t *indices, uint32_t *count)
{
	const struct snap *s = b->snap;
	size_t len = strlen(name);
	const struct snap_user *u = snap_user_by_id(s, snap_id(0, name, len));
	uint32_t before = *count;

	if (u)
		indices[(*count)++] = u->index;
	for (uint32_t i = 0; i < s->listener_count; i++) {
		u = s->listeners[i].own_users
			    ? snap_user_by_id(s, snap_id(s->listeners[i].id, name, len))
			    : NULL;
		if (u)
			indices[(*count)++] = u->index;
	}
	return *count > before ? 0 : -ENOENT;
}

static const char *next_user(void *state, size_t i)
{
	const struct snap *s = state;

	return i < s->user_count && i < 10000 ? s->users[i].name : NULL;
}

static const char *next_group(void *state, size_t i)
{
	const struct snap *s = state;

	return i < s->group_count ? s->groups[i] : NULL;
}

static int compare_indices(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

// One name may mean a user in each listener that has users of its own.
static int compile_users(struct config_build *b, const struct raw_rule *raw, struct snap_rule *rule)
{
	const char *const *names = raw->users.items;
	uint32_t scopes = 1;
	uint32_t *indices;
	int r = 0;

	for (uint32_t i = 0; i < b->snap->listener_count; i++)
		scopes += b->snap->listeners[i].own_users;
	indices = arena_array(&b->snap->arena, (size_t)raw->users.count * scopes, sizeof(*indices));
	if (!indices)
		return -ENOMEM;
	for (uint32_t i = 0; i < raw->users.count && r == 0; i++) {
		const char *near;

		if (!names[i])
			continue; // there was an error already
		if (strcmp(names[i], "*") == 0) {
			rule->any_user = true;
			continue;
		}
		if (find_users(b, names[i], indices, &rule->user_count) == 0)
			continue;
		near = schema_nearest(names[i], next_user, b->snap);
		r = node_error(compile_item(raw->node, "users", i), b->errors,
			       "no user has the name \"%s\"%s%s%s", names[i],
			       near ? "; did you mean \"" : "", near ? near : "",
			       near ? "\"?" : "");
	}
	qsort(indices, rule->user_count, sizeof(*indices), compare_indices);
	rule->users = indices;
	return r;
}

static int compile_rule_groups(struct config_build *b, const struct raw_rule *raw,
			       struct snap_rule *rule)
{
	const char **missing = arena_array(&b->scratch, raw->groups.count, sizeof(*missing));
	int r;

	if (!missing)
		return -ENOMEM;
	r = compile_groups(b, &raw->groups, missing, &rule->groups);
	for (uint32_t i = 0; i < raw->groups.count && r == 0; i++) {
		const char *near;

		if (!missing[i])
			continue;
		near = schema_nearest(missing[i], next_group, b->snap);
		r = node_error(compile_item(raw->node, "groups", i), b->errors,
			       "no user is in the group \"%s\"%s%s%s; a group without users is "
			       "declared by groups: [%s] at the top",
			       missing[i], near ? "; did you mean \"" : "", near ? near : "",
			       near ? "\"?" : "", missing[i]);
	}
	return r;
}

// How long a prefix must be for the block to lie wholly inside the guarded range that its first
// address belongs to (see endpoint_classify); 0 when that address is not guarded.
static unsigned guarded_prefix(const struct cidr *block)
{
	static const struct {
		unsigned class;
		uint8_t v4, v6;
	} rows[] = {
		{ENDPOINT_METADATA, 32, 128},   {ENDPOINT_BROADCAST, 32, 128},
		{ENDPOINT_UNSPECIFIED, 8, 128}, {ENDPOINT_LOOPBACK, 8, 128},
		{ENDPOINT_LINK_LOCAL, 16, 10},  {ENDPOINT_MULTICAST, 4, 8},
	};
	struct endpoint carried[ENDPOINT_EMBEDDED_MAX];
	struct endpoint first = block->family == AF_INET ? endpoint_v4_bytes(block->ip, 0)
							 : endpoint_v6(block->ip, 0, 0);
	unsigned class = endpoint_classify(&first);

	if (endpoint_embedded(&first, carried))
		return 128;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (class & rows[i].class)
			return block->family == AF_INET ? rows[i].v4 : rows[i].v6;
	return 0;
}

// The blocks by which an allow rule lifts the guard of local addresses.
static int compile_local(struct config_build *b, const struct raw_list *blocks,
			 struct snap_rule *rule)
{
	struct cidr *inside = arena_array(&b->scratch, blocks->count, sizeof(*inside));
	struct cidr *hosts = arena_array(&b->scratch, blocks->count, sizeof(*hosts));
	size_t inside_count = 0, host_count = 0;
	int r;

	if (!inside || !hosts)
		return -ENOMEM;
	for (uint32_t i = 0; i < blocks->count; i++) {
		const struct cidr *c = (const struct cidr *)blocks->items + i;
		unsigned need = guarded_prefix(c);

		if (need && c->prefix >= need)
			inside[inside_count++] = *c;
		if (c->prefix == (c->family == AF_INET ? 32 : 128))
			hosts[host_count++] = *c;
	}
	r = snap_addrs_build(inside, inside_count, &b->snap->arena, &rule->local);
	if (r == 0)
		r = snap_addrs_build(hosts, host_count, &b->snap->arena, &rule->local_hosts);
	return r;
}

static int read_domains(struct config_build *b, const struct config_node *at, const char *name,
			const struct snap_names **ret_names)
{
	struct build_domain_file *f;
	struct snap_names_builder names;
	struct config_text file;
	char *path = build_path(b, name);
	int r;

	if (!path)
		return -ENOMEM;
	for (f = b->domain_files; f && strcmp(f->path, path) != 0; f = f->next)
		;
	if (f) {
		*ret_names = &f->names;
		return 0;
	}
	r = build_read(b, at, path, LIST_FILE_MAX, &file);
	if (r < 0 || !file.text)
		return r;
	f = arena_alloc(&b->snap->arena, sizeof(*f));
	snap_names_builder_init(&names);
	r = f ? domains_file_parse(path, file.text, file.len, b->errors, &names) : -ENOMEM;
	config_text_release(&file);
	if (r == 0)
		r = snap_names_builder_build(&names, &b->snap->arena, &f->names);
	snap_names_builder_release(&names);
	if (r < 0)
		return r;
	f->path = path;
	f->next = b->domain_files;
	b->domain_files = f;
	*ret_names = &f->names;
	return 0;
}

static int compile_rule_domains(struct config_build *b, const struct raw_rule *raw,
				struct snap_rule *rule)
{
	const char *const *files = raw->domains_files.items;
	const struct snap_names **sets =
		arena_array(&b->snap->arena, (size_t)raw->domains_files.count + 1, sizeof(*sets));
	int r = 0;

	if (!sets)
		return -ENOMEM;
	if (raw->domains.count) {
		struct snap_names *inline_names =
			arena_alloc(&b->snap->arena, sizeof(*inline_names));

		r = inline_names ? compile_names(b, &raw->domains, inline_names) : -ENOMEM;
		sets[rule->domain_count++] = inline_names;
	}
	for (uint32_t i = 0; i < raw->domains_files.count && r == 0; i++) {
		const struct snap_names *names = NULL;

		if (files[i])
			r = read_domains(b, compile_item(raw->node, "domains_files", i), files[i],
					 &names);
		if (names)
			sets[rule->domain_count++] = names;
	}
	rule->domains = sets;
	return r;
}

static int find_zone(struct config_build *b, const struct config_node *at, const char *name,
		     const struct snap_zone **ret_zone)
{
	struct build_zone *z;
	int r;

	for (z = b->zones; z && strcmp(z->zone.name, name) != 0; z = z->next)
		;
	if (!z) {
		z = arena_alloc(&b->snap->arena, sizeof(*z));
		if (!z)
			return -ENOMEM;
		z->zone.name = name;
		r = zoneinfo_load(name, b->wall_seconds, &b->snap->arena, &z->zone);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			return node_error(
				at, b->errors,
				"found \"%s\"; expected a zone of the tz database that is "
				"installed here (package tzdata), such as Europe/Vienna, or "
				"UTC: %s",
				name, r == -EINVAL ? "not a zone file" : strerror(-r));
		z->next = b->zones;
		b->zones = z;
	}
	*ret_zone = &z->zone;
	return 0;
}

static int compile_time(struct config_build *b, const struct raw_time *raw, struct snap_rule *rule)
{
	if (!raw->zone)
		return 0; // there was an error already
	rule->time.days = raw->days;
	rule->time.from_minutes = raw->from_minutes;
	rule->time.to_minutes = raw->to_minutes;
	if (raw->from_minutes == 24 * 60)
		return node_error(compile_at(raw->node, "from"), b->errors,
				  "24:00 is the end of a day; write \"00:00\" and the next day");
	return find_zone(b, compile_at(raw->node, "zone"), raw->zone, &rule->time.zone);
}

static uint32_t conditions_of(const struct raw_rule *raw)
{
	return (raw->users.given || raw->groups.given ? SNAP_IF_WHO : 0u) |
	       (raw->sources.given ? SNAP_IF_SOURCE : 0u) |
	       (raw->destinations.given ? SNAP_IF_DESTINATION : 0u) |
	       (raw->ports.given ? SNAP_IF_PORT : 0u) |
	       (raw->domains.given || raw->domains_files.given ? SNAP_IF_DOMAIN : 0u) |
	       (raw->protocols ? SNAP_IF_PROTOCOL : 0u) | (raw->time.node ? SNAP_IF_TIME : 0u) |
	       (raw->listeners.given ? SNAP_IF_LISTENER : 0u);
}

// A condition with an empty list would never hold, which nobody means.
static int check_empty(struct config_build *b, const struct raw_rule *raw)
{
	static const char *const keys[] = {"users",         "groups",    "sources",
					   "destinations",  "ports",     "domains",
					   "domains_files", "listeners", "time"};
	int r = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && r == 0; i++) {
		const struct config_node *n = node_get(raw->node, keys[i]);

		// For a list without a value there was an error already.
		if (n && ((n->kind == NODE_LIST && !n->count) ||
			  (n->kind == NODE_NULL && strcmp(n->key, "time") == 0)))
			r = node_error(
				n, b->errors,
				"an empty condition; remove the key where it does not matter, "
				"or the rule where nothing should match");
	}
	return r;
}

static int compile_rule(struct config_build *b, struct raw_rule *raws, uint32_t i,
			struct snap_rule *rule)
{
	struct raw_rule *raw = &raws[i];
	const struct config_node *action;
	int r = compile_default_name(b, &raw->name, "rule", i);

	rule->name = raw->name;
	rule->index = i;
	rule->action = raw->action;
	rule->protocols = raw->protocols;
	rule->conditions = conditions_of(raw);
	rule->ports = raw->ports.items;
	rule->port_count = raw->ports.count;
	for (uint32_t k = 0; k < i && r == 0; k++)
		if (strcmp(raws[k].name, raw->name) == 0)
			r = node_error(compile_at(raw->node, "name"), b->errors,
				       "acl[%u] has the name \"%s\" too; names are unique", k,
				       raw->name);
	if (r == 0)
		r = check_empty(b, raw);
	if (r == 0)
		r = compile_listener_mask(b, raw->node, &raw->listeners, &rule->listeners);
	if (r == 0 && raw->users.count)
		r = compile_users(b, raw, rule);
	if (r == 0 && raw->groups.count)
		r = compile_rule_groups(b, raw, rule);
	if (r == 0)
		r = snap_addrs_build(raw->sources.items, raw->sources.count, &b->snap->arena,
				     &rule->sources);
	if (r == 0)
		r = snap_addrs_build(raw->destinations.items, raw->destinations.count,
				     &b->snap->arena, &rule->destinations);
	if (r == 0 && raw->action == SNAP_ALLOW)
		r = compile_local(b, &raw->destinations, rule);
	if (r == 0)
		r = compile_rule_domains(b, raw, rule);
	if (r == 0 && raw->time.node)
		r = compile_time(b, &raw->time, rule);
	action = node_get(raw->node, "action");
	if (r == 0 && raw->parent && action && action->text && strcmp(action->text, "deny") == 0)
		r = node_error(compile_at(raw->node, "parent"), b->errors,
			       "a deny rule connects nowhere; remove parent, or make it allow");
	return r < 0 ? r
		     : compile_parent_ref(b, raw->node, raw->parent, &rule->parent, &rule->direct);
}

int build_rules(struct config_build *b)
{
	struct raw_rule *raws = b->raw.acl.items;
	uint32_t count = b->raw.acl.count;
	struct snap_rule *rules;
	int r = 0;

	if (count > RULES_MAX)
		return node_error(compile_at(b->root, "acl"), b->errors,
				  "%u rules; at most %d are supported", count, RULES_MAX);
	rules = arena_array(&b->snap->arena, count, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = compile_rule(b, raws, i, &rules[i]);
	b->snap->rules = rules;
	b->snap->rule_count = count;
	return r;
}
