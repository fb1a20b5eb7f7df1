// SPDX-License-Identifier: Apache-2.0
// The configuration as it is written: values decoded by the schema, references still names.
//
// The structs that schema.def fills. Lists and raw structs live in the build's scratch arena, texts
// and arrays of values in the snapshot's arena, since the snapshot takes them over.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/host.h"
#include "snap/snap.h"

struct config_node;

// A list of values; what an item is, the schema's row says.
struct raw_list {
	void *items;
	uint32_t count;
	bool given; // written in the file, even if empty
};

// An address to listen on; ":port" is all addresses.
struct raw_listen {
	struct endpoint endpoint; // unset = off
	bool all_addresses;
};

// "auto" stands first: it is 0.
enum raw_switch {
	RAW_AUTO,
	RAW_NO,
	RAW_YES,
};

enum raw_authentication {
	RAW_AUTH_AUTO,
	RAW_AUTH_NONE,
	RAW_AUTH_REQUIRED,
};

enum raw_default_action {
	RAW_DEFAULT_AUTO,
	RAW_DEFAULT_ALLOW,
	RAW_DEFAULT_DENY,
};

// A limit that a user's entry does not give is this.
#define RAW_INHERIT32 UINT32_MAX
#define RAW_INHERIT64 UINT64_MAX

struct raw_user {
	const struct config_node *node; // of an entry in the configuration
	const char *file;               // of a line in the users file
	unsigned line;
	const char *name;
	const char *password_hash;
	const char *password;
	struct raw_list groups; // const char *
	struct snap_limits limits;
};

struct raw_proxy_protocol {
	struct raw_list from; // struct cidr
	bool required;
};

struct raw_listener {
	const struct config_node *node;
	const char *name;
	struct raw_listen address;
	uint32_t protocols; // SNAP_ACCEPT_*
	bool forward;
	bool open;
	enum raw_authentication authentication;
	enum raw_switch allow_local;
	uint64_t server_first_wait_ns;
	struct raw_proxy_protocol proxy_protocol;
	struct raw_list users; // struct raw_user
};

struct raw_route {
	const struct config_node *node;
	const char *name;
	struct raw_list listeners; // const char *
	uint32_t protocols;        // SNAP_ROUTE_*; 0 = not given
	struct raw_list sni;       // const char *
	struct raw_list hosts;     // const char *
	struct raw_list to;        // struct host
	const char *parent;
	enum snap_send_proxy send_proxy;
};

struct raw_parent {
	const struct config_node *node;
	const char *name;
	enum snap_parent_type type;
	struct host address;
	const char *username;
	const char *password;
	const char *password_file;
};

struct raw_time {
	const struct config_node *node; // NULL = not given
	uint8_t days;
	uint16_t from_minutes, to_minutes;
	const char *zone;
};

struct raw_rule {
	const struct config_node *node;
	const char *name;
	enum snap_action action;
	uint32_t protocols;            // SNAP_PROTO_*; 0 = not given
	struct raw_list listeners;     // const char *
	struct raw_list users;         // const char *
	struct raw_list groups;        // const char *
	struct raw_list sources;       // struct cidr
	struct raw_list destinations;  // struct cidr
	struct raw_list ports;         // struct snap_port_range
	struct raw_list domains;       // const char *
	struct raw_list domains_files; // const char *
	struct raw_time time;
	const char *parent;
};

struct raw_forward {
	const char *parent;
};

struct raw_limits {
	uint32_t connections;
	struct snap_limits per_user;
	struct snap_limits per_address;
};

struct raw_dns {
	struct raw_list servers; // struct endpoint
	uint32_t cache_entries;
	uint64_t ttl_min_ns;
	uint64_t ttl_max_ns;
	uint64_t ttl_negative_ns;
};

struct raw_admin {
	struct raw_listen address;
	struct raw_list hosts; // const char *
};

struct raw_log {
	enum snap_log_level level;
	enum snap_log_format format;
	const char *output;
	struct raw_list levels; // struct snap_log_module_level
};

struct raw_sandbox {
	bool seccomp;
};

struct raw_config {
	uint32_t workers;
	const char *user;
	struct raw_list listeners; // struct raw_listener
	struct raw_list routes;    // struct raw_route
	struct raw_list parents;   // struct raw_parent
	struct raw_forward forward;
	struct raw_list users; // struct raw_user
	const char *users_file;
	struct raw_list groups; // const char *
	struct raw_list acl;    // struct raw_rule
	enum raw_default_action acl_default;
	struct raw_limits limits;
	struct snap_timeouts timeouts;
	struct snap_auth authentication;
	struct raw_dns dns;
	struct snap_http http;
	struct snap_relay relay;
	struct raw_admin admin;
	struct raw_log log;
	struct snap_access_log access_log;
	struct raw_sandbox sandbox;
	bool watch;
};
