// SPDX-License-Identifier: Apache-2.0
// The process's life: start, reload, drain, stop.
#include "control/control.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <urcu/compiler.h>
#include <urcu/urcu-qsbr.h>

#include "base/race.h"
#include "control/admin.h"
#include "control/listeners.h"
#include "control/logs.h"
#include "control/sandbox.h"
#include "control/signals.h"
#include "control/watch.h"
#include "io/helper.h"
#include "io/sys.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/text.h"
#include "policy/account.h"
#include "policy/authcache.h"
#include "policy/throttle.h"
#include "snap/snap.h"

enum {
	ACCOUNTS_MAX = 1 << 20,
	AUTHCACHE_ENTRIES = 1 << 16,
	THROTTLE_ENTRIES = 1 << 16,
	HELPER_QUEUE = 1024,
	DRAIN_LOOK_NS = 50000000,
	SETTLE_NS = 1000000000,
};

uint32_t control_live(const struct control *control)
{
	return atomic_load_explicit(&control->shared.live_atomic, memory_order_relaxed);
}

// As many descriptors as we may have: each tunnel takes two.
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

// The cores that this process may use, for the default number of workers and their affinity.
static unsigned usable_cores(int cpus[], unsigned max)
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int cpu = 0; cpu < CPU_SETSIZE && n < max; cpu++)
			if (CPU_ISSET((unsigned)cpu, &set))
				cpus[n++] = cpu;
	if (n == 0)
		cpus[n++] = -1;
	return n;
}

static int init_shared(struct control *control)
{
	struct front_shared *shared = &control->shared;
	const struct accounts_options accounts = {.worker_count = control->worker_count,
						  .limit = ACCOUNTS_MAX};

	int r = accounts_new(&accounts, &shared->accounts);
	if (r == 0)
		r = throttle_new(THROTTLE_ENTRIES, &shared->throttle);
	if (r == 0)
		r = authcache_new(AUTHCACHE_ENTRIES, &shared->authcache);
	if (r == 0)
		r = helper_new(control->snap->auth.threads, HELPER_QUEUE, &shared->helper);
	atomic_store(&shared->next_id_atomic, 1);
	return r;
}

static int init_workers(struct control *control)
{
	int cpus[CPU_SETSIZE];
	unsigned cores = usable_cores(cpus, CPU_SETSIZE);

	control->worker_count = control->snap->workers ? control->snap->workers : cores;
	int r = init_shared(control);
	if (r < 0)
		return r;
	control->workers = calloc(control->worker_count, sizeof(*control->workers));
	if (!control->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < control->worker_count; i++) {
		// With fewer workers than cores the scheduler knows better where they run.
		int cpu = control->worker_count == cores && cores > 1 ? cpus[i] : -1;
		r = worker_init(&control->workers[i], i, cpu, &control->shared);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool user_exists(uint64_t user_id, void *ctx)
{
	return snap_user_by_id(ctx, user_id) != NULL;
}

static void publish(struct control *control, struct snap *snap)
{
	struct snap *old = control->snap;

	snap->generation = old ? old->generation + 1 : 1;
	control->snap = snap;
	race_give(snap);
	rcu_set_pointer(&control->shared.snap_rcu, snap);
	metric_gauge_set(&control->metrics->snapshot_revision, (int64_t)snap->generation);
	metric_gauge_set(&control->metrics->users, (int64_t)snap->user_count);
	metric_gauge_set(&control->metrics->config_last_success_timestamp, sys_wall());
	if (!old)
		return;
	urcu_qsbr_synchronize_rcu();
	race_take(&control->shared);
	// No worker sees the old users any more; their accounts may go when the last session ends.
	accounts_remove_users(control->shared.accounts, user_exists, snap);
	snap_free(old);
}

static int open_all(struct control *control)
{
	struct listeners_plan *plan;
	struct text why;

	text_init(&why, 16384);
	int r = listeners_open(control, control->snap, &why, &plan);
	if (r < 0)
		log_error(LOG_LISTENER, "cannot listen", LOG_STRN("why", why.data, why.len),
			  LOG_END);
	else
		listeners_commit(control, plan);
	text_release(&why);
	return r;
}

static int start_failed(const char *what, int error)
{
	log_error(LOG_MAIN, "cannot start", LOG_STR("part", what), LOG_ERRNO("error", error),
		  LOG_END);
	return EXIT_START;
}

int control_start(struct control *control, const struct config_source *source)
{
	struct config_errors errors;
	struct snap *snap;
	int r;

	*control = (struct control){.source = *source};
	control->signals.fd = control->file_watch.fd = -1;
	control->started_wall = sys_wall();
	raise_descriptor_limit();
	config_errors_init(&errors);
	r = config_load(source, &errors, &snap);
	config_errors_print(&errors, stderr); // warnings too
	if (r < 0) {
		config_errors_release(&errors);
		return EXIT_CONFIG;
	}
	config_errors_release(&errors);
	control->metrics = metrics_new();
	if (!control->metrics)
		return start_failed("memory", -ENOMEM);
	publish(control, snap);
	metric_gauge_set(&control->metrics->config_last_reload_success, 1);
	r = sandbox_prepare(); // threads inherit it
	if (r < 0)
		return start_failed("privileges", r);
	r = logs_start(snap);
	if (r < 0)
		return EXIT_START; // said why
	r = loop_init(&control->loop, 0);
	if (r == 0)
		r = signals_init(control);
	if (r < 0)
		return start_failed("control loop", r);
	r = init_workers(control);
	if (r < 0)
		return start_failed("workers", r);
	control->has_parts = true;
	r = admin_start(control);
	if (r < 0)
		return start_failed("admin listener", r);
	if (open_all(control) < 0)
		return EXIT_START;
	r = sandbox_enter(snap);
	if (r < 0)
		return start_failed("privileges", r);
	for (unsigned i = 0; i < control->worker_count; i++) {
		r = worker_start(&control->workers[i]);
		if (r < 0)
			return start_failed("worker thread", r);
	}
	metric_gauge_set(&control->metrics->workers, control->worker_count);
	watch_update(control);
	return EXIT_OK;
}

static void write_errors(const struct config_errors *errors, struct text *why)
{
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);

	if (!out)
		return;
	config_errors_print(errors, out);
	fclose(out);
	text_bytes(why, data, len);
	free(data);
}

int control_reload(struct control *control, const char *cause, struct text *ret_why)
{
	struct config_errors errors;
	struct listeners_plan *plan = NULL;
	struct admin_plan admin;
	struct text why;
	struct snap *snap;

	config_errors_init(&errors);
	text_init(&why, 65536);
	int r = config_load(&control->source, &errors, &snap);
	if (r < 0)
		write_errors(&errors, &why);
	config_errors_release(&errors);
	if (r == 0) {
		r = admin_open(control, snap, &why, &admin);
		if (r == 0) {
			r = listeners_open(control, snap, &why, &plan);
			if (r < 0)
				admin_abandon(&admin);
		}
		if (r < 0)
			snap_free(snap);
	}
	control->reload_failed = r < 0;
	metric_gauge_set(&control->metrics->config_last_reload_success, r == 0);
	metric_inc(&control->metrics->config_reloads[r == 0 ? METRIC_RESULT_SUCCESS
							    : METRIC_RESULT_FAILURE]);
	if (r < 0) {
		log_error(LOG_CONFIG, "reload failed; the running configuration stays",
			  LOG_STR("cause", cause), LOG_STRN("why", why.data, why.len), LOG_END);
		if (ret_why)
			text_bytes(ret_why, why.data, why.len);
		text_release(&why);
		return -EINVAL;
	}
	text_release(&why);
	// Before the workers see the new address and guard it alone.
	admin_commit(control, &admin);
	publish(control, snap);
	logs_update(snap);
	listeners_commit(control, plan);
	for (unsigned i = 0; i < control->worker_count; i++)
		worker_reconfigure_any(&control->workers[i]);
	watch_update(control);
	log_info(LOG_CONFIG, "configuration reloaded", LOG_STR("cause", cause),
		 LOG_UINT("revision", snap->generation), LOG_END);
	return 0;
}

static void end(struct control *control, int code)
{
	control->exit_code = code;
	loop_stop_any(&control->loop);
}

static void drain_look(struct loop *loop, struct timer *timer)
{
	struct control *control = caa_container_of(timer, struct control, drain_timer);
	uint32_t live = control_live(control);

	if (live == 0) {
		log_info(LOG_MAIN, "drained", LOG_END);
		end(control, EXIT_OK);
	} else if (loop->now >= control->drain_until) {
		log_warn(LOG_MAIN, "drain time is over", LOG_UINT("sessions", live), LOG_END);
		end(control, EXIT_DRAIN);
	} else {
		loop_timer_set(loop, timer, loop->now + DRAIN_LOOK_NS);
	}
}

void control_drain(struct control *control, const char *cause)
{
	if (control->draining) {
		log_warn(LOG_MAIN, "asked a second time: ending now",
			 LOG_UINT("sessions", control_live(control)), LOG_END);
		end(control, control_live(control) ? EXIT_DRAIN : EXIT_OK);
		return;
	}
	control->draining = true;
	atomic_store(&control->shared.draining_atomic, true);
	metric_gauge_set(&control->metrics->draining, 1);
	control->drain_until = control->loop.now + control->snap->timeouts.drain_ns;
	log_info(LOG_MAIN, "draining: no new connections", LOG_STR("cause", cause),
		 LOG_UINT("sessions", control_live(control)),
		 LOG_SECONDS("at_most", control->snap->timeouts.drain_ns), LOG_END);
	for (unsigned i = 0; i < control->worker_count; i++)
		worker_drain_any(&control->workers[i]);
	timer_init(&control->drain_timer, drain_look);
	loop_timer_set(&control->loop, &control->drain_timer, control->loop.now + 1000000);
}

// Now and then: accounts that nobody needs any more.
static void settle(struct loop *loop, struct timer *timer)
{
	struct control *control = caa_container_of(timer, struct control, settle_timer);

	accounts_sweep(control->shared.accounts, loop->now, 1024);
	loop_timer_set(loop, timer, loop->now + SETTLE_NS);
}

int control_run(struct control *control)
{
	timer_init(&control->settle_timer, settle);
	loop_timer_set(&control->loop, &control->settle_timer, control->loop.now + SETTLE_NS);
	loop_run(&control->loop);
	return control->exit_code;
}

void control_stop(struct control *control)
{
	// What a start that failed so early had made besides ends with the process.
	if (!control->has_parts) {
		metrics_free(control->metrics);
		snap_free(control->snap);
		log_stop(1000);
		return;
	}
	for (unsigned i = 0; i < control->worker_count && control->workers; i++)
		worker_stop(&control->workers[i]);
	// Helpers answer to the workers' mailboxes, so they end before these.
	helper_free(control->shared.helper);
	for (unsigned i = 0; i < control->worker_count && control->workers; i++)
		worker_release(&control->workers[i]);
	admin_stop(control);
	free(control->workers);
	free(control->listeners);
	accounts_free(control->shared.accounts);
	throttle_free(control->shared.throttle);
	authcache_free(control->shared.authcache);
	watch_release(control);
	signals_release(control);
	loop_release(&control->loop);
	metrics_free(control->metrics);
	snap_free(control->snap);
	log_stop(1000);
}
