// SPDX-License-Identifier: Apache-2.0
// The immutable snapshot of configuration and policy: root and look-ups.
#include "snap/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/host.h"

struct snap *snap_new(void)
{
	return calloc(1, sizeof(struct snap));
}

void snap_free(struct snap *s)
{
	if (!s)
		return;
	arena_release(&s->arena);
	free(s);
}

uint64_t snap_id(uint64_t scope, const char *name, size_t len)
{
	uint64_t id = XXH3_64bits_withSeed(name, len, scope);

	return id ? id : 1;
}

static const struct snap_index_slot *index_find(const struct snap_index *index, uint64_t id)
{
	if (!index->slots)
		return NULL;
	for (uint32_t i = (uint32_t)id & index->mask;; i = (i + 1) & index->mask) {
		const struct snap_index_slot *slot = &index->slots[i];

		if (!slot->index_plus_1)
			return NULL;
		if (slot->id == id)
			return slot;
	}
}

const struct snap_user *snap_user_by_id(const struct snap *s, uint64_t id)
{
	const struct snap_index_slot *slot = index_find(&s->users_by_id, id);

	return slot ? &s->users[slot->index_plus_1 - 1] : NULL;
}

const struct snap_user *snap_user_find(const struct snap *s, const struct snap_listener *listener,
				       const char *name, size_t len)
{
	uint64_t scope = listener && listener->own_users ? listener->id : 0;
	const struct snap_user *user = snap_user_by_id(s, snap_id(scope, name, len));

	// The id is a hash that clients can compute: the name decides.
	if (!user || user->scope != scope || user->name_len != len ||
	    memcmp(user->name, name, len) != 0)
		return NULL;
	return user;
}

const struct snap_listener *snap_listener_by_id(const struct snap *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->listener_count; i++)
		if (s->listeners[i].id == id)
			return &s->listeners[i];
	return NULL;
}

const struct snap_parent *snap_parent_by_id(const struct snap *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->parent_count; i++)
		if (s->parents[i].id == id)
			return &s->parents[i];
	return NULL;
}

const struct snap_route *snap_route_by_id(const struct snap *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->route_count; i++)
		if (s->routes[i].id == id)
			return &s->routes[i];
	return NULL;
}

// A name as clients send it, folded once for all routes. An unusable name is as good as none.
struct folded {
	char text[HOST_NAME_MAX_LEN + 1];
	size_t len; // 0 = no name
};

static void folded_init(struct folded *f, const char *name, size_t len)
{
	int n = name ? host_normalise_name(name, len, f->text) : 0;

	f->len = n > 0 ? (size_t)n : 0;
}

static bool names_hold(const struct snap_names *names, const struct folded *name)
{
	return !names || (name->len && snap_names_match(names, name->text, name->len));
}

const struct snap_route *snap_route_find(const struct snap *s, const struct snap_listener *listener,
					 uint32_t protocol, const char *sni, size_t sni_len,
					 const char *host, size_t host_len)
{
	struct folded server, authority;

	folded_init(&server, sni, sni_len);
	folded_init(&authority, host, host_len);
	for (uint32_t i = 0; i < s->route_count; i++) {
		const struct snap_route *r = &s->routes[i];

		if ((r->protocols & protocol) && (r->listeners >> listener->index & 1) &&
		    names_hold(r->sni, &server) && names_hold(r->hosts, &authority))
			return r;
	}
	return NULL;
}

int snap_index_users(struct snap *s)
{
	struct snap_index_slot *slots;
	uint32_t size = 4;

	while (size < s->user_count * 2)
		size *= 2;
	slots = arena_array(&s->arena, size, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t u = 0; u < s->user_count; u++) {
		uint32_t i = (uint32_t)s->users[u].id & (size - 1);

		for (; slots[i].index_plus_1; i = (i + 1) & (size - 1))
			if (slots[i].id == s->users[u].id)
				return -EEXIST;
		slots[i] = (struct snap_index_slot){s->users[u].id, u + 1};
	}
	s->users_by_id = (struct snap_index){slots, size - 1};
	return 0;
}
