// SPDX-License-Identifier: Apache-2.0
// What a session tells metrics, access log and flight recorder.
#pragma once

#include <stdint.h>

#include "front/session.h"
#include "relay/relay.h"

void report_accept(struct session *session);
void report_phase(struct session *session, enum session_phase from, enum session_phase to);
// Once, when everything about the session is known and nothing is freed yet.
void report_end(struct session *session);
// The relay's hooks (relay_env).
void report_moved(struct relay *relay, enum relay_direction direction, enum relay_mover mover,
		  uint64_t bytes);
void report_shifted(struct relay *relay, enum relay_direction direction);
