// SPDX-License-Identifier: Apache-2.0
// One schedule's world: a whole worker on the simulated network, names, servers, and what must hold.
#pragma once

#include "ends.h"

#include "front/front.h"
#include "obs/close_reason.h"
#include "worker/worker.h"

struct client;
struct snap;

// What a schedule is about; drawn from its seed (schedule.c).
struct world_options {
	uint64_t seed;
	bool trace;
	bool rude;       // ends reset, close early, stall for ever
	bool scarce;     // descriptors, ports, pipes and such run out
	bool unreliable; // the network loses connections
	bool hungry;     // memory runs out
	bool reloads, drains;
	bool bulk;         // streams are long and come in large pieces
	uint64_t size_max; // of a stream
	// Of the configuration.
	uint32_t admission_ms, idle_ms, half_closed_ms, total_ms, keepalive_ms, connect_ms,
		udp_idle_ms, resolve_ms;
	uint32_t pipe_size, coalesce_us;
	bool splice;
	uint32_t connections;  // limits.connections, 0: none
	uint32_t per_address;  // connections of an address, 0: no limit
	uint32_t address_rate; // bytes/s of an address, 0: no limit
};

struct record {
	struct record *next;
	enum close_reason reason;
	uint64_t request, bytes_up, bytes_down, bytes_spliced, bytes_copied;
	unsigned protocol, status;
	bool has_status;
	uint64_t at;
};

struct world {
	struct world_options options;
	struct worker worker;
	struct front_shared shared;
	struct snap *old[16]; // snapshots replaced in this turn
	unsigned old_count;
	unsigned generation; // reloads done
	uint64_t first_id;   // of the listener that comes and goes
	bool draining;
	uint64_t drained_at;
	uint64_t began, revised_at;
	struct client *by_port[65536];     // of clients
	uint64_t tunnel_up, tunnel_down;   // of records, but for HTTP
	uint64_t request_up, request_down; // of records of HTTP requests
	unsigned records;
	bool poisoned; // a server says answers that nobody asked for: they may be taken for others
	unsigned clients_left; // not over, or not begun
	uint64_t turns;
};
extern struct world world;
// Of all worlds that there were.
extern struct metrics world_metrics;

// Where things are.
#define WORLD_LISTEN_FORWARD 1080  // of 10.0.0.1: open to all
#define WORLD_LISTEN_AUTH 1081     // asks for a log-in
#define WORLD_LISTEN_PROXIED 1082  // takes PROXY headers
#define WORLD_LISTEN_REQUIRED 1083 // requires them
#define WORLD_LISTEN_TLS 443
#define WORLD_LISTEN_RAW 7777
#define WORLD_LISTEN_FIRST 7778 // HTTP or, after a wait, raw
#define WORLD_LISTEN_REVERSE 8000
#define WORLD_LISTEN_LOCAL 1084 // of 127.0.0.1

#define WORLD_STREAM 7000 // of servers
#define WORLD_STREAM_FIRST 7001
#define WORLD_STREAM_PROXIED 7002
#define WORLD_STREAM_TLS 7443
#define WORLD_HTTP 80
#define WORLD_PARENT_HTTP 3128 // of 10.3.0.1
#define WORLD_PARENT_SOCKS 1080

void world_begin(const struct world_options *options);
// Turns until nothing is left to be done, then checks and takes everything down.
void world_run(void);
void world_reload(void);
void world_drain(void);
struct endpoint world_address(const char *text, uint16_t port);
// Everything that may make connections fail without anybody's fault.
bool world_excuses(void);

// servers.c
void servers_begin(void);
// checks.c
void checks_quiet(uint64_t until);
void checks_turn(void);
void checks_end(void);
