// SPDX-License-Identifier: Apache-2.0
// The command line of sluice-load: one table of options.
#include <arpa/inet.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct number {
	const char *name;
	const char *help;
	size_t offset;
	unsigned fallback;
	unsigned max;
};

#define NUMBER(NAME, FIELD, FALLBACK, MAX, HELP)                                                   \
	{                                                                                          \
		NAME, HELP, offsetof(struct options, FIELD), FALLBACK, MAX                         \
	}

static const struct number numbers[] = {
	NUMBER("streams", streams, 1, 100000, "connections, tunnels or flows"),
	NUMBER("size", size, 64, 60000, "bytes of a piece, message, reply or datagram"),
	NUMBER("interval-us", interval_us, 1000, 10000000, "paced: between pieces of a stream"),
	NUMBER("burst", burst, 1, 64, "udp: datagrams in one GSO send"),
	NUMBER("window", window, 16, 4096, "udp: datagrams under way in a flow"),
	NUMBER("send-burn-us", send_burn_us, 0, 100000, "bulk: sender's CPU burnt per 64 KiB"),
	NUMBER("recv-burn-us", recv_burn_us, 0, 100000, "bulk: receiver's CPU burnt per 64 KiB"),
	NUMBER("send-mbit", send_mbit, 0, 1000000, "bulk: sender's rate over all streams"),
	NUMBER("recv-mbit", recv_mbit, 0, 1000000, "bulk: receiver's rate over all streams"),
	NUMBER("keepalive", keepalive, 1, 1, "http: 0: a connection for each request"),
	NUMBER("warmup-ms", warmup_ms, 150, 60000, "unmeasured time after the set-up"),
	NUMBER("measure-ms", measure_ms, 1000, 600000, "the measured window"),
	NUMBER("limit-s", limit_s, 60, 3600, "the whole program ends after so long"),
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

enum {
	OPT_VIA = 1000,
	OPT_DIR,
	OPT_PROXY,
	OPT_BACKEND,
	OPT_PID,
	OPT_CPU,
	OPT_BYTES,
	OPT_OPS,
	OPT_CONGESTION
};

static _Noreturn void usage(const char *error)
{
	if (error)
		fprintf(stderr, "sluice-load: %s\n\n", error);
	fprintf(stderr,
		"sluice-load WORKLOAD --proxy ADDRESS:PORT --backend ADDRESS:PORT [OPTION...]\n"
		"runs both ends of a workload through a proxy and prints one line of JSON\n\n");
	for (const struct workload *w = workloads; w->name; w++)
		fprintf(stderr, "  %-10s %s\n", w->name, w->help);
	fprintf(stderr,
		"\n  --via tcp|socks5|connect|forward   how the client asks the proxy (tcp)\n"
		"  --dir up|down|both                 which end sends (up: the client)\n"
		"  --congestion NAME                  of both ends' sockets (cubic)\n"
		"  --pid N                            root process of the proxy\n"
		"  --ends-cpu N                       pin both ends to this CPU\n"
		"  --max-bytes N, --max-ops N         end the window early\n");
	for (size_t i = 0; i < NUMBERS; i++)
		fprintf(stderr, "  --%-12s N  %s (%u)\n", numbers[i].name, numbers[i].help,
			numbers[i].fallback);
	exit(error ? 2 : 0);
}

static uint64_t parse_number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (end == text || *end || text[0] == '-' || n > max)
		usage("a number is malformed or too large");
	return n;
}

static struct sockaddr_in parse_address(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN] = "";

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		usage("expected an IPv4 ADDRESS:PORT");
	memcpy(host, text, (size_t)(colon - text));
	address.sin_port = htons((uint16_t)parse_number(colon + 1, 65535));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		usage("expected an IPv4 ADDRESS:PORT");
	return address;
}

// The index of text in names, which ends with NULL.
static int parse_word(const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	usage("an option has an unknown value");
}

static void parse_one(struct options *opt, int c, const char *text)
{
	static const char *const vias[] = {"tcp", "socks5", "connect", "forward", NULL};
	static const char *const dirs[] = {"up", "down", "both", NULL};

	switch (c) {
	case OPT_VIA:
		opt->via = (enum via)parse_word(text, vias);
		break;
	case OPT_DIR:
		opt->dir = (enum direction)(parse_word(text, dirs) + 1);
		break;
	case OPT_PROXY:
		opt->proxy = parse_address(text);
		break;
	case OPT_BACKEND:
		opt->backend = parse_address(text);
		break;
	case OPT_PID:
		opt->pid = (pid_t)parse_number(text, 1u << 30);
		break;
	case OPT_CPU:
		opt->ends_cpu = (int)parse_number(text, 1023);
		break;
	case OPT_CONGESTION:
		opt->congestion = text;
		break;
	case OPT_BYTES:
		opt->max_bytes = parse_number(text, UINT64_MAX);
		break;
	case OPT_OPS:
		opt->max_ops = parse_number(text, UINT64_MAX);
		break;
	default:
		if (c < 0 || (size_t)c >= NUMBERS)
			usage("unknown option");
		*(unsigned *)((char *)opt + numbers[c].offset) =
			(unsigned)parse_number(text, numbers[c].max);
	}
}

static void options_check(const struct options *opt)
{
	if (!opt->proxy.sin_port || !opt->backend.sin_port)
		usage("--proxy and --backend are required");
	if (opt->streams < 1 || opt->size < 8 || opt->interval_us < 1 || opt->burst < 1)
		usage("--streams, --interval-us and --burst begin at 1, --size at 8");
	if (opt->window < opt->burst)
		usage("--window must hold a burst");
	if (opt->burst * (opt->size + 10) > 65000)
		usage("a burst must fit 65000 bytes");
}

void options_parse(struct options *opt, int argc, char **argv)
{
	struct option table[NUMBERS + 16] = {
		{"via", required_argument, NULL, OPT_VIA},
		{"dir", required_argument, NULL, OPT_DIR},
		{"proxy", required_argument, NULL, OPT_PROXY},
		{"backend", required_argument, NULL, OPT_BACKEND},
		{"pid", required_argument, NULL, OPT_PID},
		{"ends-cpu", required_argument, NULL, OPT_CPU},
		{"max-bytes", required_argument, NULL, OPT_BYTES},
		{"max-ops", required_argument, NULL, OPT_OPS},
		{"congestion", required_argument, NULL, OPT_CONGESTION},
		{"help", no_argument, NULL, 'h'},
	};
	size_t fixed = 10;
	int c;

	*opt = (struct options){.dir = DIR_UP,
				.ends_cpu = -1,
				.congestion = "cubic",
				.max_bytes = UINT64_MAX,
				.max_ops = UINT64_MAX};
	for (size_t i = 0; i < NUMBERS; i++) {
		table[fixed + i] =
			(struct option){numbers[i].name, required_argument, NULL, (int)i};
		*(unsigned *)((char *)opt + numbers[i].offset) = numbers[i].fallback;
	}
	while ((c = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (c == 'h')
			usage(NULL);
		if (c == '?')
			usage("unknown option");
		parse_one(opt, c, optarg);
	}
	if (optind != argc - 1)
		usage("expected one workload");
	opt->workload = argv[optind];
	options_check(opt);
}
