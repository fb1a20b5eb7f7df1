// SPDX-License-Identifier: Apache-2.0
// `sluice passwd`: asks for a password and prints a line for the users file.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bin/command.h"
#include "policy/password.h"

enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, // the password will not do, or the two differ
	EXIT_USAGE = 2,
	EXIT_FAILED = 3,
};

static const struct {
	const char *name;
	enum snap_hash_kind kind;
} kinds[] = {
	{"yescrypt", SNAP_HASH_YESCRYPT},
	{"argon2id", SNAP_HASH_ARGON2ID},
	{"bcrypt", SNAP_HASH_BCRYPT},
	{"sha512crypt", SNAP_HASH_SHA512CRYPT},
};

// A password with room to notice one that is too long.
struct secret {
	char bytes[PASSWORD_MAX + 2];
	size_t len;
};

static void usage(FILE *out)
{
	fputs("Usage: sluice passwd [--kind KIND] [--stdin] USER\n"
	      "\n"
	      "Asks for a password, twice and without showing it, and prints USER:HASH, a line for "
	      "the\n"
	      "users file. Groups and limits may follow there, as in USER:HASH:GROUPS:LIMITS.\n"
	      "\n"
	      "  -k, --kind KIND  yescrypt (default), argon2id, bcrypt or sha512crypt\n"
	      "      --stdin      take the first line of the standard input as the password\n"
	      "\n"
	      "Exit status: 0 done, 1 the password was refused, 2 wrong usage, 3 it could not be "
	      "done.\n",
	      out);
}

static bool name_ok(const char *name)
{
	size_t len = strlen(name);
	if (!len || len > SNAP_USER_NAME_MAX || name[0] == '#')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		if (c <= ' ' || c == ':' || c == 0x7f)
			return false;
	}
	return true;
}

static volatile sig_atomic_t caught; // the signal that ended the asking

static void catch_signal(int number)
{
	caught = number;
}

// One line from fd, read byte by byte so that nothing behind it is taken. What does not fit is read
// and counted only as "too long". during: the signal mask while it waits; signals that catch_signal
// handles are blocked outside, so none slips in between a look at `caught` and the wait. 0, a negative
// error (-EINTR: such a signal), or -ENODATA at the end of the file.
static int read_line(int fd, const sigset_t *during, struct secret *ret_line)
{
	bool some = false;
	ret_line->len = 0;
	for (;;) {
		struct pollfd poll = {.fd = fd, .events = POLLIN};
		char c;
		if (ppoll(&poll, 1, NULL, during) < 0 && (errno != EINTR || caught))
			return -errno;
		if (!poll.revents)
			continue;
		ssize_t n = read(fd, &c, 1);
		if (n < 0)
			return -errno;
		if (n == 0)
			return some ? 0 : -ENODATA;
		if (c == '\n')
			return 0;
		some = true;
		if (ret_line->len < sizeof(ret_line->bytes))
			ret_line->bytes[ret_line->len++] = c;
	}
}

static int ask_twice(int tty, const sigset_t *during, struct secret *ret_secret)
{
	struct secret again = {.len = 0};
	dprintf(tty, "Password: ");
	int r = read_line(tty, during, ret_secret);
	if (r == 0) {
		dprintf(tty, "\nOnce more: ");
		r = read_line(tty, during, &again);
	}
	dprintf(tty, "\n");
	int status = EXIT_DONE;
	if (r < 0) {
		fputs("sluice passwd: nothing was made\n", stderr);
		status = EXIT_FAILED;
	} else if (again.len != ret_secret->len ||
		   memcmp(again.bytes, ret_secret->bytes, again.len) != 0) {
		fputs("sluice passwd: the two differ; nothing was made\n", stderr);
		status = EXIT_REFUSED;
	}
	explicit_bzero(&again, sizeof(again));
	return status;
}

// Asks on the terminal with its echo off. A signal that would end or stop the program takes effect
// after the echo is on again.
static int ask(struct secret *ret_secret)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };
	struct sigaction catching = {.sa_handler = catch_signal}, former[SIGNALS];
	struct termios before, silent;
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0 || tcgetattr(tty, &before) < 0) {
		if (tty >= 0)
			close(tty);
		fputs("sluice passwd: there is no terminal to ask on; give the password to "
		      "--stdin\n",
		      stderr);
		return EXIT_FAILED;
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	caught = 0;
	sigset_t blocked, mask;
	sigemptyset(&blocked);
	for (int i = 0; i < SIGNALS; i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &catching, &former[i]);
	int status = EXIT_FAILED;
	if (tcsetattr(tty, TCSAFLUSH, &silent) == 0)
		status = ask_twice(tty, &mask, ret_secret);
	else
		fputs("sluice passwd: cannot turn the terminal's echo off\n", stderr);
	tcsetattr(tty, TCSAFLUSH, &before);
	close(tty);
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &former[i], NULL);
	if (caught) {
		explicit_bzero(ret_secret, sizeof(*ret_secret));
		raise(caught);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	// Here only when the signal is ignored, or stopped the program and it goes on now.
	if (caught)
		status = EXIT_FAILED;
	return status;
}

static int read_stdin(struct secret *ret_secret)
{
	int r = read_line(STDIN_FILENO, NULL, ret_secret);
	if (r < 0) {
		fputs(r == -ENODATA ? "sluice passwd: the standard input is empty; expected a line "
				      "with the "
				      "password\n"
				    : "sluice passwd: cannot read the standard input\n",
		      stderr);
		return EXIT_FAILED;
	}
	if (ret_secret->len && ret_secret->bytes[ret_secret->len - 1] == '\r')
		ret_secret
			->len--; // a file made elsewhere; no client could send it in an HTTP field
	return EXIT_DONE;
}

static int print_line(const char *name, enum snap_hash_kind kind, const struct secret *secret)
{
	char hash[PASSWORD_HASH_TEXT];
	int r = password_hash(kind, secret->bytes, secret->len, hash);
	switch (r) {
	case 0:
		break;
	case -E2BIG:
		fprintf(stderr,
			"sluice passwd: the password is too long: expected at most %d bytes%s\n",
			kind == SNAP_HASH_BCRYPT ? PASSWORD_BCRYPT_MAX : PASSWORD_MAX,
			kind == SNAP_HASH_BCRYPT ? " (bcrypt ignores the rest; take another --kind)"
						 : "");
		return EXIT_REFUSED;
	case -EINVAL:
		fputs(secret->len ? "sluice passwd: a password cannot contain a NUL byte\n"
				  : "sluice passwd: the password is empty\n",
		      stderr);
		return EXIT_REFUSED;
	case -ENOSYS:
		fputs("sluice passwd: this system's libraries cannot make that kind; take another "
		      "--kind\n",
		      stderr);
		return EXIT_FAILED;
	default:
		fputs("sluice passwd: there is not enough memory for the hash\n", stderr);
		return EXIT_FAILED;
	}
	if (printf("%s:%s\n", name, hash) < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "sluice passwd: cannot write the line: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

int passwd_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"kind", required_argument, NULL, 'k'},
		{"stdin", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	enum snap_hash_kind kind = SNAP_HASH_YESCRYPT;
	bool from_stdin = false;
	int option;
	optind = 1;
	while ((option = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		size_t i = 0;
		switch (option) {
		case 'k':
			while (i < sizeof(kinds) / sizeof(kinds[0]) &&
			       strcmp(optarg, kinds[i].name) != 0)
				i++;
			if (i == sizeof(kinds) / sizeof(kinds[0])) {
				fputs("sluice passwd: unknown --kind; expected yescrypt, argon2id, "
				      "bcrypt or "
				      "sha512crypt\n",
				      stderr);
				return EXIT_USAGE;
			}
			kind = kinds[i].kind;
			break;
		case 's':
			from_stdin = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_DONE;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc) {
		// Not repeated in the message: a second word may well be a password.
		fputs(optind == argc ? "sluice passwd: whose password? Name the user\n"
				     : "sluice passwd: expected one user name and nothing else; "
				       "the password "
				       "is never an argument\n",
		      stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[optind];
	if (!name_ok(name)) {
		fprintf(stderr,
			"sluice passwd: not a user name: expected 1 to %d bytes without blanks, "
			"colons and "
			"control characters, not beginning with '#'\n",
			SNAP_USER_NAME_MAX);
		return EXIT_USAGE;
	}
	struct secret secret = {.len = 0};
	int status = from_stdin ? read_stdin(&secret) : ask(&secret);
	if (status == EXIT_DONE)
		status = print_line(name, kind, &secret);
	explicit_bzero(&secret, sizeof(secret));
	return status;
}
