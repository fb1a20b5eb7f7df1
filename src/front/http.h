// SPDX-License-Identifier: Apache-2.0
// The HTTP/1 driver's parts: the client's connection, one exchange at a time, and our own answers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/http_head.h"
#include "front/attempt.h"
#include "io/loop.h"
#include "io/timer.h"
#include "obs/close_reason.h"
#include "policy/bucket.h"
#include "proto/http1/body.h"
#include "proto/http1/framing.h"
#include "proto/http1/parser.h"

struct auth;
struct pooled;
struct session;
struct stream;

enum { HTTP_HEAD_OUT_MAX = 96 * 1024 }; // a head as it is written, fields of ours included

// What was asked; lives from the head's first byte to the end of its exchange.
struct http_request {
	struct http_head head; // slices into talk->in until the request was sent on
	struct http1_parser parser;
	struct http1_framing framing;
	uint64_t began;  // ns: first byte
	char *path;      // for the access log, without query; owned; NULL: none
	uint8_t method;  // enum http_method
	uint8_t version; // enum http_version
	bool keep_alive; // the client's connection goes on after this exchange
};

// One request on its way to an upstream and back.
struct http_exchange {
	struct attempt attempt;
	struct stream *upstream; // owned; NULL: none yet
	struct pooled *pooled;   // the pool's record of it; NULL: not poolable
	struct buf in;           // from upstream, not consumed
	struct buf out;          // to upstream, not taken
	char *sent;              // the request's head, kept while it can be repeated
	size_t sent_len;
	struct http1_body request_body;
	bool request_done; // all of it is in `out` or sent
	bool body_begun;   // some of the content was consumed: it cannot be repeated
	struct http1_framing request_out;

	struct http_head head; // the response's
	struct http1_parser parser;
	struct http1_body body;
	struct http1_framing response_out;
	unsigned status; // of the final response; 0: not yet
	bool by_parent;  // absolute-form to an HTTP parent
	bool binds;      // the request may log the upstream connection itself in
	bool repeated;
	int send_error; // the first one of writing upstream: reading does not tell it any more
	uint64_t bytes_up, bytes_down; // written to upstream and to the client, heads included
	uint64_t sent_at, first_byte;  // ns
	bool limited;
	struct bucket_claim claims[2][2]; // by direction, see account_claims
	struct bucket_turn turn[2];       // by direction
	struct timer tokens;              // until a limited direction may go on
	struct task again;                // goes on after the others had their turn
	struct deferred deferred;
	struct http_client *client;
};

struct http_client {
	struct session *session;
	struct deferred deferred;
	struct http_request request;
	struct http_field
		*fields; // of the request, then of the response; snap->http.max_fields each
	uint16_t field_max;
	struct auth *auth;
	struct http_exchange *exchange; // NULL between requests
	uint64_t active;                // ns: when anything last moved
	uint64_t wait_from;             // ns: since when the next request is waited for
	uint32_t requests;              // served on this connection
	bool bound;                     // it may have an upstream connection of its own in the pool
	bool busy;    // a request is being checked or exchanged: nothing is parsed
	bool parsing; // http_input is on the stack
};

// Our own answer to the request (http_reply.c). Goes on with the connection when it may, else closes it
// with `reason`. CLOSE_NONE as reason: an ordinary answer.
void http_answer(struct http_client *client, unsigned status, enum close_reason reason,
		 const char *text);
// For outcomes of authentication and attempts.
void http_refuse(struct http_client *client, enum close_reason reason);

// Begins the exchange of a forward (or routed) request whose destination was allowed.
void http_exchange_begin(struct http_client *client, const struct host *host, uint64_t route_id);
// Moves what can be moved in both directions. May end the exchange, and the session.
void http_exchange_pump(struct http_client *client);
// Takes the limits of the snapshot in force. May end the exchange, and the session.
void http_exchange_renew(struct http_client *client);
// Ends it, whatever its state; the upstream connection is closed unless it was put back. NULL is fine.
void http_exchange_cancel(struct http_client *client);

// The exchange is over and everything was said: the next request, or the end.
void http_next(struct http_client *client);
// Microseconds and counts of one request to metrics and access log. Status 0: it ended unanswered.
void http_report(struct http_client *client, unsigned status, bool by_proxy,
		 enum close_reason reason);
