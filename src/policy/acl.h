// SPDX-License-Identifier: Apache-2.0
// May this request go there? Access rules, the guard of local addresses, and the parent to use.
//
// A pure decision over a snapshot; time is an argument; any thread. A request is decided twice:
//
//   1. As the client named it: `address` is NULL. ACL_DENY is final and spares the resolution;
//      ACL_NEEDS_ADDRESS says that a rule with `destinations` stands in between and the destination
//      is a name.
//   2. With each address that is about to be connected, `host` kept as the client gave it. Every
//      direct connection is decided so, just before connect(2), whatever step 1 said: the guard
//      of local addresses works on addresses only.
//
// `host` of kind HOST_NONE (a UDP association or BIND before its peer is known) leaves open
// whatever asks for a destination, port or domain: ACL_NEEDS_ADDRESS then means "go on, and decide
// each datagram's destination, or the peer that connects, by step 2".
//
// A name that goes through a parent (verdict.parent) is resolved there: ACL_ALLOW of step 1 is
// enough and the parent gets the name. After ACL_NEEDS_ADDRESS the caller resolves, decides step 2,
// and gives the parent the very address that was allowed.
//
// The guard, before any rule: the admin address is refused always. Loopback, link-local,
// unspecified, multicast, broadcast and metadata addresses (also when carried inside an IPv6
// address) are refused unless the listener has allow_local; for them an allow rule counts only when
// it names the address outright: by a `destinations` block that lies wholly inside the guarded
// range (127.0.0.1, 169.254.1.0/24), and for metadata and carried addresses by the very address
// alone. 0.0.0.0/0 or a domain rule never lifts the guard. Deny rules count as always. The names
// localhost and *.localhost are never allowed in step 1, so that they are not passed to a parent
// unchecked. Targets that a route names (`fixed_target`) are the operator's choice: the guard does
// not apply to them, the admin address and the rules do.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

struct snap;
struct snap_listener;
struct snap_parent;
struct snap_rule;
struct snap_user;

struct acl_query {
	const struct snap_listener *listener; // of the same snapshot; never NULL
	const struct snap_user *user;         // of the same snapshot; NULL = anonymous
	const struct host *host;              // the destination as the client named it; never NULL
	const struct endpoint *address;       // where to connect, with its port; NULL = step 1
	const struct endpoint *local;         // where the client connected to; NULL = unknown
	struct endpoint source;               // the client
	uint32_t protocol;                    // SNAP_PROTO_* bits: all that the request is
	bool fixed_target;                    // a route named the destination, not the client
	int64_t wall_seconds;                 // unix time
};

enum acl_result {
	ACL_DENY,
	ACL_ALLOW,
	ACL_NEEDS_ADDRESS,
};

// By what the verdict came about; a name for logs in acl_cause_name.
enum acl_cause {
	ACL_BY_RULE,     // verdict.rule
	ACL_BY_DEFAULT,  // acl_default
	ACL_BY_LISTENER, // the listener takes no forward requests (forward: false)
	ACL_BY_LOCAL,    // the guard of local addresses
	ACL_BY_ADMIN,    // the guard of the admin address
};

struct acl_verdict {
	enum acl_result result;
	enum acl_cause cause;
	const struct snap_rule *rule; // ACL_BY_RULE, and the one that needs the address; else NULL
	const struct snap_parent *parent; // ACL_ALLOW of a forward request: NULL = connect directly
};

void acl_decide(const struct snap *snap, const struct acl_query *query,
		struct acl_verdict *ret_verdict);

// "rule", "default", "listener", "local", "admin": bounded, fit for a metric label.
const char *acl_cause_name(enum acl_cause cause);
