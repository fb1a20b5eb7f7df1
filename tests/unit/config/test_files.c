// SPDX-License-Identifier: Apache-2.0
// Files that a configuration names: users, domains, passwords; hash texts.
#include "config_text.h"

#include <stdlib.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "config/hash_text.h"

#define BCRYPT "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

static char directory[] = "/tmp/sluice-test-XXXXXX";

static const char *in_directory(const char *name)
{
	static char path[2][200];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_directory(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load(const char *text, struct config_errors *errors, struct snap **ret_snap)
{
	struct config_source source;

	write_file("sluice.yaml", text);
	source = (struct config_source){.path = in_directory("sluice.yaml"), .wall_ns = 1};
	return config_load(&source, errors, ret_snap);
}

static struct snap *load_good(const char *text)
{
	struct config_errors errors;
	struct snap *s = NULL;

	config_errors_init(&errors);
	if (load(text, &errors, &s) < 0)
		config_errors_print(&errors, stderr);
	config_errors_release(&errors);
	assert_non_null(s);
	return s;
}

#define WITH_USERS                                                                                 \
	"listeners: [{address: ':1'}]\n"                                                           \
	"users_file: users\n"                                                                      \
	"limits: {per_user: {connections: 3, upload: 5kB/s}}\n"

static void users_of_a_file(void **state)
{
	const struct snap_user *u;
	struct snap *s;

	write_file("users", "# people\n"
			    "\n"
			    "alice:" BCRYPT ":staff,ops:connections=9,download=8Mbit/s\n"
			    "  bob:" BCRYPT "\r\n"
			    "carol:" BCRYPT "::upload=0\n"
			    "dave:" BCRYPT ":");
	s = load_good(WITH_USERS "users: [{name: eve, password: p}]\n"
				 "acl: [{action: deny, groups: [ops], users: [dave]}]\n");
	assert_int_equal(s->user_count, 5);
	assert_int_equal(s->file_count, 2);
	assert_string_equal(s->files[0], in_directory("sluice.yaml"));
	assert_string_equal(s->files[1], in_directory("users"));
	assert_true(s->listeners[0].auth_required);
	u = snap_user_find(s, NULL, "alice", 5);
	assert_int_equal(u->limits.connections, 9);
	assert_true(u->limits.download_bps == 1000000);
	assert_true(u->limits.upload_bps == 5000);
	assert_int_equal(u->groups[0], 3);
	u = snap_user_find(s, NULL, "bob", 3);
	assert_string_equal(u->hash, BCRYPT);
	assert_int_equal(u->limits.connections, 3);
	assert_int_equal(u->groups[0], 0);
	u = snap_user_find(s, NULL, "carol", 5);
	assert_true(u->limits.upload_bps == 0);
	assert_non_null(snap_user_find(s, NULL, "dave", 4));
	assert_non_null(snap_user_find(s, NULL, "eve", 3));
	snap_free(s);
}

static void lines_that_are_refused(void **state)
{
	static const struct {
		const char *line;
		unsigned column;
		const char *words;
	} rows[] = {
		{"alice", 1, "no colon"},
		{":" BCRYPT, 1, "1 to 255 bytes"},
		{"a:hunter2", 3, "no hash of a known kind"},
		{"a:", 3, "no hash of a known kind"},
		{"  a b:" BCRYPT, 3, "without blanks"},
		{"a:" BCRYPT ":b c", 64, "a name of"},
		{"a:" BCRYPT ":b,,c", 66, "a name of"},
		{"a:" BCRYPT "::upload", 65, "key=value"},
		{"a:" BCRYPT "::upload=5", 72, "a rate such as"},
		{"a:" BCRYPT "::conections=5", 76, "did you mean \"connections\""},
		{"a:" BCRYPT "::connections=5,connections=6", 79, "stands twice"},
		{"a:" BCRYPT "::connections=5:x", 77, "whole number"},
		{"x:" BCRYPT, 1, "stands in"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_errors errors;
		struct snap *s = NULL;
		char text[300];
		bool found = false;

		snprintf(text, sizeof(text), "x:" BCRYPT "\n%s\n", rows[i].line);
		write_file("users", text);
		config_errors_init(&errors);
		assert_int_equal(load(WITH_USERS, &errors, &s), -EINVAL);
		for (size_t k = 0; k < errors.count; k++)
			found |= errors.items[k].line == 2 &&
				 errors.items[k].column == rows[i].column &&
				 strcmp(errors.items[k].origin, in_directory("users")) == 0 &&
				 strstr(errors.items[k].message, rows[i].words);
		if (!found) {
			config_errors_print(&errors, stderr);
			fail_msg("line \"%s\"", rows[i].line);
		}
		for (size_t k = 0; k < errors.count; k++)
			assert_null(strstr(errors.items[k].message, "hunter2"));
		config_errors_release(&errors);
	}
}

#define WITH_DOMAINS                                                                               \
	"listeners: [{address: '127.0.0.1:1'}]\n"                                                  \
	"acl:\n"                                                                                   \
	"- {action: deny, domains_files: [domains, other], domains: [inline.com]}\n"               \
	"- {action: deny, domains_files: domains}\n"

static void domains_of_files(void **state)
{
	struct snap *s;

	write_file("domains", "# list\nexact.com\n.suffix.com # and below\n\n*.below.com\r\n");
	write_file("other", "");
	s = load_good(WITH_DOMAINS);
	assert_int_equal(s->rules[0].domain_count, 3);
	assert_int_equal(s->rules[1].domain_count, 1);
	assert_ptr_equal(s->rules[0].domains[1], s->rules[1].domains[0]); // read once
	assert_int_equal(s->rules[1].domains[0]->count, 3);
	assert_true(snap_names_match(s->rules[1].domains[0], "a.suffix.com", 12));
	assert_int_equal(s->file_count, 3);
	snap_free(s);
}

static void domains_that_are_refused(void **state)
{
	struct config_errors errors;
	struct snap *s = NULL;

	write_file("domains", "good.com\nbad..com\n  0.0.0.0 host.com\n1.2.3.4\n");
	write_file("other", "");
	config_errors_init(&errors);
	assert_int_equal(load(WITH_DOMAINS, &errors, &s), -EINVAL);
	assert_int_equal(errors.error_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(errors.items[i].origin, in_directory("domains"));
		assert_int_equal(errors.items[i].line, i + 2);
		assert_int_equal(errors.items[i].column, i == 1 ? 3 : 1);
		assert_non_null(strstr(errors.items[i].message, "expected a domain"));
	}
	config_errors_release(&errors);
}

static void a_large_list(void **state)
{
	FILE *f = fopen(in_directory("domains"), "w");
	struct snap *s;

	for (int i = 0; i < 300000; i++)
		fprintf(f, "host%d.example%d.com\n", i, i % 777);
	fclose(f);
	write_file("other", "");
	s = load_good(WITH_DOMAINS);
	assert_int_equal(s->rules[1].domains[0]->count, 300000);
	assert_true(snap_names_match(s->rules[1].domains[0], "host777.example0.com", 20));
	snap_free(s);
}

static void password_of_a_parent(void **state)
{
	struct config_errors errors;
	struct snap *s;

	write_file("secret", "hunter2\r\nrest\n");
	s = load_good("listeners: [{address: '127.0.0.1:1'}]\n"
		      "parents: [{name: p, type: http, address: 'p:1', username: u, password_file: "
		      "secret}]\n");
	assert_string_equal(s->parents[0].password, "hunter2");
	assert_null(strstr(config_dump(s), "hunter2"));
	snap_free(s);
	write_file("secret", "\n");
	config_errors_init(&errors);
	assert_int_equal(load("listeners: [{address: '127.0.0.1:1'}]\n"
			      "parents: [{name: p, type: http, address: 'p:1', username: u, "
			      "password_file: secret}]\n",
			      &errors, &s),
			 -EINVAL);
	assert_non_null(strstr(errors.items[0].message, "is empty"));
	config_errors_release(&errors);
}

static void a_file_that_is_not_there(void **state)
{
	struct config_source source = {.path = "/no/such/file.yaml"};
	struct config_errors errors;
	struct snap *s;

	config_errors_init(&errors);
	assert_int_equal(config_load(&source, &errors, &s), -EINVAL);
	assert_int_equal(errors.error_count, 1);
	assert_string_equal(errors.items[0].origin, "/no/such/file.yaml");
	assert_non_null(strstr(errors.items[0].message, "No such file"));
	config_errors_release(&errors);
}

static void hash_texts(void **state)
{
	static const struct {
		const char *text;
		int kind; // -1 = refused
	} rows[] = {
		{BCRYPT, SNAP_HASH_BCRYPT},
		{"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC",
		 SNAP_HASH_YESCRYPT},
		{"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBF"
		 "dcbYEdFCoEOfaS35inz1",
		 SNAP_HASH_SHA512CRYPT},
		{"$6$rounds=10000$saltstringsaltst$Monw2dmFuKPloF4/"
		 "rRvq5OzD2oSnF3KCeZbHh3ZjZGe0HRJQ6FV"
		 "7xzKqlE9SatSynSCB61w0/z6VrEC35lyax1",
		 SNAP_HASH_SHA512CRYPT},
		{"$argon2id$v=19$m=65536,t=2,p=1$aGVsbG93b3JsZDEyMw$"
		 "QeOH1YR9EtRqZoFxyfcBjvQGZMVp8BlBOpqnxb0eYno",
		 SNAP_HASH_ARGON2ID},
		{"", -1},
		{"secret", -1},
		{"$1$salt$qJH7.N4xYta3aEG/dfqo/0", -1},
		{"$keyed$00", -1},
		{"$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", -1},
		{"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", -1},
		{"$y$j9T$salt", -1},
		{"$6$rounds=999999999$salt$x", -1},
		{"$argon2id$v=19$m=99999999,t=2,p=1$aGVsbG93b3JsZDEyMw$"
		 "QeOH1YR9EtRqZoFxyfcBjvQGZMVp8BlBOpqnxb0eYno",
		 -1},
		{"$argon2id$v=19$m=65536,t=2,p=1$aGVsbG93b3JsZDEyMw$", -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum snap_hash_kind kind = SNAP_HASH_KEYED;
		const char *wrong = hash_text_check(rows[i].text, strlen(rows[i].text), &kind);

		if (rows[i].kind < 0)
			assert_non_null(wrong);
		else if (wrong)
			fail_msg("%s: %s", rows[i].text, wrong);
		else
			assert_int_equal(kind, rows[i].kind);
	}
}

static void failing_allocations(void **state)
{
	write_file("users", "alice:" BCRYPT ":staff,ops:connections=9\n");
	write_file("domains", "a.com\n.b.com\n");
	write_file("other", "c.com\n");
	write_file("secret", "hunter2\n");
	for (long n = 1, hit = 1; hit; n++) {
		struct config_errors errors;
		struct snap *s = NULL;
		int r;

		write_file("sluice.yaml", WITH_DOMAINS
			   "users_file: users\nparents: [{name: p, type: http, address: "
			   "'p:1', username: u, password_file: secret}]\n");
		config_errors_init(&errors);
		alloc_fail_at(n);
		r = config_load(&(struct config_source){.path = in_directory("sluice.yaml")},
				&errors, &s);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		if (r != (hit ? -ENOMEM : 0))
			fail_msg("allocation %ld fails: %d", n, r);
		snap_free(s);
		config_errors_release(&errors);
	}
}

static int make_directory(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const files[] = {"sluice.yaml", "users", "domains", "other", "secret"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(in_directory(files[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_of_a_file),
		cmocka_unit_test(lines_that_are_refused),
		cmocka_unit_test(domains_that_are_refused),
		cmocka_unit_test(domains_of_files),
		cmocka_unit_test(a_large_list),
		cmocka_unit_test(password_of_a_parent),
		cmocka_unit_test(a_file_that_is_not_there),
		cmocka_unit_test(hash_texts),
		cmocka_unit_test(failing_allocations),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
