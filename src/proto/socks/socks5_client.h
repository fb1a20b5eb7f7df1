// SPDX-License-Identifier: Apache-2.0
// The client's side of SOCKS5, towards a parent proxy: a state machine of bytes in and bytes out.
#pragma once

#include "base/host.h"
#include "base/slice.h"
#include "proto/socks/socks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Owned by one thread; about 1.1 KB, needed only until the tunnel stands; nothing to release, but
 * socks5_client_wipe() forgets the password.
 *
 * Use: socks5_client_init; then, until state is DONE or FAILED: send what socks5_client_output
 * gives, tell socks5_client_sent how much went out, give what is received to socks5_client_input.
 */

enum socks5_client_state {
	SOCKS5_CLIENT_GREETING, // the greeting goes out, the server's choice is awaited
	SOCKS5_CLIENT_AUTH,     // user name and password went out, the answer is awaited
	SOCKS5_CLIENT_REQUEST,  // the request went out, the (first) reply is awaited
	SOCKS5_CLIENT_BOUND,    // BIND only: `bound` is known, the peer's connection is awaited
	SOCKS5_CLIENT_DONE,     // CONNECT, BIND: the tunnel stands. UDP: `bound` is the relay
	SOCKS5_CLIENT_FAILED,   // see `error` and `reply`
};

const char *socks5_client_state_name(enum socks5_client_state state);

struct socks5_client {
	enum socks5_client_state state;
	int error;     // FAILED: -SOCKS_E_x
	uint8_t reply; // the last reply code received; with SOCKS_E_REFUSED why
	uint8_t command;
	uint16_t in_len, out_len, out_sent;
	bool password_offered;
	struct host bound; // from the (last) reply; HOST_NONE when the server sent an odd name
	/* private */
	uint8_t in[SOCKS5_REQUEST_MAX];
	uint8_t request[SOCKS5_REQUEST_MAX];
	uint16_t request_len;
	uint16_t auth_len;
	uint8_t auth[SOCKS5_AUTH_MAX];
};

/*
 * `destination` is copied. For BIND it is the peer that is expected, for UDP ASSOCIATE the address
 * from which the client will send (0.0.0.0:0 when unknown). With an empty user only the method
 * "none" is offered, else "none" and user name and password. Both are copied.
 * -EINVAL: user or password is longer than 255 bytes, or `destination` is HOST_NONE.
 */
int socks5_client_init(struct socks5_client *c, enum socks_command command,
		       const struct host *destination, struct slice user, struct slice password);

// What is to be sent now; empty when nothing is. Valid until the next call.
struct slice socks5_client_output(const struct socks5_client *c);
// `n` bytes of it have been sent.
void socks5_client_sent(struct socks5_client *c, size_t n);

/*
 * Takes received bytes; returns how many it used: all of them, unless the state became DONE or
 * FAILED (or, for BIND, BOUND: call again with the rest). What it leaves at DONE belongs to the
 * tunnel. -SOCKS_E_x when it fails (state FAILED).
 */
int socks5_client_input(struct socks5_client *c, const uint8_t *data, size_t len);

// Overwrites what may be secret. Call it when done with `c`.
void socks5_client_wipe(struct socks5_client *c);
