// SPDX-License-Identifier: Apache-2.0
// Live revocation: the decision that admitted a session is taken again under the new snapshot.
#include "front/revalidate.h"
#include "front/report.h"

#include <urcu/list.h>

#include "base/host.h"
#include "front/attempt.h"
#include "front/driver.h"
#include "front/front.h"
#include "front/session.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "snap/snap.h"

// Before a destination is connected, its decision is still to come.
static bool is_connected(const struct session *session)
{
	if (session->talk && session->talk->tunnel)
		return true; // only our answer is still on its way
	if (session->phase == SESSION_TALK && session->driver && session->driver->is_connected)
		return session->driver->is_connected(session);
	return session->phase == SESSION_RELAY;
}

static bool still_allowed(struct session *session, const struct snap *snap)
{
	const struct snap_listener *listener = session_listener(session, snap);
	struct attempt attempt = {.session = session, .protocols = session->protocols};

	if (session->user_id && !snap_user_by_id(snap, session->user_id))
		return false;
	if (session->user && account_generation(session->user) != session->user_generation)
		return false;
	// A removed listener takes no new clients; the ones it has are judged by what remains.
	if (!listener || (!is_connected(session) && session->phase != SESSION_ASSOCIATED))
		return true;
	if (listener->auth_required && !session->user_id && !session->fixed_target)
		return false;
	if (session->phase == SESSION_ASSOCIATED)
		return true; // its driver knows more
	if (!session->dest ||
	    host_parse(session->dest, __builtin_strlen(session->dest), 0, &attempt.host) < 0)
		attempt.host = (struct host){0};
	attempt.route_id = session->fixed_target;
	// What a parent connects is known by its name only; the parent's own address says nothing.
	if (session->by_parent)
		return attempt_permit(&attempt, NULL) == CLOSE_NONE;
	if (!endpoint_is_set(&session->upstream))
		return true;
	return attempt_permit(&attempt, &session->upstream) == CLOSE_NONE;
}

void revalidate_session(struct session *session)
{
	const struct snap *snap = front_snap(session->front);

	if (!still_allowed(session, snap)) {
		metric_inc(&session->front->metrics->sessions_revoked);
		report_event(session, EVENT_REVOKED, 0, snap->generation);
		session_close(session, CLOSE_REVOKED, true);
		return;
	}
	if (session->phase == SESSION_RELAY && session_apply_limits(session, snap) < 0)
		session_close(session, CLOSE_NO_MEMORY, true);
	else if (session->phase != SESSION_RELAY && session->driver && session->driver->renew)
		session->driver->renew(session);
}

void front_revalidate(struct front *front)
{
	struct session *session, *next;

	cds_list_for_each_entry_safe(session, next, &front->sessions, node)
		revalidate_session(session);
}
