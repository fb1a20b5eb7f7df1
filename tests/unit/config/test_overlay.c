// SPDX-License-Identifier: Apache-2.0
// What environment and command line put on top of the file.
#include "config_text.h"

#include <stdlib.h>

#include "alloc_fail.h"

#define MINIMAL "listeners: [{name: main, address: '127.0.0.1:8080'}]\n"
#define SECOND UINT64_C(1000000000)

// The snapshot of a text (NULL: built in) and variables; the errors are shown when there are any.
static struct snap *load(const char *text, const char *const *environment,
			 const char *const *listen, size_t listen_count)
{
	struct config_source source = {.text = text,
				       .text_len = text ? strlen(text) : 0,
				       .environment = environment,
				       .listen = listen,
				       .listen_count = listen_count,
				       .wall_ns = CONFIG_TEXT_WALL * 1000000000};
	struct config_errors errors;
	struct snap *s = NULL;

	config_errors_init(&errors);
	if (config_load(&source, &errors, &s) < 0)
		config_errors_print(&errors, stderr);
	config_errors_release(&errors);
	assert_non_null(s);
	return s;
}

#define ENVIRONMENT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refused(const char *const *environment, const char *origin, const char *words)
{
	struct config_errors errors;
	struct snap *s = NULL;
	bool found = false;

	config_errors_init(&errors);
	assert_int_equal(config_text_load(MINIMAL, environment, &errors, &s), -EINVAL);
	for (size_t i = 0; i < errors.count; i++)
		found |= strcmp(errors.items[i].origin, origin) == 0 &&
			 strstr(errors.items[i].message, words);
	if (!found) {
		config_errors_print(&errors, stderr);
		fail_msg("expected an error of %s with \"%s\"", origin, words);
	}
	config_errors_release(&errors);
}

static void variables_set_keys(void **state)
{
	struct snap *s =
		load(MINIMAL "timeouts: {idle: 1m, bind: 3s}\n",
		     ENVIRONMENT("PATH=/bin", "SLUICE_TIMEOUTS__IDLE=5s", "SLUICE_WORKERS=4",
				 "SLUICE_LOG__LEVELS__DNS=debug", "SLUICE_RELAY__PIPE_SIZE=64KiB",
				 "SLUICE_ADMIN__HOSTS=a.b, c.d", "SLUICE_HTTP__VIA=",
				 "SLUICE_LIMITS__PER_USER__UPLOAD=1MB/s", "SLUICE_WATCH=true"),
		     NULL, 0);

	assert_true(s->timeouts.idle_ns == 5 * SECOND);
	assert_true(s->timeouts.bind_ns == 3 * SECOND);
	assert_int_equal(s->workers, 4);
	assert_int_equal(s->log.level_count, 1);
	assert_int_equal(s->relay.pipe_size_bytes, 65536);
	assert_int_equal(s->admin.host_count, 2);
	assert_string_equal(s->admin.hosts[1], "c.d");
	assert_string_equal(s->http.via, "");
	assert_true(s->per_user.upload_bps == 1000000);
	assert_true(s->watch);
	snap_free(s);
}

static void items_by_number(void **state)
{
	const char *variables[] = {"SLUICE_LISTENERS__10__ADDRESS=127.0.0.1:110",
				   "SLUICE_LISTENERS__1__ADDRESS=127.0.0.1:101",
				   "SLUICE_LISTENERS__1__PROTOCOLS=http, socks5",
				   "SLUICE_LISTENERS__0__ADDRESS=127.0.0.1:100",
				   "SLUICE_LISTENERS__2__ADDRESS=127.0.0.1:102",
				   "SLUICE_LISTENERS__3__ADDRESS=127.0.0.1:103",
				   "SLUICE_LISTENERS__4__ADDRESS=127.0.0.1:104",
				   "SLUICE_LISTENERS__5__ADDRESS=127.0.0.1:105",
				   "SLUICE_LISTENERS__6__ADDRESS=127.0.0.1:106",
				   "SLUICE_LISTENERS__7__ADDRESS=127.0.0.1:107",
				   "SLUICE_LISTENERS__8__ADDRESS=127.0.0.1:108",
				   "SLUICE_LISTENERS__9__ADDRESS=127.0.0.1:109",
				   NULL};
	struct snap *s = load(MINIMAL, variables, NULL, 0);

	assert_int_equal(s->listener_count, 11);
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(s->listeners[i].address.port, 100 + i);
	assert_string_equal(s->listeners[0].name, "main");
	assert_int_equal(s->listeners[1].accept, SNAP_ACCEPT_HTTP | SNAP_ACCEPT_SOCKS5);
	snap_free(s);
}

static void lists_and_sections_as_a_whole(void **state)
{
	struct snap *s = load(
		MINIMAL "acl: [{action: deny}]\n",
		ENVIRONMENT(
			"SLUICE_ACL=[{\"action\": \"allow\", \"ports\": [1, 2]}, {action: deny}]",
			"SLUICE_ACL__1__NAME=last", "SLUICE_TIMEOUTS={idle: 7s}",
			"SLUICE_DNS__SERVERS=[192.0.2.1, 192.0.2.2]"),
		NULL, 0);

	assert_int_equal(s->rule_count, 2);
	assert_int_equal(s->rules[0].action, SNAP_ALLOW);
	assert_string_equal(s->rules[1].name, "last");
	assert_true(s->timeouts.idle_ns == 7 * SECOND);
	assert_int_equal(s->dns.server_count, 2);
	snap_free(s);
}

static void what_sets_nothing_is_an_error(void **state)
{
	refused(ENVIRONMENT("SLUICE_TIMEOUT__IDLE=1s"), "SLUICE_TIMEOUT__IDLE",
		"perhaps you mean SLUICE_TIMEOUTS");
	refused(ENVIRONMENT("SLUICE_TIMEOUTS__IDEL=1s"), "SLUICE_TIMEOUTS__IDEL",
		"perhaps you mean SLUICE_TIMEOUTS__IDLE");
	refused(ENVIRONMENT("SLUICE_CONNECT=1s"), "SLUICE_CONNECT",
		"perhaps you mean SLUICE_TIMEOUTS__CONNECT");
	refused(ENVIRONMENT("SLUICE_FOO=1s"), "SLUICE_FOO", "sets no key");
	refused(ENVIRONMENT("SLUICE_=1s"), "SLUICE_", "sets no key");
	refused(ENVIRONMENT("SLUICE_WATCH__X=1s"), "SLUICE_WATCH__X",
		"nothing below the key watch");
	refused(ENVIRONMENT("SLUICE_LISTENERS__X__ADDRESS=1"), "SLUICE_LISTENERS__X__ADDRESS",
		"the number of a list's item");
	refused(ENVIRONMENT("SLUICE_LISTENERS__5__ADDRESS=1"), "SLUICE_LISTENERS__5__ADDRESS",
		"no item 5, as the list has 1");
	refused(ENVIRONMENT("SLUICE_LISTENERS__0=1"), "SLUICE_LISTENERS__0", "__KEY behind");
	refused(ENVIRONMENT("SLUICE_A__B__C__D__E__F__G__H__I=1"),
		"SLUICE_A__B__C__D__E__F__G__H__I", "too many levels");
	refused(ENVIRONMENT("SLUICE_WATCH=yes"), "SLUICE_WATCH", "true or false");
	refused(ENVIRONMENT("SLUICE_ACL=[{action: }"), "SLUICE_ACL", "not YAML");
	refused(ENVIRONMENT("SLUICE_USER=a\x1b"), "SLUICE_USER", "UTF-8 text");
}

static void service_links_are_left_alone(void **state)
{
	struct snap *s =
		load(MINIMAL,
		     ENVIRONMENT("SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_SERVICE_PORT=80",
				 "SLUICE_SERVICE_PORT_HTTP=80", "SLUICE_PORT=tcp://10.0.0.1:80",
				 "SLUICE_PORT_80_TCP=tcp://10.0.0.1:80",
				 "SLUICE_PORT_80_TCP_ADDR=10.0.0.1",
				 "SLUICE_STATE_SERVICE_HOST=10.0.0.1",
				 "SLUICE_STATE_PORT_8080_UDP_PROTO=udp"),
		     NULL, 0);

	snap_free(s);
}

static void built_in(void **state)
{
	struct snap *s = load(NULL, NULL, NULL, 0);

	assert_string_equal(s->source, "built-in");
	assert_int_equal(s->listener_count, 1);
	assert_int_equal(s->listeners[0].address.port, 8080);
	assert_true(s->listeners[0].loopback);
	assert_true(s->listeners[0].allow_local);
	assert_int_equal(s->admin.address.port, 9901);
	snap_free(s);
}

static void listeners_of_the_command_line(void **state)
{
	struct snap *s =
		load(NULL, NULL, ENVIRONMENT("127.0.0.1:1", "us:p@ss:word@:2", "v:w@0.0.0.0:3"), 3);
	const struct snap_user *u = snap_user_find(s, &s->listeners[1], "us", 2);

	assert_int_equal(s->listener_count, 3);
	assert_false(s->listeners[0].auth_required);
	assert_true(s->listeners[1].auth_required);
	assert_true(s->listeners[1].all_addresses);
	assert_non_null(u);
	assert_int_equal(u->hash_kind, SNAP_HASH_KEYED);
	assert_null(snap_user_find(s, &s->listeners[2], "us", 2));
	assert_non_null(snap_user_find(s, &s->listeners[2], "v", 1));
	assert_null(strstr(config_dump(s), "ss:word"));
	snap_free(s);
	s = load(MINIMAL, NULL, ENVIRONMENT("127.0.0.1:9"), 1); // besides those of the file
	assert_int_equal(s->listener_count, 2);
	snap_free(s);
	s = load(NULL, ENVIRONMENT("SLUICE_LISTEN=a:b@:1 127.0.0.1:2"), NULL, 0);
	assert_int_equal(s->listener_count, 2);
	assert_true(s->listeners[0].auth_required);
	snap_free(s);
}

static void listeners_that_are_refused(void **state)
{
	static const struct {
		const char *listen, *words;
	} rows[] = {
		{"0.0.0.0:80", "open proxy"},
		{"user@127.0.0.1:80", "no colon"},
		{"127.0.0.1", "address:port"},
		{"a:@127.0.0.1:80", "must not be empty"},
		{"a b:c@127.0.0.1:80", "without blanks"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_source source = {.listen = &rows[i].listen, .listen_count = 1};
		struct config_errors errors;
		struct snap *s = NULL;
		bool found = false;

		config_errors_init(&errors);
		assert_int_equal(config_load(&source, &errors, &s), -EINVAL);
		for (size_t k = 0; k < errors.count; k++)
			found |= strcmp(errors.items[k].origin, "-L") == 0 &&
				 strstr(errors.items[k].message, rows[i].words);
		if (!found)
			config_errors_print(&errors, stderr);
		assert_true(found);
		config_errors_release(&errors);
	}
}

static void other_arguments(void **state)
{
	struct config_source source = {.admin = "127.0.0.1:7", .workers = "2"};
	struct config_errors errors;
	struct snap *s = NULL;

	config_errors_init(&errors);
	assert_int_equal(config_load(&source, &errors, &s), 0);
	assert_int_equal(s->admin.address.port, 7);
	assert_int_equal(s->workers, 2);
	snap_free(s);
	source.admin = "off";
	source.workers = "many";
	assert_int_equal(config_load(&source, &errors, &s), -EINVAL);
	assert_string_equal(errors.items[0].origin, "--workers");
	config_errors_release(&errors);
}

static void failing_allocations(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct config_source source = {
			.environment =
				ENVIRONMENT("SLUICE_TIMEOUTS__IDLE=5s", "SLUICE_LISTEN=a:b@:1",
					    "SLUICE_LOG__LEVELS__DNS=debug",
					    "SLUICE_ACL__0__ACTION=deny", "SLUICE_FOO=1"),
			.listen = ENVIRONMENT("127.0.0.1:1"),
			.listen_count = 1,
			.admin = "off",
		};
		struct config_errors errors;
		struct snap *s = NULL;
		int r;

		config_errors_init(&errors);
		alloc_fail_at(n);
		r = config_load(&source, &errors, &s);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		if (r != (hit ? -ENOMEM : -EINVAL))
			fail_msg("allocation %ld fails: %d", n, r);
		config_errors_release(&errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_set_keys),
		cmocka_unit_test(items_by_number),
		cmocka_unit_test(lists_and_sections_as_a_whole),
		cmocka_unit_test(what_sets_nothing_is_an_error),
		cmocka_unit_test(service_links_are_left_alone),
		cmocka_unit_test(built_in),
		cmocka_unit_test(listeners_of_the_command_line),
		cmocka_unit_test(listeners_that_are_refused),
		cmocka_unit_test(other_arguments),
		cmocka_unit_test(failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
