// SPDX-License-Identifier: Apache-2.0
// The snapshot's plain settings: timeouts, limits, DNS, HTTP, relay, admin, logs.
//
// Units are in the names: `_ns` nanoseconds, `_bytes` bytes, `_bps` bytes (not bits) per second.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

// 0 = no such limit, in every field.
struct snap_limits {
	uint32_t connections;            // at once
	uint32_t connections_per_second; // new ones
	uint64_t upload_bps;             // client to destination
	uint64_t download_bps;           // destination to client
};

// 0 = no such limit, except where said.
struct snap_timeouts {
	uint64_t admission_ns; // accept to authorised request; never 0
	uint64_t resolve_ns;   // never 0
	uint64_t connect_ns;   // per connection to an upstream, all attempts; never 0
	uint64_t idle_ns;      // no byte in either direction
	uint64_t half_closed_ns;
	uint64_t total_ns;
	uint64_t http_keepalive_ns; // between requests
	uint64_t drain_ns;
	uint64_t udp_idle_ns;
	uint64_t bind_ns;
};

struct snap_dns {
	const struct endpoint *servers; // none: as /etc/resolv.conf says
	uint32_t server_count;
	uint32_t cache_entries; // 0 = no cache
	uint64_t ttl_min_ns;
	uint64_t ttl_max_ns;
	uint64_t ttl_negative_ns;
};

enum snap_forwarded {
	SNAP_FORWARDED_OFF,
	SNAP_FORWARDED_ON,    // Forwarded (RFC 7239)
	SNAP_FORWARDED_X_FOR, // X-Forwarded-For
};

struct snap_http {
	uint32_t max_head_bytes;
	uint32_t max_line_bytes;
	uint32_t max_fields;
	const char *via; // pseudonym in Via; "" = no Via field
	enum snap_forwarded forwarded;
};

struct snap_relay {
	uint32_t pipe_size_bytes;
	uint64_t coalesce_ns; // longest wait for more of a stream; 0 = never wait
	bool splice;
};

// How password checks are cached and throttled.
struct snap_auth {
	uint64_t cache_ns;          // how long a success is remembered; 0 = never
	uint64_t failure_window_ns; // the time over which failures of one address count
	uint32_t failures; // failures in the window after which an address must wait; 0 = no
			   // throttle
	uint32_t threads;  // helper threads that hash; never 0
};

struct snap_admin {
	bool enabled;
	struct endpoint address;
	const char *const *hosts; // accepted Host names besides the address itself
	uint32_t host_count;
};

enum snap_log_level {
	SNAP_LOG_ERROR,
	SNAP_LOG_WARN,
	SNAP_LOG_INFO,
	SNAP_LOG_DEBUG,
};

enum snap_log_format {
	SNAP_LOG_OFF, // access log only
	SNAP_LOG_TEXT,
	SNAP_LOG_JSON,
};

struct snap_log_module_level {
	const char *module;
	enum snap_log_level level;
};

struct snap_log {
	enum snap_log_level level;
	enum snap_log_format format;
	const char *output; // "stderr", "stdout" or an absolute path
	const struct snap_log_module_level *levels;
	uint32_t level_count;
};

struct snap_access_log {
	enum snap_log_format format;
	const char *output; // "stderr", "stdout" or an absolute path
};
