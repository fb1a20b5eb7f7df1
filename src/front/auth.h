// SPDX-License-Identifier: Apache-2.0
// Checks a user's password without stopping the loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "obs/close_reason.h"

struct auth;
struct session;

// CLOSE_NONE: the session's user is set (and counted). Else CLOSE_AUTH_FAILED, CLOSE_AUTH_THROTTLED,
// CLOSE_HELPER_BUSY, CLOSE_USER_LIMIT, CLOSE_RATE_LIMITED, CLOSE_NO_MEMORY.
typedef void auth_fn(struct session *session, void *owner, enum close_reason verdict);

// Answers by `tell`: at once when the cache knows, else when a helper has hashed. Returns the pending
// check, or NULL when it has answered already. Name and password are copied before `tell` is called
// and the copies wiped; the caller wipes its own.
struct auth *auth_begin(struct session *session, const char *name, size_t name_len,
			const char *password, size_t password_len, auth_fn *tell, void *owner);
// No answer will come. NULL is fine.
void auth_cancel(struct auth *auth);
// Whether anybody could log in on the session's listener.
bool auth_possible(const struct session *session);
