// SPDX-License-Identifier: Apache-2.0
// The immutable snapshot of configuration and policy: root and look-ups.
//
// config/ builds one, control/ publishes it by RCU, workers read it. Nothing in it changes after
// publication, so every look-up here is for any thread. A pointer into a snapshot lives no longer
// than the reader's RCU section (one loop turn): whoever needs a thing for longer keeps its `id`
// (a hash of its name, the same in every snapshot) and finds it again. State that changes (counts,
// health, buckets) lives in runtime objects keyed by these ids, never here.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "snap/listener.h"
#include "snap/names.h"
#include "snap/route.h"
#include "snap/rule.h"
#include "snap/settings.h"
#include "snap/user.h"

struct snap_index_slot {
	uint64_t id;
	uint32_t index_plus_1; // 0 = empty slot
};

// Finds an index by a 64-bit id; mask + 1 slots, at most half full.
struct snap_index {
	const struct snap_index_slot *slots;
	uint32_t mask;
};

struct snap {
	uint64_t generation;    // set by whoever publishes; grows by one a snapshot
	int64_t loaded_wall_ns; // wall clock when it was built
	const char *source;     // the file's path, or "built-in"

	const struct snap_listener *listeners;
	uint32_t listener_count;
	const struct snap_route *routes; // in order: the first match wins
	uint32_t route_count;
	const struct snap_parent *parents;
	uint32_t parent_count;
	const struct snap_rule *rules; // in order: the first match wins
	uint32_t rule_count;
	const struct snap_user *users;
	uint32_t user_count;
	const char *const *groups;
	uint32_t group_count;
	uint32_t group_words; // words in a bitset of groups

	const struct snap_parent *forward_parent; // for forward requests; NULL = direct
	uint32_t connections_max;                 // limits.connections; 0 = none
	struct snap_limits per_user;              // already merged into each user's limits
	struct snap_limits per_address;

	struct snap_timeouts timeouts;
	struct snap_dns dns;
	struct snap_http http;
	struct snap_relay relay;
	struct snap_auth auth;
	struct snap_admin admin;
	struct snap_log log;
	struct snap_access_log access_log;

	uint32_t workers;   // 0 = one a core
	const char *run_as; // user to become when started as root
	bool sandbox_seccomp;
	bool watch; // watch the file and reload

	const char *const
		*files; // read while building: the configuration, lists, users; for watching
	uint32_t file_count;
	const char *effective; // the effective configuration as JSON, secrets masked

	// Own addresses of this host when it was built, for the guard of a wildcard admin address.
	struct snap_addrs own_addresses;

	struct snap_index users_by_id;
	struct arena arena; // everything above that is a pointer, and this struct's owner keeps it
};

// An empty snapshot, for the loader and for tests to fill. NULL without
// memory.
struct snap *snap_new(void);

// Frees it and all that it holds. Only after every reader has let go. NULL is fine.
void snap_free(struct snap *s);

// The stable id of a name: never 0, the same in every process. `scope` is 0 or the id of the object
// that the name is local to.
uint64_t snap_id(uint64_t scope, const char *name, size_t len);

// A user who may log in on that listener: of the listener's own users where it has some, else of
// the global ones. O(1). NULL when there is none.
const struct snap_user *snap_user_find(const struct snap *s, const struct snap_listener *listener,
				       const char *name, size_t len);

// By id: how a session finds its user again in a newer snapshot. O(1). NULL when it is gone.
const struct snap_user *snap_user_by_id(const struct snap *s, uint64_t id);

// NULL when it is gone. Linear over at most SNAP_LISTENERS_MAX.
const struct snap_listener *snap_listener_by_id(const struct snap *s, uint64_t id);
const struct snap_parent *snap_parent_by_id(const struct snap *s, uint64_t id);
const struct snap_route *snap_route_by_id(const struct snap *s, uint64_t id);

// The first route whose conditions all hold. `protocol` is one SNAP_ROUTE_* bit. `sni` and `host`
// are names without port, or NULL where the connection has none; a route that asks for one does not
// match then. NULL when no route matches.
const struct snap_route *snap_route_find(const struct snap *s, const struct snap_listener *listener,
					 uint32_t protocol, const char *sni, size_t sni_len,
					 const char *host, size_t host_len);

// For builders: makes `s->users_by_id` from `s->users`. -EEXIST when two have one id, -ENOMEM.
int snap_index_users(struct snap *s);
