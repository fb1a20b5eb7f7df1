// SPDX-License-Identifier: Apache-2.0
// sluice run and sluice check.
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "bin/command.h"
#include "config/config.h"
#include "control/control.h"
#include "io/sys.h"
#include "obs/log.h"
#include "snap/snap.h"

enum { LISTEN_MAX = 64 };

struct arguments {
	struct config_source source;
	const char *listen[LISTEN_MAX];
};

// Whatever stands in arguments is shown to every user of the machine (proc(5), cmdline): a password does
// not stay there. It was to be seen for a moment; a users file never shows it.
static void hide_password(char *listen)
{
	char *at = strrchr(listen, '@'), *colon = strchr(listen, ':');

	if (at && colon && colon < at)
		memset(colon + 1, 'x', (size_t)(at - colon - 1));
}

// 0; 1: help is asked for; -1: wrong usage, which it said.
static int parse(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"listen", required_argument, NULL, 'L'},
		{"admin", required_argument, NULL, 'a'},  {"workers", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	static const char *modules[LOG_MODULE_COUNT + 1];
	int option;

	memset(args, 0, sizeof(*args));
	for (unsigned i = 0; i < LOG_MODULE_COUNT; i++)
		modules[i] = log_module_name(i);
	args->source.log_modules = modules;
	args->source.environment = (const char *const *)environ;
	args->source.listen = args->listen;
	args->source.wall_ns = sys_wall();
	while ((option = getopt_long(argc, argv, "c:L:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			args->source.path = optarg;
			break;
		case 'L':
			if (args->source.listen_count == LISTEN_MAX) {
				fprintf(stderr, "sluice: more than %d times -L\n", LISTEN_MAX);
				return -1;
			}
			args->listen[args->source.listen_count] = strdup(optarg);
			if (!args->listen[args->source.listen_count++])
				return -1;
			hide_password(optarg);
			break;
		case 'a':
			args->source.admin = optarg;
			break;
		case 'w':
			args->source.workers = optarg;
			break;
		case 'h':
			return 1;
		default:
			fputs("See sluice --help.\n", stderr);
			return -1;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"sluice: unexpected argument '%s'; -c FILE names a configuration, see "
			"sluice --help\n",
			argv[optind]);
		return -1;
	}
	return 0;
}

// Where a program of this machine reaches what is bound to `bound`.
static void format_reachable(const struct endpoint *bound, char text[static ENDPOINT_STRLEN])
{
	if (endpoint_is_unspecified(bound))
		snprintf(text, ENDPOINT_STRLEN, "localhost:%u", bound->port);
	else
		endpoint_format(bound, text);
}

static int arguments_release(struct arguments *args, int code)
{
	for (size_t i = 0; i < args->source.listen_count; i++)
		free((char *)args->listen[i]);
	return code;
}

// What a person who started it by hand wants to know.
static void say_what_to_try(const struct control *control, bool by_hand)
{
	char proxy[ENDPOINT_STRLEN], admin[ENDPOINT_STRLEN];

	if (control->listener_count == 0 || !(by_hand || isatty(STDERR_FILENO)))
		return;
	fputs("\nSluice is ready.", stderr);
	const struct snap_listener *listener =
		snap_listener_by_id(control->snap, control->listeners[0].id);
	if (listener && listener->forward) {
		const char *user = listener->auth_required ? "USER:PASSWORD@" : "";
		format_reachable(&control->listeners[0].bound, proxy);
		fprintf(stderr,
			" To try it:\n"
			"  curl -x http://%s%s http://example.com/\n"
			"  curl -x http://%s%s https://example.com/\n"
			"  curl --socks5-hostname %s%s https://example.com/",
			user, proxy, user, proxy, user, proxy);
	}
	fputc('\n', stderr);
	if (endpoint_is_set(&control->admin_bound)) {
		format_reachable(&control->admin_bound, admin);
		fprintf(stderr,
			"Live page:  http://%s/\n"
			"Metrics:    http://%s/metrics\n",
			admin, admin);
	}
	fputs("Ctrl-C drains and ends; a second Ctrl-C ends at once.\n\n", stderr);
}

int run_main(int argc, char **argv)
{
	struct arguments args;
	int r = parse(argc, argv, &args);

	if (r != 0)
		return arguments_release(&args, r < 0 ? EXIT_USAGE : help_main(argc, argv));
	struct control *control = malloc(sizeof(*control));
	if (!control)
		return arguments_release(&args, EXIT_START);
	int code = control_start(control, &args.source);
	if (code == EXIT_OK) {
		log_info(LOG_MAIN, "ready", LOG_STR("version", SLUICE_VERSION),
			 LOG_UINT("workers", control->worker_count), LOG_INT("pid", getpid()),
			 LOG_END);
		say_what_to_try(control, args.source.path == NULL);
		code = control_run(control);
		control_stop(control);
		log_info(LOG_MAIN, "ended", LOG_INT("status", code), LOG_END);
	} else {
		control_stop(control);
	}
	free(control);
	return arguments_release(&args, code);
}

int check_main(int argc, char **argv)
{
	struct arguments args;
	struct config_errors errors;
	struct snap *snap;
	int r = parse(argc, argv, &args);

	if (r != 0)
		return arguments_release(&args, r < 0 ? EXIT_USAGE : help_main(argc, argv));
	config_errors_init(&errors);
	r = config_load(&args.source, &errors, &snap);
	config_errors_print(&errors, stderr);
	config_errors_release(&errors);
	arguments_release(&args, 0);
	if (r < 0)
		return EXIT_CONFIG;
	snap_free(snap);
	puts("The configuration is valid.");
	return EXIT_OK;
}

int reference_main(int argc, char **argv)
{
	return config_reference(stdout) < 0 ? EXIT_START : EXIT_OK;
}
