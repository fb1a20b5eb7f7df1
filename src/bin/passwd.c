// SPDX-License-Identifier: Apache-2.0
// sluice passwd: makes a line of the users file.
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bin/command.h"
#include "policy/password.h"

struct kind {
	const char *name;
	enum snap_hash_kind kind;
};

static const struct kind kinds[] = {
	{"yescrypt", SNAP_HASH_YESCRYPT},
	{"bcrypt", SNAP_HASH_BCRYPT},
	{"argon2id", SNAP_HASH_ARGON2ID},
};

static int usage(void)
{
	fputs("Usage: sluice passwd [--kind yescrypt|bcrypt|argon2id] [--stdin] NAME\n"
	      "Asks for a password (or reads a line from standard input) and prints NAME:HASH, a "
	      "line\n"
	      "for the users file.\n",
	      stderr);
	return 2;
}

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static int read_line(FILE *in, char *line, size_t size)
{
	if (!fgets(line, (int)size, in))
		return -EIO;
	line[strcspn(line, "\r\n")] = '\0';
	return 0;
}

// From the terminal, without showing it.
static int ask(const char *prompt, char *line, size_t size)
{
	struct termios before, quiet;
	FILE *tty = fopen("/dev/tty", "r+");
	int r;

	if (!tty)
		return -errno;
	if (tcgetattr(fileno(tty), &before) < 0) {
		fclose(tty);
		return -ENOTTY;
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	fputs(prompt, tty);
	fflush(tty);
	r = read_line(tty, line, size);
	tcsetattr(fileno(tty), TCSAFLUSH, &before);
	fputc('\n', tty);
	fclose(tty);
	return r;
}

static int get_password(bool from_stdin, char *password, size_t size)
{
	char again[PASSWORD_MAX + 3];
	int r;

	if (from_stdin)
		return read_line(stdin, password, size);
	r = ask("Password: ", password, size);
	if (r == 0)
		r = ask("Again: ", again, sizeof(again));
	if (r == 0 && strcmp(password, again) != 0)
		r = -EINVAL;
	sodium_memzero(again, sizeof(again));
	return r;
}

static int print_line(const char *name, enum snap_hash_kind kind, const char *password)
{
	char hash[PASSWORD_HASH_TEXT];
	int r = password_hash(kind, password, strlen(password), hash);

	if (r == 0)
		printf("%s:%s\n", name, hash);
	else if (r == -E2BIG)
		fprintf(stderr, "sluice passwd: the password is too long (%d bytes, bcrypt %d)\n",
			PASSWORD_MAX, PASSWORD_BCRYPT_MAX);
	else
		fprintf(stderr, "sluice passwd: cannot make the hash: %s\n", strerror(-r));
	return r == 0 ? 0 : 3;
}

int passwd_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"kind", required_argument, NULL, 'k'},
		{"stdin", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	const struct kind *kind = &kinds[0];
	char password[PASSWORD_MAX + 3] = "";
	bool from_stdin = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			from_stdin = true;
		else if (option != 'k' || !(kind = kind_of(optarg)))
			return usage();
	}
	if (optind + 1 != argc || strpbrk(argv[optind], ": \t\r\n") || !*argv[optind])
		return usage();
	int r = get_password(from_stdin, password, sizeof(password));
	if (r == -EINVAL)
		fputs("sluice passwd: the two passwords differ\n", stderr);
	else if (r < 0)
		fprintf(stderr, "sluice passwd: cannot read a password: %s\n", strerror(-r));
	int status = r < 0 ? 3 : print_line(argv[optind], kind->kind, password);
	sodium_memzero(password, sizeof(password));
	return status;
}
