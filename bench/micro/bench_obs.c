// SPDX-License-Identifier: Apache-2.0
// Nanoseconds per counter, histogram, flight event, and log line: `build/bench/micro/bench_obs [millions]`.
#include "obs/access.h"
#include "obs/flight.h"
#include "obs/log.h"
#include "obs/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void report(const char *what, uint64_t begin, uint64_t count)
{
	printf("%-42s %8.2f ns\n", what, (double)(clock_ns() - begin) / (double)count);
}

static void swallow(void *ctx, enum log_output output, const char *line, size_t len)
{
	*(size_t *)ctx += len;
}

int main(int argc, char **argv)
{
	uint64_t n = (argc > 1 ? strtoull(argv[1], NULL, 10) : 50) * 1000000;
	struct metrics *m = metrics_new();
	struct flight *f = flight_new(FLIGHT_EVENTS_DEFAULT);
	size_t len = 0;

	if (!m || !f)
		return 1;
	uint64_t begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		metric_add(&m->relay_bytes[i % METRIC_PROTOCOL_COUNT][i & 1][METRIC_MOVER_SPLICE],
			   i);
	report("counter", begin, n);

	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		hist_record(&m->connect_duration, i << 8);
	report("histogram", begin, n);

	// A thousand sessions in turn.
	static struct flight_tag tags[1024];
	for (uint32_t i = 0; i < 1024; i++)
		flight_tag_init(&tags[i], f, i);
	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		flight_event(f, &tags[i & 1023], i, EVENT_END_READ, METRIC_DIRECTION_UP,
			     (uint32_t)i);
	report("flight event", begin, n);

	n /= 50;
	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		flight_close(f, &tags[i & 1023], &(struct flight_summary){.session = i});
	report("abnormal close with 31 events", begin, n);

	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		log_debug(LOG_SESSION, "not wanted", LOG_UINT("i", i), LOG_END);
	report("log line, level off", begin, n);

	log_set_sink(swallow, NULL, &len);
	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		log_each(LOG_LEVEL_INFO, LOG_SESSION, "formatted",
			 LOG_STR("host", "www.example.com"), LOG_UINT("i", i), LOG_END);
	report("log line, formatted only", begin, n);
	const struct endpoint client = endpoint_v4(0xc0000201, 50000);
	const struct access_record record = {.client = &client,
					     .protocol = METRIC_PROTOCOL_CONNECT,
					     .host = SLICE("www.example.com"),
					     .port = 443,
					     .user = SLICE("alice"),
					     .reason = CLOSE_CLIENT_EOF};
	begin = clock_ns();
	for (uint64_t i = 0; i < n; i++)
		access_write(&record);
	report("access line, formatted only", begin, n);
	log_set_sink(NULL, NULL, NULL);

	const struct log_config config = {
		.targets = {{.path = "/dev/null"}, {.path = "/dev/null"}}};
	if (log_start(&config, NULL) < 0)
		return 1;
	uint64_t done = 0;
	begin = clock_ns();
	while (done < n) {
		for (int i = 0; i < 500; i++, done++)
			access_write(&record);
		while (!log_flush(1000))
			;
	}
	report("access line, queued and written (with waits)", begin, n);
	log_stop(1000);
	flight_free(f);
	metrics_free(m);
	return len == 0;
}
