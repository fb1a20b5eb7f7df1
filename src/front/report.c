// SPDX-License-Identifier: Apache-2.0
// Metrics of sessions.
#include "front/report.h"

#include <urcu/compiler.h>

#include "front/front.h"
#include "obs/metrics.h"
#include "policy/account.h"

void report_accept(struct session *session)
{
}

void report_phase(struct session *session, enum session_phase from, enum session_phase to)
{
	struct metrics *metrics = session->front->metrics;

	if (to == SESSION_RELAY)
		metric_gauge_add(&metrics->relays_live, 1);
	else if (from == SESSION_RELAY)
		metric_gauge_add(&metrics->relays_live, -1);
}

void report_end(struct session *session)
{
	struct metrics *metrics = session->front->metrics;
	unsigned denial = metric_denial_of((enum close_reason)session->reason);

	metric_inc(&metrics->connections_closed[session->reason]);
	if (denial != METRIC_DENIAL_COUNT)
		metric_inc(&metrics->requests_denied[denial]);
	hist_record(&metrics->connection_duration, session->front->loop->now - session->accepted);
	if (session->relay.first_byte && session->admitted_us)
		hist_record(&metrics->first_byte[session->protocol],
			    session->relay.first_byte - session->accepted -
				    (uint64_t)session->admitted_us * 1000);
}

void report_moved(struct relay *relay, enum relay_direction direction, enum relay_mover mover,
		  uint64_t bytes)
{
	struct session *session = caa_container_of(relay, struct session, relay);

	metric_add(&session->front->metrics->relay_bytes
			    [session->protocol]
			    [direction == RELAY_UP ? METRIC_DIRECTION_UP : METRIC_DIRECTION_DOWN]
			    [mover == RELAY_SPLICE ? METRIC_MOVER_SPLICE : METRIC_MOVER_COPY],
		   bytes);
}

void report_shifted(struct relay *relay, enum relay_direction direction)
{
	struct session *session = caa_container_of(relay, struct session, relay);
	enum relay_mover mover = (enum relay_mover)relay->dir[direction].mover;

	metric_inc(&session->front->metrics
			    ->relay_mover_changes[mover == RELAY_SPLICE ? METRIC_MOVER_SPLICE
									: METRIC_MOVER_COPY]);
}
