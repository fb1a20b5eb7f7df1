// SPDX-License-Identifier: Apache-2.0
// Slows down guessing of passwords: failures of one client address make it wait, ever longer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

// Shared by all workers, locked by shard for a moment.
//
// Each address (IPv4, or the /64 of an IPv6 one) has a level: one up by a failure, falling evenly so
// that `failures` of them fade in `window_ns`. While the level stays below `failures` the address is
// free. The failure that reaches it makes the address wait 1 s, and each one after it twice as long, up
// to window_ns, until there was none for ten windows; during that time it may also have only one check
// under way. Attempts during a wait are refused unchecked and do not lengthen it. So a guesser gets
// `failures` quick tries and then about one a window.
//
// Each user name has a level too. A user who is attacked from many addresses (ten times `failures`)
// is never locked: an address without a failure of its own always gets its try, but a single
// failure then makes that address wait. A success changes no level, so an attacker gains nothing
// from an account of his own.
struct throttle;

struct throttle_policy {
	uint32_t failures;  // 0: no throttle at all
	uint64_t window_ns; // 0 counts as 1 s
};

enum throttle_outcome {
	THROTTLE_SUCCESS,
	THROTTLE_FAILURE,
	THROTTLE_ABANDONED, // not known: the client left, no memory, a repeat of a known wrong
			    // password
};

// Room for about `limit` addresses and users (a power of two, at least 64), 64 bytes each, taken at
// once. When its part of the table is full, a new address takes the place of the one that matters
// least (the lowest level; last those that must wait). 0 or -ENOMEM.
int throttle_new(size_t limit, struct throttle **ret_throttle);
// NULL is fine.
void throttle_free(struct throttle *t);

// Before a check: 0, and throttle_end must follow; or -EAGAIN with the time to wait (always > 0),
// and nothing is to be ended. Any thread.
int throttle_begin(struct throttle *t, const struct throttle_policy *policy,
		   const struct endpoint *address, const char *user, size_t user_len, uint64_t now,
		   uint64_t *ret_retry_ns);
void throttle_end(struct throttle *t, const struct throttle_policy *policy,
		  const struct endpoint *address, const char *user, size_t user_len,
		  enum throttle_outcome outcome, uint64_t now);
