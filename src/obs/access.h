// SPDX-License-Identifier: Apache-2.0
// The access log: one line for each connection or request that ended.
#pragma once

#include "base/slice.h"
#include "obs/close_reason.h"

#include <stdbool.h>
#include <stdint.h>

struct endpoint;

// A time that did not happen.
#define ACCESS_NONE UINT64_MAX

// Everything is the caller's and is read during the call only. What is not known is left zero
// (empty slice, NULL, times ACCESS_NONE) and then is not in the line. Slices may hold what a peer
// wrote.
struct access_record {
	int64_t wall;     // when the connection or request began, unix nanoseconds
	uint64_t session; // id of the connection, also in the flight recorder
	uint64_t request; // number of the request in its connection, from 1; 0: the connection
			  // itself
	const struct endpoint *client;
	struct slice listener;
	unsigned protocol;   // enum metric_protocol
	struct slice user;   // authenticated name
	struct slice method; // HTTP method or SOCKS command
	struct slice host;   // the destination as the client named it
	uint16_t port;
	struct slice path;              // without its query, which may hold secrets
	const struct endpoint *address; // what was connected
	struct slice route;
	struct slice parent;
	struct slice rule; // the ACL rule that decided
	unsigned status;   // HTTP status or SOCKS reply code as sent; see has_status
	bool has_status;
	uint64_t bytes_up; // payload from the client
	uint64_t bytes_down;
	uint64_t bytes_spliced; // of both directions, by mover
	uint64_t bytes_copied;
	// Nanoseconds, each the length of its own step; first_byte and total from the beginning.
	uint64_t queue;
	uint64_t auth;
	uint64_t resolve;
	uint64_t connect;
	uint64_t first_byte;
	uint64_t total;
	enum close_reason reason;
};

// Whether there is an access log. Any thread; one load.
bool access_wants(void);

// Writes the line: to the access log's output, in its format. Any thread; never blocks, never fails
// (see obs/log.h on full queues).
void access_write(const struct access_record *record);
