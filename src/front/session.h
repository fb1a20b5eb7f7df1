// SPDX-License-Identifier: Apache-2.0
// One client connection from accept to close.
//
// It begins silent (one small object), is told apart by its first bytes, is driven by a protocol's
// driver, and usually becomes a relay. Everything here belongs to the worker's thread. A closed
// session stays readable until the end of the loop's turn.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "obs/close_reason.h"
#include "obs/flight.h"
#include "relay/relay.h"

struct account;
struct driver;
struct front;
struct host;
struct snap;
struct snap_listener;
struct stream;

enum session_phase {
	SESSION_SILENT,     // accepted, no byte yet
	SESSION_DETECT,     // some bytes, protocol not yet told
	SESSION_TALK,       // a driver has it
	SESSION_RELAY,      // bytes move
	SESSION_ASSOCIATED, // a driver's datagrams move, as long as the client's connection stands
	SESSION_LINGER,     // everything said; waits for the client to have taken it
	SESSION_CLOSED,
	SESSION_PHASES
};

// The conversation before the relay; freed when it begins.
struct talk {
	struct buf in;                   // received and not consumed
	struct buf out;                  // to be written
	bool ended;                      // the client's end was read
	bool paused;                     // the driver wants no more input for now
	bool proxy_done;                 // a PROXY protocol header was read, or none is expected
	struct stream *tunnel;           // the relay begins with it when out is empty; owned
	struct relay_early tunnel_early; // what upstream sent already; owned memory
	enum close_reason finish;        // not CLOSE_NONE: linger and close when out is empty
	struct host *host;               // reserved for the driver's destination
	struct task again;               // reads on after the others had their turn
	struct session *session;
};

struct session {
	struct cds_list_head node; // front->sessions
	struct front *front;
	struct stream *client; // NULL from the relay's start on
	const struct driver *driver;
	void *driver_state; // the driver's own
	struct talk *talk;  // NULL while silent and while relaying
	// Its timer serves the session until the relay begins. While SESSION_ASSOCIATED only its counts
	// are used.
	struct relay relay;
	struct deferred deferred;
	struct flight_tag flight;

	uint64_t id;
	uint64_t listener_id;
	uint64_t accepted;              // ns, monotonic
	struct endpoint peer;           // the client, or whom its PROXY protocol header names
	struct endpoint upstream;       // what was connected; unset: nothing
	struct account *user, *address; // references; may be NULL
	uint64_t user_id;               // 0: anonymous
	uint32_t user_generation;       // account_generation when it was looked up
	uint32_t protocols;             // SNAP_PROTO_* bits of the request
	// Texts for logs; owned; NULL: none.
	char *user_name, *dest, *rule, *route, *parent;
	// Microseconds; 0: not done.
	uint32_t admitted_us, auth_us, resolve_us, connect_us;
	uint8_t phase;                      // enum session_phase
	uint8_t protocol;                   // enum metric_protocol
	uint8_t reason;                     // enum close_reason, when closed
	bool user_counted, address_counted; // account_conn_admit was granted
	bool fixed_target;                  // the destination came from a route
	bool by_parent;                     // `upstream` is a parent, which connects `dest`
	bool by_request;                    // the access log has a line for each of its requests
};

const char *session_phase_name(unsigned phase);
// What this snapshot says of the session's listener; NULL when it is gone.
const struct snap_listener *session_listener(const struct session *session,
					     const struct snap *snap);

// Accepted: the stream is taken over. Frees everything itself when it cannot go on.
void session_open(struct front *front, uint64_t listener_id, struct stream *client,
		  const struct endpoint *peer);

// Sends to the client, in order, buffered up to a limit. Errors close the session: check
// session->phase afterwards, or return at once.
void session_send(struct session *session, const void *data, size_t len);
void session_sendv(struct session *session, const struct iovec *iov, int iovcnt);
// Reads once into talk->in, for drivers that set talk->paused. > 0 bytes, 0 the client's end (talk->ended
// is set), -EAGAIN nothing there, -ENOBUFS no room, -ECANCELED the session was closed.
ssize_t session_fill(struct session *session);
// The driver's timeout will be called at `at` (ns); UINT64_MAX: no longer.
void session_deadline(struct session *session, uint64_t at);
// Closes when everything sent has been taken, and the client had a moment to read it.
void session_finish(struct session *session, enum close_reason reason);
// Reads on after the driver set talk->paused and cleared it again.
void session_resume(struct session *session);
// Becomes a relay with `upstream` when everything sent has been taken. What is left in talk->in goes
// up first, `early` (may be NULL, copied) goes down first. Owns the stream from here on.
void session_tunnel(struct session *session, struct stream *upstream, const void *early,
		    size_t early_len);
// Ends it now. Idempotent. `reset`: both sides see a reset.
void session_close(struct session *session, enum close_reason reason, bool reset);

void session_set_protocol(struct session *session, uint8_t protocol);
// Remembers who it is, and counts it against the user's limits. CLOSE_NONE, CLOSE_USER_LIMIT,
// CLOSE_RATE_LIMITED, CLOSE_NO_MEMORY. Refused: it is nobody, with the name kept for the log.
enum close_reason session_set_user(struct session *session, uint64_t user_id);
// It is nobody from here on: a request came that does not say who asks.
void session_forget_user(struct session *session);
// What is known of the last request's destination is not the next one's.
void session_forget_destination(struct session *session);
// The same as session_set_user for the address.
enum close_reason session_count_address(struct session *session);
// For a driver whose datagrams move from now on: the driver keeps the session, and its `event` is told
// what the client's connection does. What happened to it before is not told: look.
void session_associate(struct session *session);
// The rate limits that hold in this snapshot.
void session_claims(const struct session *session, const struct snap *snap,
		    struct bucket_claim ret_up[2], struct bucket_claim ret_down[2]);
// They, for the relay.
int session_apply_limits(struct session *session, const struct snap *snap);
// Microseconds since accept.
uint32_t session_age_us(const struct session *session);
