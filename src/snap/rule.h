// SPDX-License-Identifier: Apache-2.0
// Access rules of the snapshot, compiled; policy/acl decides by them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "snap/addrs.h"
#include "snap/names.h"
#include "snap/zone.h"

enum snap_action {
	SNAP_DENY,
	SNAP_ALLOW,
};

// What a request is, for rules. One request may be several: a SOCKS5 UDP association is
// SNAP_PROTO_SOCKS5 | SNAP_PROTO_UDP. A rule's `protocols` holds when any of its bits is there.
enum snap_protocol {
	SNAP_PROTO_HTTP = 1u << 0,    // a plain HTTP request (not CONNECT)
	SNAP_PROTO_CONNECT = 1u << 1, // an HTTP CONNECT tunnel
	SNAP_PROTO_SOCKS4 = 1u << 2,
	SNAP_PROTO_SOCKS5 = 1u << 3,
	SNAP_PROTO_UDP = 1u << 4,  // SOCKS5 UDP ASSOCIATE
	SNAP_PROTO_BIND = 1u << 5, // SOCKS4 and SOCKS5 BIND
	SNAP_PROTO_TCP = 1u << 6,  // raw TCP that a route carries
	SNAP_PROTO_TLS = 1u << 7,  // TLS passed through that a route carries
};

struct snap_port_range {
	uint16_t first, last; // inclusive
};

struct snap_parent;

// Which conditions the rule has; the fields of the others are empty.
enum snap_condition {
	SNAP_IF_WHO = 1u << 0, // users or groups
	SNAP_IF_SOURCE = 1u << 1,
	SNAP_IF_DESTINATION = 1u << 2,
	SNAP_IF_PORT = 1u << 3,
	SNAP_IF_DOMAIN = 1u << 4, // inline or from files
	SNAP_IF_PROTOCOL = 1u << 5,
	SNAP_IF_TIME = 1u << 6,
	SNAP_IF_LISTENER = 1u << 7,
};

// Every condition that is present must hold; `users` and `groups` are one condition (either), and
// so are `domains` and `domains_files`.
struct snap_rule {
	const char *name;
	uint32_t index;      // in snap->rules
	uint32_t conditions; // SNAP_IF_*
	enum snap_action action;
	uint32_t protocols; // SNAP_PROTO_*
	uint64_t listeners; // bit i: snap->listeners[i]
	bool any_user;      // users: ["*"], whoever has logged in
	uint32_t user_count;
	const uint32_t *users;  // indices in snap->users, ascending
	const uint64_t *groups; // bitset of group indices, snap->group_words words; NULL = none
	struct snap_addrs sources;
	struct snap_addrs destinations;
	struct snap_addrs local;       // allow: the blocks that lie wholly inside a guarded range
	struct snap_addrs local_hosts; // allow: the guarded addresses that are named one by one
	const struct snap_port_range *ports;
	uint32_t port_count;
	uint32_t domain_count;
	const struct snap_names *const *domains; // sets, shared between rules that name one file
	struct snap_window time;
	const struct snap_parent *parent; // allow: by this parent; NULL = forward.parent decides
	bool direct;                      // allow: parent `direct`, whatever forward.parent says
};
