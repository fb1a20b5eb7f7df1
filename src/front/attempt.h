// SPDX-License-Identifier: Apache-2.0
// One request of a session to reach a destination: decided by policy, then connected.
//
// attempt_decide asks the access rules with the destination as it was named, attempt_dial connects;
// each address is decided again right before it is connected. The answer of attempt_dial comes by
// `done`, once and never from inside attempt_dial, unless the attempt is cancelled. Everything on the
// worker's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/host.h"
#include "obs/close_reason.h"

struct attempt;
struct dial;
struct dial_result;
struct session;
struct snap_route;

// `result->stream` is the callee's when result->reason is CLOSE_NONE; the rest of `result` is valid
// during the call. The session's facts (upstream, times) are set already.
typedef void attempt_fn(struct attempt *attempt, const struct dial_result *result);

struct attempt {
	struct session *session;
	attempt_fn *done;
	void *owner; // the caller's
	struct host
		host; // the destination as the client named it; HOST_NONE: a route, see attempt_decide
	const char *name; // the server name that led to the route, for logs; read by attempt_decide
	size_t name_len;
	uint32_t protocols; // SNAP_PROTO_* bits: all that the request is
	uint64_t route_id;  // 0: the client named the destination
	bool parent_plain;  // an HTTP parent gets absolute-form requests: only connect to it
	// Filled on the way:
	uint64_t parent_id; // by attempt_decide; 0: direct
	struct dial *dial;
	uint64_t began;      // ns
	uint64_t generation; // of the snapshot that allowed it
};

// CLOSE_NONE: go on; else why not. Sets the session's dest, rule and route for the log.
enum close_reason attempt_decide(struct attempt *attempt);
// The same question for an address about to be used (a pooled connection, a datagram's destination);
// NULL: for attempt->host, which a parent connects.
enum close_reason attempt_permit(struct attempt *attempt, const struct endpoint *address);
// The same where there is no parent to go through: for a datagram to `address`, or a peer of BIND, that
// the client named as `host` (of kind HOST_NONE: it named none). CLOSE_NO_ROUTE: a rule sends it through
// a parent.
enum close_reason attempt_permit_direct(struct attempt *attempt, const struct host *host,
					const struct endpoint *address);
// Whether a request without a destination yet (UDP ASSOCIATE) is still allowed, and without a parent.
enum close_reason attempt_permit_nowhere(struct attempt *attempt);
// CLOSE_NONE: done will be called. Else CLOSE_NO_MEMORY, CLOSE_NO_ROUTE.
enum close_reason attempt_dial(struct attempt *attempt);
// No answer will come. Idempotent.
void attempt_cancel(struct attempt *attempt);
