// SPDX-License-Identifier: Apache-2.0
// The SOCKS drivers' common state, shared by CONNECT, BIND and UDP ASSOCIATE.
#pragma once

#include <stdint.h>

#include "front/attempt.h"
#include "io/loop.h"
#include "obs/close_reason.h"

struct auth;
struct endpoint;
struct session;
struct socks;

enum socks_step {
	SOCKS_GREETING,
	SOCKS_AUTH,
	SOCKS_REQUEST,
	SOCKS_BUSY, // checking, connecting, bound or associated
};

// What BIND and UDP ASSOCIATE do while they last; functions may be NULL.
struct socks_command_ops {
	// As in struct driver.
	void (*event)(struct socks *socks);
	void (*timeout)(struct socks *socks);
	void (*renew)(struct socks *socks);
	void (*drain)(struct socks *socks);
	// Frees socks->extra.
	void (*release)(struct socks *socks);
};

// session->driver_state of both SOCKS drivers; owned by the session.
struct socks {
	struct session *session;
	struct deferred deferred;
	uint8_t step;    // enum socks_step
	uint8_t version; // 4 or 5
	uint8_t command; // enum socks_command
	struct auth *auth;
	struct attempt attempt;
	// Of BIND or UDP ASSOCIATE; owned.
	void *extra;
	const struct socks_command_ops *ops; // NULL: neither
};

// Answers the request. CLOSE_NONE: success, with `bound` (may be NULL); else the session ends when
// the client has taken the reply.
void socks_reply(struct socks *socks, enum close_reason result, const struct endpoint *bound);

// BIND (front/socks_bind.c) and UDP ASSOCIATE (front/socks_udp.c): begin after the request was parsed
// into socks->attempt. They answer by socks_reply.
void socks_bind_begin(struct socks *socks);
void socks_udp_begin(struct socks *socks);
