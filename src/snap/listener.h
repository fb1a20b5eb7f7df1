// SPDX-License-Identifier: Apache-2.0
// Listeners of the snapshot.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "snap/addrs.h"
#include "snap/rule.h"

#define SNAP_LISTENERS_MAX 64 // so that a set of listeners is one word

// What a listener accepts.
enum snap_accept {
	SNAP_ACCEPT_HTTP = 1u << 0,
	SNAP_ACCEPT_SOCKS4 = 1u << 1,
	SNAP_ACCEPT_SOCKS5 = 1u << 2,
	SNAP_ACCEPT_TLS = 1u << 3, // passed through to a route by its server name
	SNAP_ACCEPT_TCP = 1u << 4, // anything else, to a route
};

struct snap_listener {
	uint64_t id; // of the name: the same in every snapshot that has the listener
	const char *name;
	uint32_t index;  // in snap->listeners
	uint32_t accept; // SNAP_ACCEPT_*
	struct endpoint address;
	bool all_addresses; // written ":port": [::], both families; 0.0.0.0 where there is no IPv6
	bool loopback;      // the address is a loopback address
	bool forward;       // takes forward requests; else only what a route carries
	bool open;          // the operator accepts anonymous use from anywhere
	bool auth_required; // a forward request must carry credentials
	bool allow_local;   // clients may reach loopback, link-local … destinations through it
	bool own_users;     // has users of its own: only these may log in here
	enum snap_action default_action; // of a forward request, where no rule matches
	enum snap_action
		route_action; // of a connection that a route carries, where no rule matches
	uint64_t server_first_wait_ns; // 0 = wait for the client's first byte
	struct snap_addrs proxy_from;  // peers that may (or must) send a PROXY protocol header
	bool proxy_required;           // these peers must send one
};
