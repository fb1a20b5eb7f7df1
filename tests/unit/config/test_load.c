// SPDX-License-Identifier: Apache-2.0
// Loading: defaults, every kind of value, errors with their places, checks across keys, the dump.
#include "config_text.h"

#include <jansson.h>
#include <stdlib.h>

#include "alloc_fail.h"

#define MINIMAL "listeners: [{address: '127.0.0.1:8080'}]\n"
#define HASH "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
#define SECOND UINT64_C(1000000000)

static void defaults(void **state)
{
	struct snap *s = config_text_snap(MINIMAL);

	assert_int_equal(s->listener_count, 1);
	assert_string_equal(s->listeners[0].name, "listener-1");
	assert_int_equal(s->listeners[0].accept,
			 SNAP_ACCEPT_HTTP | SNAP_ACCEPT_SOCKS4 | SNAP_ACCEPT_SOCKS5);
	assert_true(s->listeners[0].loopback);
	assert_true(s->listeners[0].allow_local);
	assert_false(s->listeners[0].auth_required);
	assert_int_equal(s->workers, 0);
	assert_string_equal(s->run_as, "nobody");
	assert_int_equal(s->connections_max, 100000);
	assert_true(s->timeouts.admission_ns == 10 * SECOND);
	assert_true(s->timeouts.idle_ns == 600 * SECOND);
	assert_true(s->timeouts.total_ns == 0);
	assert_true(s->relay.coalesce_ns == 1400000);
	assert_int_equal(s->relay.pipe_size_bytes, 262144);
	assert_true(s->relay.splice);
	assert_int_equal(s->http.max_head_bytes, 65536);
	assert_string_equal(s->http.via, "sluice");
	assert_true(s->admin.enabled);
	assert_int_equal(s->admin.address.port, 9901);
	assert_int_equal(s->admin.host_count, 1);
	assert_int_equal(s->log.level, SNAP_LOG_INFO);
	assert_string_equal(s->log.output, "stderr");
	assert_string_equal(s->access_log.output, "stdout");
	assert_true(s->sandbox_seccomp);
	assert_false(s->watch);
	assert_int_equal(s->auth.failures, 10);
	snap_free(s);
}

static void every_kind_of_value(void **state)
{
	struct snap *s = config_text_snap(
		"workers: 3\n"
		"listeners:\n"
		"- name: main\n"
		"  address: ':8080'\n"
		"  protocols: http\n"
		"  server_first_wait: 300ms\n"
		"  proxy_protocol: {from: [10.0.0.0/8, '2001:db8::/32'], required: true}\n"
		"- {address: '[::1]:0'}\n"
		"- {address: 'localhost:81'}\n"
		"users:\n"
		"- {name: \"j\\u00fcrgen\", password_hash: '" HASH "', groups: [b, a], limits: "
		"{upload: 8Mbit/s, connections: 0}}\n"
		"limits: {connections: 5, per_user: {connections: 7, download: 1KiB/s}, "
		"per_address: {connections_per_second: 9}}\n"
		"timeouts: {idle: 1h30m, bind: 2s}\n"
		"dns: {servers: [192.0.2.53, '[2001:db8::53]:5353'], cache_entries: 0, ttl_max: "
		"2d}\n"
		"http: {max_head: 32KiB, via: '', forwarded: x-forwarded-for}\n"
		"relay: {splice: false, coalesce: 0}\n"
		"log: {level: debug, format: json, output: /var/log/sluice.log, levels: {dns: "
		"warn}}\n"
		"access_log: {format: off}\n"
		"sandbox: {seccomp: false}\n"
		"admin: {address: off, hosts: []}\n"
		"watch: true\n");
	const struct snap_user *u = &s->users[0];
	struct endpoint e = endpoint_v4(0x0a010203, 0);

	assert_int_equal(s->workers, 3);
	assert_true(s->listeners[0].all_addresses);
	assert_false(s->listeners[0].loopback);
	assert_true(s->listeners[0].auth_required);
	assert_false(s->listeners[0].allow_local);
	assert_int_equal(s->listeners[0].accept, SNAP_ACCEPT_HTTP);
	assert_true(s->listeners[0].server_first_wait_ns == 300000000);
	assert_true(snap_addrs_match(&s->listeners[0].proxy_from, &e));
	assert_true(s->listeners[0].proxy_required);
	assert_true(s->listeners[1].loopback);
	assert_true(s->listeners[2].loopback);
	assert_int_equal(s->listeners[2].address.port, 81);
	assert_string_equal(u->name, "j\xc3\xbcrgen");
	assert_true(u->limits.upload_bps == 1000000);
	assert_int_equal(u->limits.connections, 0);  // said so
	assert_true(u->limits.download_bps == 1024); // as for all
	assert_int_equal(s->group_count, 2);
	assert_int_equal(u->groups[0], 3);
	assert_int_equal(s->connections_max, 5);
	assert_int_equal(s->per_address.connections_per_second, 9);
	assert_true(s->timeouts.idle_ns == 5400 * SECOND);
	assert_int_equal(s->dns.server_count, 2);
	assert_int_equal(s->dns.servers[0].port, 53);
	assert_int_equal(s->dns.servers[1].port, 5353);
	assert_int_equal(s->dns.cache_entries, 0);
	assert_string_equal(s->http.via, "");
	assert_int_equal(s->http.forwarded, SNAP_FORWARDED_X_FOR);
	assert_false(s->relay.splice);
	assert_true(s->relay.coalesce_ns == 0);
	assert_int_equal(s->log.level, SNAP_LOG_DEBUG);
	assert_int_equal(s->log.format, SNAP_LOG_JSON);
	assert_int_equal(s->log.level_count, 1);
	assert_string_equal(s->log.levels[0].module, "dns");
	assert_int_equal(s->log.levels[0].level, SNAP_LOG_WARN);
	assert_int_equal(s->access_log.format, SNAP_LOG_OFF);
	assert_false(s->sandbox_seccomp);
	assert_false(s->admin.enabled);
	assert_int_equal(s->admin.host_count, 0);
	assert_true(s->watch);
	snap_free(s);
}

static void json_is_fine_too(void **state)
{
	struct snap *s = config_text_snap(
		"{\"listeners\": [{\"address\": \"127.0.0.1:1\", \"protocols\": [\"http\"]}],\n"
		"\t\"watch\": true, \"timeouts\": {\"idle\": \"5s\"}}");

	assert_true(s->watch);
	assert_true(s->timeouts.idle_ns == 5 * SECOND);
	snap_free(s);
}

// One value each; the text has a listener in front.
static void values_that_are_refused(void **state)
{
	static const char *const rows[][3] = {
		{"workers: 0", "workers",
		 "found \"0\"; expected a whole number from 1 to 1024, or auto"},
		{"workers: -1", "workers", "whole number"},
		{"workers: 99999999999999", "workers", "whole number"},
		{"workers: [1]", "workers", "found a list"},
		{"watch: yes", "watch", "true or false"},
		{"watch: 'true'", "watch", "without quotes"},
		{"watch:", "watch", "found nothing"},
		{"timeouts: {idle: 5}", "timeouts.idle", "a duration such as"},
		{"timeouts: {idle: 5 parsecs}", "timeouts.idle", "a duration such as"},
		{"timeouts: {connect: 0}", "timeouts.connect", "expected 10ms to 1h"},
		{"timeouts: {idle: 99999999999d}", "timeouts.idle", "expected 0s to 365d"},
		{"timeouts: 5s", "timeouts", "expected a mapping"},
		{"http: {max_head: 64Kib}", "http.max_head", "a size such as"},
		{"http: {max_head: 1GiB}", "http.max_head", "1KiB to 1MiB"},
		{"http: {max_line: 64KiB, max_head: 8KiB}", "http.max_line",
		 "more than http.max_head"},
		{"http: {via: 'a b'}", "http.via", "expected a token"},
		{"limits: {per_user: {upload: 5}}", "limits.per_user.upload", "a rate such as"},
		{"dns: {servers: [x]}", "dns.servers[0]", "an address"},
		{"dns: {ttl_min: 2h}", "dns.ttl_min", "more than dns.ttl_max"},
		{"log: {level: loud}", "log.level", "one of error, warn, info, debug"},
		{"log: {level: inof}", "log.level", "Did you mean info?"},
		{"log: {output: log.txt}", "log.output", "absolute path"},
		{"log: {levels: [dns]}", "log.levels", "mapping"},
		{"log: {levels: {dns: loud}}", "log.levels.dns", "one of"},
		{"admin: {address: example.com:1}", "admin.address", "or off"},
		{"admin: {address: '127.0.0.1:99999'}", "admin.address", "address:port"},
		{"admin: {hosts: ['a b']}", "admin.hosts[0]", "a host name"},
		{"lissteners: []", "lissteners", "did you mean \"listeners\"?"},
		{"connect: 5s", "connect", "did you mean \"timeouts.connect\"?"},
		{"zzz: 5s", "zzz", "unknown key of the configuration"},
		{"timeouts: {foo: 1}", "timeouts.foo", "unknown key of the timeouts"},
		{"users: [5]", "users[0]", "expected a mapping"},
		{"users: [{}]", "users[0]", "the key \"name\" is missing"},
		{"users: [{name: x}]", "users[0]", "no password_hash"},
		{"users: [{name: x, password: a, password_hash: '" HASH "'}]", "users[0].password",
		 "remove one"},
		{"users: [{name: x, password_hash: hunter2}]", "users[0].password_hash",
		 "no hash of a known kind"},
		{"users: [{name: 'a:b', password: p}]", "users[0].name", "without colon"},
		{"users: [{name: x, password: ''}]", "users[0].password", "must not be empty"},
		{"users: [{name: x, password: p}, {name: x, password: q}]", "users[1].name",
		 "stands in configuration line 2 too"},
		{"users: [{name: x, password: p, groups: ['a b']}]", "users[0].groups[0]",
		 "a name of"},
		{"users_file: /no/such", "users_file", "No such file"},
		{"forward: {parent: nobody}", "forward.parent", "no parent has the name"},
		{"parents: [{name: direct, type: http, address: 'a:1'}]", "parents[0].name",
		 "means no parent"},
		{"parents: [{name: a, type: http, address: 'a:1'}, {name: a, type: socks5, "
		 "address: "
		 "'a:1'}]",
		 "parents[1].name", "unique"},
		{"parents: [{name: a, type: http, address: a}]", "parents[0].address", "host:port"},
		{"parents: [{name: a, type: http, address: '1.2.3:4'}]", "parents[0].address",
		 "number"},
		{"parents: [{name: a, type: http, address: 'a:1', password: x}]", "parents[0]",
		 "without username"},
		{"parents: [{name: a, type: http, address: 'a:1', username: u, password: x, "
		 "password_file: y}]",
		 "parents[0].password_file", "remove one"},
		{"parents: [{name: a, type: http, address: 'a:1', username: u, password_file: "
		 "/no/such}]",
		 "parents[0].password_file", "cannot be read"},
		{"parents: [{name: a, type: http, address: '127.0.0.1:8080'}]",
		 "parents[0].address", "round in circles"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), MINIMAL "%s\n", rows[i][0]);
		config_text_refused(text, rows[i][1], rows[i][2]);
	}
}

static void rules_that_are_refused(void **state)
{
	static const char *const rows[][3] = {
		{"{action: maybe}", "acl[0].action", "one of allow, deny"},
		{"{}", "acl[0]", "the key \"action\" is missing; expected one of allow, deny"},
		{"{action: deny, users: [nobody]}", "acl[0].users[0]", "no user has the name"},
		{"{action: deny, groups: [nobody]}", "acl[0].groups[0]", "declared by groups:"},
		{"{action: deny, users: []}", "acl[0].users", "empty condition"},
		{"{action: deny, ports: []}", "acl[0].ports", "empty condition"},
		{"{action: allow, users: }", "acl[0].users", "found nothing"},
		{"{action: allow, time: }", "acl[0].time", "empty condition"},
		{"{action: allow, protocols: []}", "acl[0].protocols", "empty list"},
		{"{action: deny, sources: [10.0.0.1/8]}", "acl[0].sources[0]", "10.0.0.0/8"},
		{"{action: deny, destinations: [10.0.0.0/33]}", "acl[0].destinations[0]",
		 "at most /32"},
		{"{action: deny, destinations: [x.com]}", "acl[0].destinations[0]",
		 "address or block"},
		{"{action: deny, ports: [0]}", "acl[0].ports[0]", "1 to 65535"},
		{"{action: deny, ports: [9-8]}", "acl[0].ports[0]", "smaller one first"},
		{"{action: deny, ports: [70000]}", "acl[0].ports[0]", "port or range"},
		{"{action: deny, domains: ['a..b']}", "acl[0].domains[0]", "a domain"},
		{"{action: deny, domains: [1.2.3.4]}", "acl[0].domains[0]", "a domain"},
		{"{action: deny, domains_files: [/no/such]}", "acl[0].domains_files[0]",
		 "cannot be read"},
		{"{action: deny, protocols: [ftp]}", "acl[0].protocols[0]", "one of http, connect"},
		{"{action: deny, listeners: [mian]}", "acl[0].listeners[0]",
		 "no listener has the name"},
		{"{action: deny, time: {days: [monday]}}", "acl[0].time.days[0]", "weekday"},
		{"{action: deny, time: {from: 8}}", "acl[0].time.from", "hour and minute"},
		{"{action: deny, time: {from: '24:00'}}", "acl[0].time.from", "00:00"},
		{"{action: deny, time: {to: '24:01'}}", "acl[0].time.to", "24:00"},
		{"{action: deny, time: {zone: ../../etc/passwd}}", "acl[0].time.zone",
		 "a time zone"},
		{"{action: deny, time: {zone: Mars/Base}}", "acl[0].time.zone", "tz database"},
		{"{action: deny, parent: direct}", "acl[0].parent", "connects nowhere"},
		{"{action: allow, parent: x}", "acl[0].parent", "no parent"},
		{"{action: allow, name: x}, {action: deny, name: x}", "acl[1].name", "unique"},
		{"deny", "acl[0]", "expected a mapping"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), MINIMAL "acl: [%s]\n", rows[i][0]);
		config_text_refused(text, rows[i][1], rows[i][2]);
	}
}

static void listeners_and_routes_that_are_refused(void **state)
{
	static const char *const rows[][3] = {
		{"{}", "", "no listener"},
		{"listeners: []", "listeners", "no listener"},
		{"listeners: [{address: '0.0.0.0:1'}]", "listeners[0].address", "open proxy"},
		{"listeners: [{address: ':1'}]", "listeners[0].address", "set open: true"},
		{"listeners: [{address: '10.0.0.1:1', authentication: none}]\n"
		 "users: [{name: a, password: p}]",
		 "listeners[0].address", "drop authentication: none"},
		{"listeners: [{address: '127.0.0.1:1', authentication: required}]",
		 "listeners[0].authentication", "nobody could log in"},
		{"listeners: [{address: '127.0.0.1:1', open: true, authentication: required}]\n"
		 "users: [{name: a, password: p}]",
		 "listeners[0].authentication", "contradicts"},
		{"listeners: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:1'}]",
		 "listeners[1].address", "listeners[0] has this address too"},
		{"listeners: [{name: a, address: '127.0.0.1:1'}, {name: a, address: "
		 "'127.0.0.1:2'}]",
		 "listeners[1].name", "unique"},
		{"listeners: [{address: '127.0.0.1:9901'}]", "listeners[0].address",
		 "admin listener"},
		{"listeners: [{address: ':9901', open: true}]", "listeners[0].address",
		 "admin listener"},
		{"listeners: [{address: '127.0.0.1:1', forward: false}]", "listeners[0].forward",
		 "nothing for socks4"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tls]}]",
		 "listeners[0].protocols", "tls needs a route"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [http], forward: false}]",
		 "listeners[0].protocols", "http with forward: false needs a route"},
		{"listeners: [{address: '127.0.0.1:1', proxy_protocol: {required: true}}]",
		 "listeners[0].proxy_protocol.required", "nobody is trusted"},
		{"listeners: [{address: '127.0.0.1:1', server_first_wait: 2m}]",
		 "listeners[0].server_first_wait", "0s to 1m"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tcp]}]\nroutes: [{to: []}]",
		 "routes[0].to", "at least one target"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tcp]}]\nroutes: [{}]",
		 "routes[0]", "\"to\" is missing"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tcp]}]\n"
		 "routes: [{to: ['127.0.0.1:9901']}]",
		 "routes[0].to[0]", "admin address"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tcp]}]\n"
		 "routes: [{to: '127.0.0.1:1'}]",
		 "routes[0].to", "round in circles"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tls]}]\n"
		 "routes: [{to: ['a:1'], sni: [a.b], hosts: [a.b]}]",
		 "routes[0].hosts", "make two routes"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tls]}]\n"
		 "routes: [{to: ['a:1'], sni: [a.b], protocols: [tcp]}]",
		 "routes[0].protocols", "without tls"},
		{"listeners: [{address: '127.0.0.1:1'}]\nroutes: [{to: ['a:1'], protocols: [tcp]}]",
		 "routes[0]", "no listener accepts"},
		{"listeners: [{name: m, address: '127.0.0.1:1', protocols: [tls]}]\n"
		 "routes: [{to: ['a:1']}, {to: ['a:1'], listeners: [n]}]",
		 "routes[1].listeners[0]", "did you mean \"m\"?"},
		{"listeners: [{address: '127.0.0.1:1', protocols: [tls]}]\n"
		 "routes: [{to: ['a:1'], parent: p}]",
		 "routes[0].parent", "no parent"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		config_text_refused(rows[i][0], rows[i][1], rows[i][2]);
}

static void texts_that_are_refused(void **state)
{
	char deep[200];

	memset(deep, '[', 100);
	deep[100] = '\0';
	config_text_refused(deep, "[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]", "nested");
	config_text_refused("a: [1", "", "not YAML");
	config_text_refused("a: 1\n b: 2", "", "not YAML");
	config_text_refused("\xff", "", "not UTF-8");
	config_text_refused("- 1", "", "expected a mapping");
	config_text_refused("text", "", "expected a mapping");
	config_text_refused("a: &x 1", "", "anchors");
	config_text_refused("a: *x", "", "aliases");
	config_text_refused("a: !!str 1", "", "tags");
	config_text_refused("a: 1\n---\nb: 2", "", "second document");
	config_text_refused("? [a]\n: 1", "", "expected a key");
	config_text_refused("{a: 1, a: 2}", "a", "stands twice");
	config_text_refused("\"a\\0b\": 1", "", "NUL");
	config_text_refused(MINIMAL "user: \"a\\0b\"", "user", "NUL");
	config_text_refused(MINIMAL "user: \"a\\nb\"", "user", "control");
}

static void all_errors_come_at_once_with_their_places(void **state)
{
	struct config_errors errors;
	struct snap *snap = NULL;
	const struct config_error *e;
	char *shown = NULL;
	size_t size;
	FILE *out;

	config_errors_init(&errors);
	assert_int_equal(config_text_load("listeners:\n"
					  "  - name: \"x\x1b[31m\"\n"
					  "    address: 127.0.0.1:8080\n"
					  "timeouts:\n"
					  "  idle: 5\n"
					  "  conect: 5s\n"
					  "watch: maybe\n",
					  NULL, &errors, &snap),
			 -EINVAL);
	assert_int_equal(errors.error_count, 1); // a control byte is not YAML
	config_errors_release(&errors);
	config_errors_init(&errors);
	assert_int_equal(config_text_load("listeners:\n"
					  "  - name: \"x\\e[31m\"\n"
					  "    address: 127.0.0.1:8080\n"
					  "watch: maybe\n"
					  "timeouts:\n"
					  "  conect: 5s\n"
					  "  idle: 5\n",
					  NULL, &errors, &snap),
			 -EINVAL);
	assert_int_equal(errors.error_count, 4);
	assert_null(snap);
	e = config_text_find(&errors, "timeouts.conect", "did you mean \"connect\"");
	assert_non_null(e);
	assert_int_equal(e->line, 6);
	assert_int_equal(e->column, 3);
	e = config_text_find(&errors, "timeouts.idle", "found \"5\"");
	assert_non_null(e);
	assert_int_equal(e->line, 7);
	assert_int_equal(e->column, 9);
	for (size_t i = 1; i < errors.count; i++)
		assert_true(errors.items[i - 1].line <= errors.items[i].line);
	out = open_memstream(&shown, &size);
	config_errors_print(&errors, out);
	fclose(out);
	assert_null(strchr(shown, '\x1b'));
	assert_non_null(strstr(shown, "configuration:4:8: watch: found \"maybe\"; expected true"));
	free(shown);
	config_errors_release(&errors);
}

static void too_many_errors_are_counted(void **state)
{
	struct config_errors errors;
	struct snap *snap;
	char text[8192] = "log: {";
	size_t n = strlen(text);

	for (int i = 0; i < 250; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%d: 1, ", i);
	snprintf(text + n, sizeof(text) - n, "}");
	config_errors_init(&errors);
	assert_int_equal(config_text_load(text, NULL, &errors, &snap), -EINVAL);
	assert_int_equal(errors.error_count, 251); // and there is no listener
	assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
	config_errors_release(&errors);
}

static void secrets_are_masked_and_never_quoted(void **state)
{
	struct config_errors errors;
	struct snap *s = config_text_snap(
		MINIMAL "users: [{name: a, password: hunter2}, {name: b, password_hash: '" HASH
			"'}]\n"
			"parents: [{name: p, type: http, address: 'p:1', username: u, password: "
			"hunter3}]\n");
	char *shown = NULL;
	size_t size;
	FILE *out;

	assert_null(strstr(config_dump(s), "hunter"));
	assert_null(strstr(config_dump(s), "$2b$"));
	assert_non_null(strstr(config_dump(s), "***"));
	assert_string_equal(s->parents[0].password, "hunter3");
	assert_null(strstr(s->users[0].hash, "hunter"));
	snap_free(s);
	config_errors_init(&errors);
	config_text_load(MINIMAL "users: [{name: a, password: [hunter2]}, {name: b, password_hash: "
				 "hunter4}, {name: c, password: \"hunter5\\n\"}]\n",
			 NULL, &errors, &s);
	out = open_memstream(&shown, &size);
	config_errors_print(&errors, out);
	fclose(out);
	assert_int_equal(errors.error_count, 3);
	assert_null(strstr(shown, "hunter"));
	free(shown);
	config_errors_release(&errors);
}

static const char FULL[] =
	"listeners:\n"
	"- {name: main, address: '127.0.0.1:8080', protocols: [http, socks5, tls], users: [{name: "
	"u, "
	"password: p}]}\n"
	"- {name: all, address: ':8081', open: true}\n"
	"routes: [{sni: [a.com, .b.com], to: ['t:1', '[::1]:2'], send_proxy: v2, parent: p}]\n"
	"parents: [{name: p, type: socks5, address: 'p:1', username: u, password: s}]\n"
	"users: [{name: x, password: p, groups: [g]}, {name: y, password_hash: '" HASH "'}]\n"
	"groups: [h]\n"
	"acl:\n"
	"- {action: deny, users: [x, u], groups: [h], sources: [10.0.0.0/8], ports: [1, 2-3]}\n"
	"- {action: allow, destinations: [127.0.0.1, '::1'], domains: [a.b], parent: p, listeners: "
	"[main]}\n"
	"- {action: allow, time: {days: [mon-fri], zone: UTC}, protocols: [udp]}\n"
	"forward: {parent: p}\n"
	"log: {levels: {dns: debug}}\n"
	"dns: {servers: [192.0.2.1]}\n";

// What the dump shows is a configuration that means the same (but for the secrets).
static void the_dump_loads_again(void **state)
{
	struct snap *one, *two;
	char *text, *secret;

	one = config_text_snap(FULL);
	text = strdup(config_dump(one));
	// The masked hash is none; put one in, shorter or longer as it may be.
	secret = strstr(text, "\"password_hash\": \"***\"");
	assert_non_null(secret);
	memcpy(secret, "\"password\":      \"***\"", 22);
	two = config_text_snap(text);
	memcpy(secret, "\"password\": \"***\"     ", 22);
	assert_int_equal(one->rule_count, two->rule_count);
	for (uint32_t i = 0; i < one->rule_count; i++) {
		assert_int_equal(one->rules[i].conditions, two->rules[i].conditions);
		assert_int_equal(one->rules[i].user_count, two->rules[i].user_count);
	}
	assert_int_equal(one->listeners[1].all_addresses, two->listeners[1].all_addresses);
	assert_memory_equal(&one->timeouts, &two->timeouts, sizeof(one->timeouts));
	assert_memory_equal(&one->routes[0].targets[1].host, &two->routes[0].targets[1].host,
			    sizeof(struct host));
	free(text);
	snap_free(one);
	snap_free(two);
}

static void failing_allocations(void **state)
{
	json_set_alloc_funcs(malloc, free);
	for (long n = 1, hit = 1; hit; n++) {
		struct config_errors errors;
		struct snap *s = NULL;
		int r;

		config_errors_init(&errors);
		alloc_fail_at(n);
		r = config_text_load(FULL, NULL, &errors, &s);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		if (r != (hit ? -ENOMEM : 0))
			fail_msg("allocation %ld fails: %d", n, r);
		assert_true(hit ? s == NULL : s != NULL);
		snap_free(s);
		config_errors_release(&errors);
	}
}

static void ten_thousand_users(void **state)
{
	size_t size = 10000 * 160 + 200, n = 0;
	char *text = malloc(size);
	struct snap *s;

	n += (size_t)snprintf(text, size, MINIMAL "users:\n");
	for (int i = 0; i < 10000; i++)
		n += (size_t)snprintf(
			text + n, size - n,
			"- {name: user%d, password_hash: '" HASH "', groups: [g%d]}\n", i, i % 50);
	s = config_text_snap(text);
	assert_int_equal(s->user_count, 10000);
	for (int i = 0; i < 10000; i++) {
		char name[32];
		const struct snap_user *u;
		int len = snprintf(name, sizeof(name), "user%d", i);

		u = snap_user_find(s, &s->listeners[0], name, (size_t)len);
		assert_non_null(u);
		assert_string_equal(u->name, name);
	}
	snap_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_kind_of_value),
		cmocka_unit_test(json_is_fine_too),
		cmocka_unit_test(values_that_are_refused),
		cmocka_unit_test(rules_that_are_refused),
		cmocka_unit_test(listeners_and_routes_that_are_refused),
		cmocka_unit_test(texts_that_are_refused),
		cmocka_unit_test(all_errors_come_at_once_with_their_places),
		cmocka_unit_test(too_many_errors_are_counted),
		cmocka_unit_test(secrets_are_masked_and_never_quoted),
		cmocka_unit_test(the_dump_loads_again),
		cmocka_unit_test(failing_allocations),
		cmocka_unit_test(ten_thousand_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
