// SPDX-License-Identifier: Apache-2.0
// Helpers of the compile steps: places, names, references, and the plain settings.
#include "config/compile.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http_syntax.h"
#include "config/build.h"
#include "config/errors.h"
#include "config/file.h"
#include "config/node.h"
#include "config/schema.h"

const struct config_node *compile_at(const struct config_node *map, const char *key)
{
	const struct config_node *n = node_get(map, key);

	return n ? n : map;
}

const struct config_node *compile_item(const struct config_node *map, const char *key, uint32_t i)
{
	const struct config_node *list = compile_at(map, key);
	const struct config_node *n = node_at(list, i);

	return n ? n : list;
}

int compile_default_name(struct config_build *b, const char **name, const char *kind, uint32_t i)
{
	char text[32];
	int n;

	if (*name)
		return 0;
	n = snprintf(text, sizeof(text), "%s-%u", kind, i + 1);
	*name = arena_text(&b->snap->arena, text, (size_t)n);
	return *name ? 0 : -ENOMEM;
}

void compile_target(const struct host *host, struct snap_target *ret_target)
{
	char text[HOST_STRLEN];
	size_t len = host_format(host, text);

	*ret_target = (struct snap_target){snap_id(0, text, len), *host};
}

static const char *next_listener(void *state, size_t i)
{
	const struct snap *s = state;

	return i < s->listener_count ? s->listeners[i].name : NULL;
}

static const char *next_parent(void *state, size_t i)
{
	const struct snap *s = state;

	return i < s->parent_count ? s->parents[i].name : NULL;
}

static int unknown(struct config_build *b, const struct config_node *at, const char *kind,
		   const char *name, const char *near)
{
	return node_error(at, b->errors, "no %s has the name \"%s\"%s%s%s", kind, name,
			  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int compile_listener_mask(struct config_build *b, const struct config_node *node,
			  const struct raw_list *names, uint64_t *ret_mask)
{
	const char *const *items = names->items;
	uint64_t mask = 0;

	for (uint32_t i = 0; i < names->count; i++) {
		const struct snap_listener *l = NULL;
		int r;

		if (!items[i])
			continue; // not a name: there was an error already
		l = snap_listener_by_id(b->snap, snap_id(0, items[i], strlen(items[i])));
		if (l) {
			mask |= UINT64_C(1) << l->index;
			continue;
		}
		r = unknown(b, compile_item(node, "listeners", i), "listener", items[i],
			    schema_nearest(items[i], next_listener, b->snap));
		if (r < 0)
			return r;
	}
	*ret_mask = names->count ? mask : UINT64_MAX;
	return 0;
}

int compile_parent_ref(struct config_build *b, const struct config_node *node, const char *name,
		       const struct snap_parent **ret_parent, bool *ret_direct)
{
	*ret_parent = NULL;
	if (!name)
		return 0;
	if (strcmp(name, "direct") == 0) {
		if (ret_direct)
			*ret_direct = true;
		return 0;
	}
	*ret_parent = snap_parent_by_id(b->snap, snap_id(0, name, strlen(name)));
	if (*ret_parent)
		return 0;
	return unknown(b, compile_at(node, "parent"), "parent", name,
		       schema_nearest(name, next_parent, b->snap));
}

int compile_names(struct config_build *b, const struct raw_list *domains,
		  struct snap_names *ret_names)
{
	const char *const *items = domains->items;
	struct snap_names_builder names;
	int r = 0;

	snap_names_builder_init(&names);
	// A NULL item was not a name: there was an error already.
	for (uint32_t i = 0; i < domains->count && r == 0; i++)
		if (items[i])
			r = snap_names_builder_add(&names, items[i], strlen(items[i]));
	if (r == 0)
		r = snap_names_builder_build(&names, &b->snap->arena, ret_names);
	snap_names_builder_release(&names);
	return r;
}

char *build_path(struct config_build *b, const char *path)
{
	size_t dir = *path == '/' ? 0 : strlen(b->dir), len = strlen(path);
	char *whole = arena_alloc(&b->snap->arena, dir + len + 1);

	if (whole) {
		memcpy(whole, b->dir, dir);
		memcpy(whole + dir, path, len);
	}
	return whole;
}

int build_note_file(struct config_build *b, const char *path)
{
	const char **files;
	uint32_t n = b->snap->file_count;

	// Grows by doubling: room is there unless the count is a power of two.
	if (!(n & (n - 1))) {
		files = arena_array(&b->snap->arena, n ? (size_t)n * 2 : 1, sizeof(*files));
		if (!files)
			return -ENOMEM;
		if (n)
			memcpy(files, b->snap->files, n * sizeof(*files));
		b->snap->files = files;
	} else {
		files = (const char **)(uintptr_t)b->snap->files;
	}
	files[n] = path;
	b->snap->file_count = n + 1;
	return 0;
}

int build_read(struct config_build *b, const struct config_node *at, const char *path, size_t max,
	       struct config_text *ret_text)
{
	int r = build_note_file(b, path);

	if (r < 0)
		return r;
	*ret_text = (struct config_text){0};
	r = config_text_read(path, max, ret_text);
	if (r == 0 || r == -ENOMEM)
		return r;
	return node_error(at, b->errors, "%s cannot be read: %s", path, strerror(-r));
}

// The addresses of this host's interfaces, which an admin listener on all addresses answers on.
static int find_own_addresses(struct config_build *b)
{
	struct ifaddrs *all, *a;
	struct cidr *blocks;
	size_t count = 0;
	int r;

	if (getifaddrs(&all) < 0)
		return errno == ENOMEM ? -ENOMEM : 0; // then the client's own view has to do
	for (a = all; a; a = a->ifa_next)
		count++;
	blocks = arena_array(&b->scratch, count, sizeof(*blocks));
	count = 0;
	for (a = all; a && blocks; a = a->ifa_next) {
		socklen_t len = a->ifa_addr && a->ifa_addr->sa_family == AF_INET
					? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6);
		struct endpoint e;

		if (a->ifa_addr && endpoint_from_sockaddr(a->ifa_addr, len, &e) == 0)
			blocks[count++] = cidr_of(&e, 128);
	}
	freeifaddrs(all);
	if (!blocks)
		return -ENOMEM;
	r = snap_addrs_build(blocks, count, &b->snap->arena, &b->snap->own_addresses);
	return r;
}

static int build_admin(struct config_build *b)
{
	struct snap_admin *admin = &b->snap->admin;
	const struct endpoint *e = &b->raw.admin.address.endpoint;

	admin->enabled = endpoint_is_set(e);
	admin->address = *e;
	admin->hosts = b->raw.admin.hosts.items;
	admin->host_count = b->raw.admin.hosts.count;
	if (!admin->enabled || endpoint_is_loopback(e))
		return 0;
	if (endpoint_is_unspecified(e)) {
		int r = find_own_addresses(b);

		if (r < 0)
			return r;
	}
	return node_warning(
		compile_at(node_get(b->root, "admin"), "address"), b->errors,
		"other hosts can reach the admin listener, which has no log-in: see that "
		"a firewall or network policy lets only your monitoring through");
}

int build_settings(struct config_build *b)
{
	const struct raw_config *raw = &b->raw;
	struct snap *s = b->snap;
	int r = 0;

	s->workers = raw->workers;
	s->run_as = raw->user;
	s->connections_max = raw->limits.connections;
	s->per_user = raw->limits.per_user;
	s->per_address = raw->limits.per_address;
	s->timeouts = raw->timeouts;
	s->auth = raw->authentication;
	s->http = raw->http;
	s->relay = raw->relay;
	s->dns = (struct snap_dns){raw->dns.servers.items, raw->dns.servers.count,
				   raw->dns.cache_entries, raw->dns.ttl_min_ns,
				   raw->dns.ttl_max_ns,    raw->dns.ttl_negative_ns};
	s->log = (struct snap_log){raw->log.level, raw->log.format, raw->log.output,
				   raw->log.levels.items, raw->log.levels.count};
	s->access_log = raw->access_log;
	s->sandbox_seccomp = raw->sandbox.seccomp;
	s->watch = raw->watch;
	if (s->dns.ttl_min_ns > s->dns.ttl_max_ns)
		r = node_error(compile_at(node_get(b->root, "dns"), "ttl_min"), b->errors,
			       "more than dns.ttl_max; make it smaller, or ttl_max larger");
	if (r == 0 && s->http.max_line_bytes > s->http.max_head_bytes)
		r = node_error(compile_at(node_get(b->root, "http"), "max_line"), b->errors,
			       "more than http.max_head; make it smaller, or max_head larger");
	if (r == 0 && *s->http.via &&
	    !http_is_token((struct slice){s->http.via, strlen(s->http.via)}))
		r = node_error(
			compile_at(node_get(b->root, "http"), "via"), b->errors,
			"expected a token, letters, digits and -._~!#$%%&'*+^`|, or \"\" for "
			"no Via field");
	return r < 0 ? r : build_admin(b);
}
