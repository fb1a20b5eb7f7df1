// SPDX-License-Identifier: Apache-2.0
// The proxy's main program: commands and options.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/command.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"run", run_main, "start the proxy"},
	{"check", check_main,
	 "check a configuration file and say everything that is wrong with it"},
	{"passwd", passwd_main, "make a line for the users file; asks for the password"},
	{"reference", reference_main, "print the reference of all configuration keys (Markdown)"},
	{"version", version_main, "print the version, features and libraries"},
	{"help", help_main, "print this"},
};

static void usage(FILE *out)
{
	fputs("Usage: sluice COMMAND [OPTION...]\n"
	      "\n"
	      "A proxy that takes HTTP/1.1, CONNECT, SOCKS4, 4a and 5, TLS and TCP on one port.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
	fputs("\n"
	      "Options of run:\n"
	      "  -c, --config FILE         the configuration (YAML or JSON); doc/configuration.md\n"
	      "  -L, --listen [USER:PASSWORD@]HOST:PORT\n"
	      "                            listen there, without a file; may be repeated. What "
	      "stands in\n"
	      "                            arguments is seen by every user of the machine: for "
	      "more than a\n"
	      "                            trial use a users file, or SLUICE_LISTENERS\n"
	      "      --admin HOST:PORT     the admin address; off turns it off (default "
	      "127.0.0.1:9901)\n"
	      "      --workers N           worker threads (default: one per core)\n"
	      "Without -c and -L: 127.0.0.1:8080, for clients on this machine only.\n"
	      "\n"
	      "Options of check: -c FILE; exit status 0, or 1 with every error.\n"
	      "\n"
	      "Every key of the configuration can be set from the environment: "
	      "SLUICE_TIMEOUTS__CONNECT=5s.\n"
	      "\n"
	      "Signals: TERM and INT drain and end (a second one ends at once), HUP reloads the\n"
	      "configuration, USR1 reopens the logs.\n"
	      "\n"
	      "Exit status: 0 ended as asked, 1 errors in the configuration, 2 wrong usage, 3 "
	      "could not\n"
	      "start (a port, a file, a privilege), 4 sessions were cut when the drain time was "
	      "over.\n",
	      out);
}

int help_main(int argc, char **argv)
{
	usage(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help_main(argc, argv);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return version_main(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		char name[32]; // what getopt begins its messages with
		snprintf(name, sizeof(name), "sluice %s", commands[i].name);
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "sluice: unknown command '%s'; see sluice --help\n", argv[1]);
	return 2;
}
