// SPDX-License-Identifier: Apache-2.0
// Routes, their targets, and upstream proxies (parents) of the snapshot.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/host.h"
#include "snap/names.h"

// A place to connect to, as the configuration names it.
struct snap_target {
	uint64_t id;      // of its text, "host:port": the same in every snapshot
	struct host host; // address or name, with the port
};

enum snap_parent_type {
	SNAP_PARENT_HTTP, // CONNECT, and absolute-form for plain HTTP
	SNAP_PARENT_SOCKS5,
};

struct snap_parent {
	uint64_t id; // of the name
	const char *name;
	uint32_t index;
	enum snap_parent_type type;
	struct snap_target target;
	const char *username; // NULL = none
	const char *password; // NULL = none; secret
};

enum snap_send_proxy {
	SNAP_SEND_PROXY_OFF,
	SNAP_SEND_PROXY_V1,
	SNAP_SEND_PROXY_V2,
};

// What a connection is, for routes.
enum snap_route_protocol {
	SNAP_ROUTE_TLS = 1u << 0,  // a TLS ClientHello, passed through
	SNAP_ROUTE_TCP = 1u << 1,  // anything else
	SNAP_ROUTE_HTTP = 1u << 2, // an origin-form HTTP request
};

struct snap_route {
	uint64_t id; // of the name
	const char *name;
	uint32_t index;
	uint32_t protocols;                // SNAP_ROUTE_*
	uint64_t listeners;                // bit i: snap->listeners[i]
	const struct snap_names *sni;      // NULL = any, and none
	const struct snap_names *hosts;    // NULL = any, and none
	const struct snap_target *targets; // tried in rotation
	uint32_t target_count;             // at least 1
	const struct snap_parent *parent;  // NULL = direct
	enum snap_send_proxy send_proxy;
};
