// SPDX-License-Identifier: Apache-2.0
// The worker's set of sessions.
#include "front/front.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu/list.h>
#include <urcu/urcu-qsbr.h>

#include "base/addr.h"
#include "base/race.h"
#include "front/driver.h"
#include "front/report.h"
#include "front/revalidate.h"
#include "front/session.h"
#include "io/sys.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "stream/stream.h"
#include "stream/tcp.h"

int front_init(struct front *front, struct loop *loop, unsigned worker, struct metrics *metrics,
	       struct front_shared *shared)
{
	*front = (struct front){
		.loop = loop, .worker = worker, .metrics = metrics, .shared = shared};
	const struct snap *snap = front_snap(front);
	CDS_INIT_LIST_HEAD(&front->sessions);
	pool_init(&front->sessions_pool, "session", sizeof(struct session), 0);
	front->scratch = malloc(FRONT_SCRATCH);
	if (!front->scratch)
		return -ENOMEM;
	int r = relay_env_init(&front->relay, loop, worker, metrics, snap->relay.pipe_size_bytes,
			       snap->relay.splice);
	front_configure(front);
	datagram_env_init(&front->datagrams, loop, worker, metrics);
	front->relay.moved = report_moved;
	front->relay.shifted = report_shifted;
	front->relay.ended = report_relay_end;
	return r;
}

void front_close_all(struct front *front)
{
	while (!cds_list_empty(&front->sessions)) {
		struct session *session =
			cds_list_first_entry(&front->sessions, struct session, node);
		session_close(session, CLOSE_SHUTDOWN, true);
	}
	loop_turn(front->loop, 0); // the deferred frees
}

void front_configure(struct front *front)
{
	const struct snap *snap = front_snap(front);

	front->relay.splice = snap->relay.splice;
	front->relay.idle_ns = snap->timeouts.idle_ns;
	front->relay.half_closed_ns = snap->timeouts.half_closed_ns;
}

void front_release(struct front *front)
{
	front_close_all(front);
	relay_env_release(&front->relay);
	datagram_env_release(&front->datagrams);
	pool_release(&front->sessions_pool);
	free(front->scratch);
}

const struct snap *front_snap(const struct front *front)
{
	const struct snap *snap = rcu_dereference(front->shared->snap_rcu);

	race_take(snap);
	return snap;
}

bool front_draining(const struct front *front)
{
	return atomic_load_explicit(&front->shared->draining_atomic, memory_order_relaxed);
}

void front_accept(struct front *front, uint64_t listener_id, int fd, const struct sockaddr *peer)
{
	struct endpoint endpoint;
	struct stream *stream;

	if (endpoint_from_sockaddr(peer, sizeof(struct sockaddr_storage), &endpoint) < 0 ||
	    tcp_stream_new(front->loop, fd, STREAM_OUT, &stream) < 0) {
		metric_inc(&front->metrics->connections_closed[CLOSE_NO_MEMORY]);
		sys_abort(fd);
		return;
	}
	session_open(front, listener_id, stream, &endpoint);
}

void front_drain(struct front *front)
{
	struct session *session, *next;

	cds_list_for_each_entry_safe(session, next, &front->sessions, node)
	{
		if (session->phase == SESSION_SILENT)
			session_close(session, CLOSE_DRAINED, false);
		else if (session->driver && session->driver->drain)
			session->driver->drain(session);
	}
}
