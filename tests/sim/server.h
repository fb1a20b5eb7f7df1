// SPDX-License-Identifier: Apache-2.0
// Servers and parents of a schedule.
#pragma once

#include "http.h"

struct server {
	struct end end; // first
	unsigned step;  // of a handshake
	bool parent;
	// HTTP.
	bool begun, answered, has_request;
	struct http_reader reader;
	struct client *client; // of the last request
	unsigned n;
	struct sim_event delay;
	struct endpoint from, to; // one who connects to the proxy
	bool stranger;            // whom nobody waits for
};

// One who connects to what a client has bound, at that time.
void server_visit(const char *from, const struct endpoint *to, uint64_t at, bool stranger);
