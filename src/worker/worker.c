// SPDX-License-Identifier: Apache-2.0
// A worker: its parts put together, its thread, and the mail that the control thread sends.
#include "worker/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <urcu/compiler.h>
#include <urcu/urcu-qsbr.h>

#include "base/race.h"
#include "io/listener.h"
#include "io/sys.h"
#include "obs/flight.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "upstream/resolver.h"

struct worker_listener {
	struct listener listener;
	struct worker *worker;
	uint64_t id;
	struct cds_list_head node;
	struct deferred deferred;
};

static struct worker *worker_of(struct loop *loop)
{
	return caa_container_of(loop, struct worker, loop);
}

// The turn is over: its length is what a client that came meanwhile has waited.
static void offline(struct loop *loop)
{
	struct metrics *metrics = worker_of(loop)->metrics;
	uint64_t busy = sys_now() - loop->now;

	metric_inc(&metrics->loop_turns);
	metric_add(&metrics->loop_busy, busy);
	hist_record(&metrics->loop_turn, busy);
	metric_gauge_set(&metrics->timers, loop->timers.count);
	race_give(worker_of(loop)
			  ->front.shared); // taken after a grace period, by who frees a snapshot
	urcu_qsbr_thread_offline();
}

static void online(struct loop *loop)
{
	urcu_qsbr_thread_online();
}

static struct resolver_config resolver_config_of(const struct snap *snap)
{
	return (struct resolver_config){
		.servers = snap->dns.servers,
		.server_count = snap->dns.server_count,
		.cache_entries = snap->dns.cache_entries,
		.ttl_min_ns = snap->dns.ttl_min_ns,
		.ttl_max_ns = snap->dns.ttl_max_ns,
		.ttl_negative_ns = snap->dns.ttl_negative_ns,
	};
}

static struct conn_pool_config pool_config_of(const struct snap *snap)
{
	return (struct conn_pool_config){
		.idle_max = 1024,
		.idle_per_key = 64,
		.idle_ns = snap->timeouts.http_keepalive_ns,
	};
}

static int init_contexts(struct worker *worker, const struct snap *snap)
{
	const struct resolver_config resolver = resolver_config_of(snap);
	const struct conn_pool_config pool = pool_config_of(snap);
	struct front *front = &worker->front;

	int r = resolver_new(&worker->loop, worker->metrics, &resolver, NULL, &worker->resolver);
	if (r < 0)
		return r;
	dialer_init(&worker->dialer, &worker->loop, worker->resolver, worker->metrics);
	r = conn_pool_init(&worker->pool, &worker->loop, worker->metrics, &pool);
	if (r < 0)
		return r;
	front->dialer = &worker->dialer;
	front->pool = &worker->pool;
	front->flight = worker->flight;
	return 0;
}

int worker_init(struct worker *worker, unsigned number, int cpu, struct front_shared *shared)
{
	*worker = (struct worker){.number = number, .cpu = cpu};
	CDS_INIT_LIST_HEAD(&worker->listeners);
	worker->metrics = metrics_new();
	worker->flight = flight_new(FLIGHT_EVENTS_DEFAULT);
	if (!worker->metrics || !worker->flight)
		return -ENOMEM;
	const struct snap *snap = shared->snap_rcu; // nobody else publishes yet
	int r = loop_init(&worker->loop, snap->relay.coalesce_ns);
	if (r < 0)
		return r;
	r = front_init(&worker->front, &worker->loop, number, worker->metrics, shared);
	if (r < 0)
		return r;
	return init_contexts(worker, snap);
}

void worker_release(struct worker *worker)
{
	struct worker_listener *listener, *next;

	// Mail may wait still, of listeners above all when the thread never started.
	if (worker->front.loop)
		loop_turn(&worker->loop, 0);
	cds_list_for_each_entry_safe(listener, next, &worker->listeners, node)
	{
		listener_release(&listener->listener);
		free(listener);
	}
	CDS_INIT_LIST_HEAD(&worker->listeners);
	front_release(&worker->front);
	conn_pool_release(&worker->pool);
	dialer_release(&worker->dialer);
	resolver_free(worker->resolver);
	loop_release(&worker->loop);
	metrics_free(worker->metrics);
	flight_free(worker->flight);
}

static void listener_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct worker_listener, deferred));
}

static void close_listeners(struct worker *worker, uint64_t id, bool all)
{
	struct worker_listener *listener, *next;

	cds_list_for_each_entry_safe(listener, next, &worker->listeners, node)
	{
		if (!all && listener->id != id)
			continue;
		if (listener->listener.is_paused)
			metric_gauge_add(&worker->metrics->listeners_paused, -1);
		listener_release(&listener->listener);
		cds_list_del(&listener->node);
		metric_gauge_add(&worker->metrics->listeners, -1);
		loop_defer(&worker->loop, &listener->deferred, listener_free);
	}
}

static void bind_to_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	// Refused inside some containers; the scheduler then decides.
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", worker->number);
	pthread_setname_np(pthread_self(), name);
	log_thread_name(name);
	bind_to_cpu(worker->cpu);
	flight_touch(worker->flight);
	log_debug(LOG_WORKER, "worker runs", LOG_INT("cpu", worker->cpu), LOG_END);
	prctl(PR_SET_TIMERSLACK, 10000UL); // ns: paced passes are timed in tens of microseconds
	urcu_qsbr_register_thread();
	worker->loop.before_wait = offline;
	worker->loop.after_wait = online;
	loop_run(&worker->loop);
	close_listeners(worker, 0, true);
	front_close_all(&worker->front);
	worker->loop.before_wait = worker->loop.after_wait = NULL;
	urcu_qsbr_unregister_thread();
	return NULL;
}

int worker_start(struct worker *worker)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = r == 0;
	return r;
}

void worker_stop(struct worker *worker)
{
	if (!worker->started)
		return;
	loop_stop_any(&worker->loop);
	pthread_join(worker->thread, NULL);
	worker->started = false;
}

static void accepted(struct listener *base, int fd, const struct sockaddr *peer)
{
	struct worker_listener *listener = caa_container_of(base, struct worker_listener, listener);

	front_accept(&listener->worker->front, listener->id, fd, peer);
}

static void paused(struct listener *base, int error)
{
	struct worker_listener *listener = caa_container_of(base, struct worker_listener, listener);
	struct metrics *metrics = listener->worker->metrics;

	metric_gauge_add(&metrics->listeners_paused, error ? 1 : -1);
	if (error)
		metric_inc(&metrics->accept_pauses[error == -EMFILE || error == -ENFILE
							   ? METRIC_PAUSE_DESCRIPTORS
							   : METRIC_PAUSE_MEMORY]);
}

// Mail. Each kind carries what it needs; it is freed where it arrives.
struct worker_mail {
	struct mail mail;
	uint64_t listener_id;
	int fd;
};

// A call that somebody waits for. Whoever sees it last frees it: the caller, or, when the caller has
// given up, the worker.
struct worker_call {
	struct mail mail;
	void (*run)(struct worker *worker, void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t over;
	enum { CALL_POSTED, CALL_RUNNING, CALL_OVER, CALL_GIVEN_UP } state_shared; // by lock
};

static int post(struct worker *worker, mail_fn *deliver, const struct worker_mail *content)
{
	struct worker_mail *mail = malloc(sizeof(*mail));

	if (!mail)
		return -ENOMEM;
	*mail = *content;
	mail->mail.deliver = deliver;
	mailbox_post_any(&worker->loop.mailbox, &mail->mail);
	return 0;
}

static void listen_delivered(struct loop *loop, struct mail *base)
{
	struct worker_mail *mail = caa_container_of(base, struct worker_mail, mail);
	struct worker *worker = worker_of(loop);
	struct worker_listener *listener = calloc(1, sizeof(*listener));

	if (!listener || listener_init(&listener->listener, loop, mail->fd, accepted, paused) < 0) {
		const struct snap_listener *known =
			snap_listener_by_id(front_snap(&worker->front), mail->listener_id);
		log_error(LOG_LISTENER, "a listening socket is given up: no memory to watch it",
			  LOG_STR("listener", known ? known->name : NULL), LOG_END);
		sys_close(mail->fd);
		free(listener);
	} else {
		listener->worker = worker;
		listener->id = mail->listener_id;
		cds_list_add_tail(&listener->node, &worker->listeners);
		metric_gauge_add(&worker->metrics->listeners, 1);
	}
	free(mail);
}

static void unlisten_delivered(struct loop *loop, struct mail *base)
{
	struct worker_mail *mail = caa_container_of(base, struct worker_mail, mail);

	close_listeners(worker_of(loop), mail->listener_id, false);
	free(mail);
}

static void reconfigure_delivered(struct loop *loop, struct mail *base)
{
	struct worker *worker = worker_of(loop);
	const struct snap *snap = front_snap(&worker->front);
	const struct resolver_config resolver = resolver_config_of(snap);
	const struct conn_pool_config pool = pool_config_of(snap);

	worker->loop.pace_max_ns = snap->relay.coalesce_ns;
	front_configure(&worker->front);
	resolver_configure(worker->resolver, &resolver);
	conn_pool_configure(&worker->pool, &pool);
	conn_pool_drop(&worker->pool, NULL, NULL);
	front_revalidate(&worker->front);
	free(caa_container_of(base, struct worker_mail, mail));
}

static void drain_delivered(struct loop *loop, struct mail *base)
{
	struct worker *worker = worker_of(loop);

	close_listeners(worker, 0, true);
	front_drain(&worker->front);
	free(caa_container_of(base, struct worker_mail, mail));
}

static void call_free(struct worker_call *call)
{
	pthread_cond_destroy(&call->over);
	pthread_mutex_destroy(&call->lock);
	free(call);
}

static void call_delivered(struct loop *loop, struct mail *base)
{
	struct worker_call *call = caa_container_of(base, struct worker_call, mail);

	pthread_mutex_lock(&call->lock);
	bool wanted = call->state_shared == CALL_POSTED;
	if (wanted)
		call->state_shared = CALL_RUNNING;
	pthread_mutex_unlock(&call->lock);
	if (!wanted) {
		call_free(call);
		return;
	}
	call->run(worker_of(loop), call->ctx);
	pthread_mutex_lock(&call->lock);
	call->state_shared = CALL_OVER;
	pthread_cond_signal(&call->over);
	pthread_mutex_unlock(&call->lock);
}

int worker_listen_any(struct worker *worker, uint64_t listener_id, int fd)
{
	return post(worker, listen_delivered,
		    &(struct worker_mail){.listener_id = listener_id, .fd = fd});
}

int worker_unlisten_any(struct worker *worker, uint64_t listener_id)
{
	return post(worker, unlisten_delivered, &(struct worker_mail){.listener_id = listener_id});
}

int worker_reconfigure_any(struct worker *worker)
{
	return post(worker, reconfigure_delivered, &(struct worker_mail){0});
}

int worker_drain_any(struct worker *worker)
{
	return post(worker, drain_delivered, &(struct worker_mail){0});
}

int worker_call_any(struct worker *worker, void (*run)(struct worker *worker, void *ctx), void *ctx,
		    uint64_t timeout_ns)
{
	struct worker_call *call = malloc(sizeof(*call));
	uint64_t until = sys_now() + timeout_ns;
	const struct timespec deadline = {(time_t)(until / 1000000000), (long)(until % 1000000000)};

	if (!call)
		return -ENOMEM;
	*call = (struct worker_call){.mail.deliver = call_delivered, .run = run, .ctx = ctx};
	pthread_mutex_init(&call->lock, NULL);
	pthread_cond_init(&call->over, NULL);
	mailbox_post_any(&worker->loop.mailbox, &call->mail);
	pthread_mutex_lock(&call->lock);
	while (call->state_shared == CALL_POSTED &&
	       pthread_cond_clockwait(&call->over, &call->lock, CLOCK_MONOTONIC, &deadline) == 0)
		;
	if (call->state_shared == CALL_POSTED) {
		call->state_shared = CALL_GIVEN_UP;
		pthread_mutex_unlock(&call->lock);
		return -ETIMEDOUT;
	}
	// It has begun and uses `ctx`: its end must be waited for.
	while (call->state_shared != CALL_OVER)
		pthread_cond_wait(&call->over, &call->lock);
	pthread_mutex_unlock(&call->lock);
	call_free(call);
	return 0;
}
