// SPDX-License-Identifier: Apache-2.0
// A driver speaks one protocol family with the client; a table per family.
//
// While a driver has the session it reads session->talk->in, answers by session_send and its kin,
// and asks for a way to the destination by struct attempt. It hands the session on by
// session_tunnel, or ends it by session_close or session_finish. No function is called after the
// session was closed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct session;

struct driver {
	const char *name;
	uint8_t protocol; // enum metric_protocol, until the driver knows better
	// Takes over. The bytes received so far are in session->talk->in; input follows at once.
	// -ENOMEM: the session is closed by the caller.
	int (*begin)(struct session *session);
	// More bytes in talk->in, or the client's end (talk->ended).
	void (*input)(struct session *session);
	// The client's stream takes bytes again and talk->out is empty; may be NULL.
	void (*drained)(struct session *session);
	// While talk->paused is set: the client's stream has something (bytes, its end, an error), which
	// session_fill would read; may be NULL.
	void (*event)(struct session *session);
	// The time set by session_deadline has come; NULL: the session's own admission deadline holds.
	void (*timeout)(struct session *session);
	// A new snapshot, under which the session stays: renews limits. May be NULL, and end the session.
	void (*renew)(struct session *session);
	// Whether the session moves bytes to its destination already; NULL: no.
	bool (*is_connected)(const struct session *session);
	// The proxy drains: ends the session if it is idle, else lets it finish; may be NULL.
	void (*drain)(struct session *session);
	// Frees session->driver_state and cancels what it has under way. Called once.
	void (*release)(struct session *session);
};

extern const struct driver driver_socks4, driver_socks5, driver_http, driver_raw, driver_tls;
