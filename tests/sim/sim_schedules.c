// SPDX-License-Identifier: Apache-2.0
// Runs schedules on the simulated network: a range of seeds, each as good as the next.
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schedule.h"

#include "io/sim.h"

static const char *program;
static uint64_t current;
static bool failed;

static void print_replay(void)
{
	// In a handler too: the program is lost then, and a line that is sometimes garbled still helps.
	// NOLINTNEXTLINE(bugprone-signal-handler)
	fprintf(stderr,
		"seed %" PRIu64 " failed; again, with the trace: %s -v --seed %" PRIu64 "\n",
		current, program, current);
	fflush(stderr); // NOLINT(bugprone-signal-handler)
}

static void on_fail(void)
{
	failed = true;
	print_replay();
	_exit(1);
}

// What a sanitizer or an assertion ends.
static void on_signal(int signal)
{
	print_replay();
	_exit(128 + signal);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch_for_crashes(void)
{
	static const int signals[] = {SIGABRT, SIGALRM};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_signal);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(print_replay);
	} else {
		signal(SIGSEGV, on_signal);
		signal(SIGBUS, on_signal);
		signal(SIGFPE, on_signal);
	}
	sim_on_fail(on_fail);
}

static void run(uint64_t seed, bool trace, bool twice)
{
	current = seed;
	alarm(120);
	uint64_t hash = schedule_run(seed, trace);
	if (twice && schedule_run(seed, false) != hash)
		sim_fail("the same seed went another way");
	alarm(0);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: %s [--seed N] [--from N] [--count N] [--part I/N] [--twice] [-v] "
		"[--metrics]\n"
		"  [--seeds FILE]\n"
		"TOOLS_SIM_SEEDS in the environment is the number of seeds of all parts "
		"together.\n",
		program);
	exit(2);
}

static unsigned run_file(const char *path, bool trace)
{
	FILE *file = fopen(path, "r");
	char line[1024];
	unsigned n = 0;

	if (!file) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		run(strtoull(line, NULL, 10), trace, false);
		n++;
	}
	fclose(file);
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},  {"from", required_argument, NULL, 'f'},
		{"count", required_argument, NULL, 'c'}, {"part", required_argument, NULL, 'p'},
		{"twice", no_argument, NULL, 't'},       {"metrics", no_argument, NULL, 'm'},

		{"seeds", required_argument, NULL, 'l'}, {0},
	};
	uint64_t from = 1, count = 300, part = 0, parts = 1;
	const char *file = NULL;
	bool trace = false, twice = false, metrics = false;
	int c;

	program = argv[0];
	if (getenv("TOOLS_SIM_SEEDS"))
		count = strtoull(getenv("TOOLS_SIM_SEEDS"), NULL, 10);
	while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (c) {
		case 's':
			from = strtoull(optarg, NULL, 10);
			count = 1;
			break;
		case 'f':
			from = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			if (sscanf(optarg, "%" SCNu64 "/%" SCNu64, &part, &parts) != 2 || !parts)
				usage();
			break;
		case 't':
			twice = true;
			break;
		case 'l':
			file = optarg;
			break;
		case 'v':
			trace = true;
			break;
		case 'm':
			metrics = true;
			break;
		default:
			usage();
		}
	}
	watch_for_crashes();
	if (file) {
		printf("%u seeds passed\n", run_file(file, trace));
		return 0;
	}
	uint64_t n = 0;
	for (uint64_t seed = from + part; seed < from + count; seed += parts, n++)
		run(seed, trace, twice);
	if (metrics)
		schedule_print_metrics();
	printf("%" PRIu64 " seeds passed\n", n);
	return 0;
}
