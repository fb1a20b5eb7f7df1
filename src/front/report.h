// SPDX-License-Identifier: Apache-2.0
// What a session tells metrics, access log and flight recorder.
#pragma once

#include <stdint.h>

#include "front/session.h"
#include "obs/flight.h"
#include "relay/relay.h"

struct http_client;

void report_accept(struct session *session);
void report_phase(struct session *session, enum session_phase from, enum session_phase to);
// Once, when everything about the session is known and nothing is freed yet.
void report_end(struct session *session);
// One HTTP request was answered.
void report_request(struct http_client *client, unsigned status, bool by_proxy,
		    enum close_reason reason);
// One event of the flight recorder.
void report_event(struct session *session, enum flight_code code, uint64_t a, uint64_t b);
// The relay's hooks (relay_env).
void report_moved(struct relay *relay, enum relay_direction direction, enum relay_mover mover,
		  uint64_t bytes);
void report_shifted(struct relay *relay, enum relay_direction direction);
void report_relay_end(struct relay *relay, enum relay_direction direction, bool written);
