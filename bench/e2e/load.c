// SPDX-License-Identifier: Apache-2.0
// Runs the two ends of a workload as threads, measures a window, and prints one line of JSON.
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"

const struct workload workloads[] = {
	{"bulk", "streams that send as much as they can", bulk_server, bulk_client},
	{"paced", "streams of time-stamped pieces at intervals", paced_server, paced_client},
	{"pingpong", "small messages there and back", echo_server, pingpong_client},
	{"churn", "connect, 100 bytes, a reply, close", churn_server, churn_client},
	{"http", "keep-alive GET requests", http_server, http_client},
	{"ttfb", "connect to first byte, one at a time", echo_server, ttfb_client},
	{"udp", "datagram flows to an echo server", udp_server, udp_client},
	{"idle", "idle tunnels and the proxy's memory", echo_server, idle_client},
	{NULL, NULL, NULL, NULL},
};

// What is read at the window's beginning and at its end.
struct sample {
	uint64_t at;
	uint64_t proxy_cpu;
	uint64_t client_cpu;
	uint64_t server_cpu;
	uint64_t client_bytes, server_bytes;
	uint64_t client_ops, server_ops;
	uint64_t errors;
};

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void burn_ns(uint64_t ns)
{
	uint64_t until = now_ns() + ns;

	while (now_ns() < until)
		;
}

void sleep_until_ns(uint64_t when)
{
	struct timespec ts = {.tv_sec = (time_t)(when / 1000000000ull),
			      .tv_nsec = (long)(when % 1000000000ull)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static uint64_t thread_cpu(pthread_t thread)
{
	struct timespec ts;
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static struct sample sample_take(struct run *run)
{
	struct sample s;

	s.proxy_cpu = run->opt->pid ? cpu_tree_ns(run->opt->pid) : 0;
	s.at = now_ns();
	s.client_cpu = thread_cpu(run->client.thread);
	s.server_cpu = thread_cpu(run->server.thread);
	s.client_bytes = atomic_load(&run->client.bytes_atomic);
	s.server_bytes = atomic_load(&run->server.bytes_atomic);
	s.client_ops = atomic_load(&run->client.ops_atomic);
	s.server_ops = atomic_load(&run->server.ops_atomic);
	s.errors =
		atomic_load(&run->client.errors_atomic) + atomic_load(&run->server.errors_atomic);
	return s;
}

static void *end_thread(void *arg)
{
	struct end *end = arg;

	end->result = end->body(end);
	atomic_store(&end->done, true);
	return NULL;
}

static int end_start(struct end *end, struct run *run, int (*body)(struct end *))
{
	end->run = run;
	end->body = body;
	return -pthread_create(&end->thread, NULL, end_thread, end);
}

// Waits until an end is ready; its result if it gave up before.
static int end_await(struct end *end)
{
	while (!atomic_load(&end->ready)) {
		if (atomic_load(&end->done))
			return end->result < 0 ? end->result : -ECANCELED;
		usleep(200);
	}
	return 0;
}

static void window_wait(struct run *run)
{
	const struct options *opt = run->opt;
	uint64_t until = now_ns() + opt->measure_ms * 1000000ull;

	while (now_ns() < until && !atomic_load(&run->client.done)) {
		uint64_t ops = atomic_load(&run->client.ops_atomic);
		uint64_t bytes = atomic_load(&run->client.bytes_atomic) +
				 atomic_load(&run->server.bytes_atomic);

		if (ops >= opt->max_ops || bytes >= opt->max_bytes)
			break;
		sleep_until_ns(now_ns() + 5000000);
	}
}

static void report(const struct run *run, const struct sample *a, const struct sample *b)
{
	const struct hist *hist = run->client.hist.count ? &run->client.hist : &run->server.hist;

	printf("{\"workload\": \"%s\", \"seconds\": %.6f, ", run->opt->workload,
	       (double)(b->at - a->at) / 1e9);
	printf("\"bytes\": %" PRIu64 ", ",
	       b->client_bytes - a->client_bytes + b->server_bytes - a->server_bytes);
	printf("\"client_ops\": %" PRIu64 ", \"server_ops\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", ",
	       b->client_ops - a->client_ops, b->server_ops - a->server_ops, b->errors - a->errors);
	printf("\"proxy_cpu_ns\": %" PRIu64 ", \"client_cpu_ns\": %" PRIu64
	       ", \"server_cpu_ns\": %" PRIu64 ", ",
	       b->proxy_cpu - a->proxy_cpu, b->client_cpu - a->client_cpu,
	       b->server_cpu - a->server_cpu);
	printf("\"samples\": %" PRIu64 ", \"p50_ns\": %" PRIu64 ", \"p90_ns\": %" PRIu64
	       ", \"p99_ns\": %" PRIu64 ", ",
	       hist->count, hist_quantile(hist, .5), hist_quantile(hist, .9),
	       hist_quantile(hist, .99));
	printf("\"tunnels\": %" PRIu64 ", \"memory_before\": %" PRIu64
	       ", \"memory_after\": %" PRIu64 "}\n",
	       run->tunnels, run->memory_before, run->memory_after);
}

static int run_workload(struct run *run, const struct workload *workload)
{
	struct sample a, b;
	int r = end_start(&run->server, run, workload->server);

	if (r == 0)
		r = end_await(&run->server);
	if (r < 0) {
		fprintf(stderr, "sluice-load: server: %s\n", strerror(-r));
		return 1;
	}
	r = end_start(&run->client, run, workload->client);
	if (r == 0)
		r = end_await(&run->client);
	if (r < 0) {
		fprintf(stderr, "sluice-load: client: %s\n", strerror(-r));
		return 1;
	}
	sleep_until_ns(now_ns() + run->opt->warmup_ms * 1000000ull);
	a = sample_take(run);
	atomic_store(&run->measuring, true);
	window_wait(run);
	atomic_store(&run->measuring, false);
	b = sample_take(run);
	atomic_store(&run->stopping, true);
	pthread_join(run->client.thread, NULL);
	pthread_join(run->server.thread, NULL);
	report(run, &a, &b);
	return 0;
}

static void process_prepare(const struct options *opt)
{
	struct rlimit limit;
	cpu_set_t set;

	signal(SIGPIPE, SIG_IGN);
	alarm(opt->limit_s);
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (opt->ends_cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)opt->ends_cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fprintf(stderr, "sluice-load: cannot pin to CPU %d\n", opt->ends_cpu);
	}
}

int main(int argc, char **argv)
{
	static struct options opt;
	static struct run run;

	options_parse(&opt, argc, argv);
	process_prepare(&opt);
	run.opt = &opt;
	for (const struct workload *w = workloads; w->name; w++) {
		if (!strcmp(w->name, opt.workload))
			return run_workload(&run, w);
	}
	fprintf(stderr, "sluice-load: unknown workload '%s'; see --help\n", opt.workload);
	return 2;
}
