// SPDX-License-Identifier: Apache-2.0
// One core's share of the proxy: a thread with a loop, listeners and a front.
//
// The control thread makes workers and talks to them only by worker_*_any, which post mail and
// return at once. A worker reads the snapshot under RCU (QSBR): it is offline while it waits.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "front/front.h"
#include "io/loop.h"
#include "upstream/conn_pool.h"
#include "upstream/dial.h"

struct metrics;
struct flight;
struct resolver;

struct worker {
	struct loop loop; // first: callbacks get the loop
	struct front front;
	struct dialer dialer;
	struct conn_pool pool;
	struct resolver *resolver;
	struct metrics *metrics; // cells of this worker; any thread may read
	struct flight *flight;
	struct cds_list_head listeners;
	pthread_t thread;
	unsigned number;
	int cpu; // -1: not bound
	bool started;
};

// Everything but the thread. The snapshot must be published in `shared`. -ENOMEM, -EMFILE, ...
int worker_init(struct worker *worker, unsigned number, int cpu, struct front_shared *shared);
// Starts the thread. Signals are blocked in it.
int worker_start(struct worker *worker);
// Asks it to stop, waits for it, frees everything. NULL-safe after a failed worker_init.
void worker_stop(struct worker *worker);
void worker_release(struct worker *worker);

// The next ones: any thread. -ENOMEM: nothing was posted.
// The worker takes a listening socket (io/listener.h) for the listener of that id.
int worker_listen_any(struct worker *worker, uint64_t listener_id, int fd);
// It closes that listener, after taking who is in its queue; its connections go on.
int worker_unlisten_any(struct worker *worker, uint64_t listener_id);
// A new snapshot was published: sessions are judged anew, settings are taken over.
int worker_reconfigure_any(struct worker *worker);
// No new connections; idle ones end.
int worker_drain_any(struct worker *worker);
// Runs `run` on the worker's thread, and waits until it has returned. Not from a worker. -ETIMEDOUT: the
// worker did not come to it in that time, and `run` will not be called any more. -ENOMEM.
int worker_call_any(struct worker *worker, void (*run)(struct worker *worker, void *ctx), void *ctx,
		    uint64_t timeout_ns);
