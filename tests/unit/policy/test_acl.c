// SPDX-License-Identifier: Apache-2.0
// Access decisions: every condition, both steps, the guards, the default, the parent.
#include "config_text.h"

#include <time.h>

#include "policy/acl.h"

#define LISTENERS                                                                                  \
	"listeners:\n"                                                                             \
	"- {name: exposed, address: '192.0.2.1:8080', open: true}\n"                               \
	"- {name: local, address: '127.0.0.1:8080'}\n"
#define EXPOSED 0
#define LOCAL 1

// A request and its verdict, in the few words that differ from test to test.
struct ask {
	const char *host;    // as the client names it; NULL = not known yet
	const char *address; // step 2
	const char *user;
	const char *source;
	unsigned listener;
	uint32_t protocol; // 0 = SNAP_PROTO_CONNECT
	bool fixed;
	int64_t wall;
	const char *local;
};

static struct endpoint endpoint_of(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, strlen(text), 0, &e), 0);
	return e;
}

static struct acl_verdict decide(const struct snap *s, struct ask a)
{
	const struct snap_listener *l = &s->listeners[a.listener];
	struct endpoint address, local;
	struct host host = {0};
	struct acl_verdict v;
	struct acl_query q = {
		.listener = l,
		.host = &host,
		.source = endpoint_of(a.source ? a.source : "198.51.100.7:1234"),
		.protocol = a.protocol ? a.protocol : SNAP_PROTO_CONNECT,
		.fixed_target = a.fixed,
		.wall_seconds = a.wall,
	};

	if (a.user) {
		q.user = snap_user_find(s, l, a.user, strlen(a.user));
		assert_non_null(q.user);
	}
	if (a.host)
		assert_int_equal(host_parse(a.host, strlen(a.host), 443, &host), 0);
	if (a.address) {
		address = endpoint_of(a.address);
		q.address = &address;
	}
	if (a.local) {
		local = endpoint_of(a.local);
		q.local = &local;
	}
	acl_decide(s, &q, &v);
	return v;
}

// "allow web", "deny default", "needs-address inner"
static const char *said(const struct snap *s, struct ask a)
{
	static const char *const results[] = {"deny", "allow", "needs-address"};
	static char text[128];
	struct acl_verdict v = decide(s, a);

	snprintf(text, sizeof(text), "%s %s", results[v.result],
		 v.rule ? v.rule->name : acl_cause_name(v.cause));
	return text;
}

#define SAYS(snap, expected, ...)                                                                  \
	assert_string_equal(said(snap, (struct ask){__VA_ARGS__}), expected)

static void no_rules(void **state)
{
	struct snap *s = config_text_snap(LISTENERS);

	SAYS(s, "allow default", .host = "example.com:443");
	SAYS(s, "allow default", .host = "example.com:443", .address = "203.0.113.1:443");
	SAYS(s, "allow default", .host = "203.0.113.1:443");
	SAYS(s, "allow default", .host = "10.1.2.3:443");
	snap_free(s);
	s = config_text_snap(LISTENERS "acl_default: deny\n");
	SAYS(s, "deny default", .host = "example.com:443");
	SAYS(s, "deny default", .host = "example.com:443", .fixed = true);
	snap_free(s);
}

static void guard_of_local_addresses(void **state)
{
	static const char *const guarded[] = {
		"127.0.0.1:80",
		"127.8.9.1:80",
		"[::1]:80",
		"0.0.0.0:80",
		"[::]:80",
		"169.254.169.254:80",
		"169.254.1.1:80",
		"[fe80::1]:80",
		"224.0.0.1:80",
		"[ff02::1]:80",
		"255.255.255.255:80",
		"[fd00:ec2::254]:80",
		"[::ffff:127.0.0.1]:80",
		"[64:ff9b::7f00:1]:80",
		"[2002:7f00:1::]:80",
		"[::127.0.0.1]:80",
		"100.100.100.200:80",
	};
	struct snap *s = config_text_snap(LISTENERS);

	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
		SAYS(s, "deny local", .host = guarded[i]);
		SAYS(s, "deny local", .host = "example.com:80", .address = guarded[i]);
		SAYS(s, "allow default", .host = guarded[i], .listener = LOCAL);
		SAYS(s, "allow default", .host = "x.com:80", .address = guarded[i], .fixed = true);
	}
	SAYS(s, "needs-address default", .host = "localhost:80");
	SAYS(s, "needs-address default", .host = "a.localhost:80");
	SAYS(s, "allow default", .host = "mylocalhost:80");
	SAYS(s, "allow default", .host = "localhost:80", .listener = LOCAL);
	snap_free(s);
	s = config_text_snap("listeners: [{address: '192.0.2.1:80', open: true, allow_local: true},"
			     "{address: '127.0.0.1:80', allow_local: false}]");
	SAYS(s, "allow default", .host = "127.0.0.1:80");
	SAYS(s, "deny local", .host = "127.0.0.1:80", .listener = 1);
	snap_free(s);
}

static void only_an_outright_rule_lifts_the_guard(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS "acl:\n"
			  "- {name: names, action: allow, domains: [.example.com]}\n"
			  "- {name: outright, action: allow, destinations: [127.0.0.5, "
			  "169.254.0.0/16, 'fe80::/64', '64:ff9b::7f00:1']}\n"
			  "- {name: late, action: deny, destinations: [169.254.7.0/24]}\n"
			  "- {name: wide, action: allow, destinations: [0.0.0.0/0, '::/0', "
			  "126.0.0.0/7, '64:ff9b::/96']}\n");

	SAYS(s, "allow names", .host = "a.example.com:1", .address = "203.0.113.1:1");
	SAYS(s, "deny local", .host = "a.example.com:1", .address = "127.0.0.1:1");
	SAYS(s, "allow outright", .host = "a.example.com:1", .address = "127.0.0.5:1");
	SAYS(s, "allow outright", .host = "127.0.0.5:1");
	SAYS(s, "deny local", .host = "127.0.0.6:1");
	SAYS(s, "allow outright", .host = "169.254.7.7:1");
	SAYS(s, "deny local", .host = "169.254.169.254:80"); // metadata: only by itself
	SAYS(s, "allow outright", .host = "[fe80::9]:1");
	SAYS(s, "deny local", .host = "[fe80:0:0:1::9]:1");
	SAYS(s, "allow outright", .host = "[64:ff9b::7f00:1]:1");
	SAYS(s, "deny local", .host = "[64:ff9b::7f00:2]:1");
	SAYS(s, "allow wide", .host = "8.8.8.8:1");
	snap_free(s);
	s = config_text_snap(LISTENERS
			     "acl: [{name: md, action: allow, destinations: [169.254.169.254]}]\n");
	SAYS(s, "allow md", .host = "169.254.169.254:80");
	snap_free(s);
	// A deny rule before it counts as always.
	s = config_text_snap(LISTENERS
			     "acl: [{name: no, action: deny, ports: [80]},"
			     "{name: yes, action: allow, destinations: [127.0.0.0/8]}]\n");
	SAYS(s, "deny no", .host = "127.0.0.1:80");
	SAYS(s, "allow yes", .host = "127.0.0.1:81");
	snap_free(s);
}

static void admin_is_out_of_reach(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS
		"admin: {address: '127.0.0.1:9901'}\n"
		"acl: [{name: all, action: allow, destinations: [127.0.0.1, 0.0.0.0]}]\n");

	SAYS(s, "deny admin", .host = "127.0.0.1:9901");
	SAYS(s, "deny admin", .host = "127.0.0.1:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "0.0.0.0:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "[::]:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "[::ffff:127.0.0.1]:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "[64:ff9b::7f00:1]:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "x.com:9901", .address = "127.0.0.1:9901", .fixed = true);
	SAYS(s, "allow all", .host = "127.0.0.1:9902", .listener = LOCAL);
	SAYS(s, "allow default", .host = "127.0.0.2:9901", .listener = LOCAL);
	snap_free(s);
	s = config_text_snap(LISTENERS "admin: {address: ':9901'}\n");
	SAYS(s, "deny admin", .host = "127.3.3.3:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "[::1]:9901", .listener = LOCAL);
	SAYS(s, "deny admin", .host = "192.0.2.55:9901", .local = "192.0.2.55:8080");
	SAYS(s, "allow default", .host = "192.0.2.56:9901", .local = "192.0.2.55:8080");
	assert_true(s->own_addresses.v4_count + s->own_addresses.v6_count > 0);
	snap_free(s);
	s = config_text_snap(LISTENERS "admin: {address: off}\n");
	SAYS(s, "allow default", .host = "127.0.0.1:9901", .listener = LOCAL);
	snap_free(s);
}

static void names_are_decided_again_by_address(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS "acl:\n"
			  "- {name: mail, action: deny, ports: [25]}\n"
			  "- {name: inner, action: deny, destinations: [10.0.0.0/8]}\n"
			  "- {name: good, action: allow, domains: [good.com]}\n"
			  "acl_default: deny\n");

	SAYS(s, "deny mail", .host = "good.com:25");
	SAYS(s, "needs-address inner", .host = "good.com:443");
	SAYS(s, "allow good", .host = "good.com:443", .address = "203.0.113.5:443");
	SAYS(s, "deny inner", .host = "good.com:443", .address = "10.2.3.4:443");
	SAYS(s, "deny inner", .host = "good.com:443", .address = "[::ffff:10.2.3.4]:443");
	SAYS(s, "deny inner", .host = "good.com:443", .address = "[64:ff9b::a02:304]:443");
	SAYS(s, "deny default", .host = "evil.com:443", .address = "203.0.113.5:443");
	SAYS(s, "deny default", .host = "203.0.113.5:443");
	snap_free(s);
}

static void an_allowed_block_does_not_extend_to_translators(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS "acl_default: deny\n"
			  "acl: [{name: a, action: allow, destinations: [203.0.113.0/24]}]\n");

	SAYS(s, "allow a", .host = "203.0.113.9:1");
	SAYS(s, "deny default", .host = "[64:ff9b::cb00:7109]:1");
	snap_free(s);
}

static void users_and_groups(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS
		"users:\n"
		"- {name: alice, password: p, groups: [staff, ops]}\n"
		"- {name: bob, password: p, groups: [guests]}\n"
		"- {name: carol, password: p}\n"
		"groups: [empty]\n"
		"acl:\n"
		"- {name: either, action: deny, users: [carol], groups: [ops, empty], ports: [1]}\n"
		"- {name: anyone, action: deny, users: ['*'], ports: [2]}\n");

	SAYS(s, "deny either", .host = "x:1", .user = "alice");
	SAYS(s, "allow default", .host = "x:1", .user = "bob");
	SAYS(s, "deny either", .host = "x:1", .user = "carol");
	SAYS(s, "allow default", .host = "x:1");
	SAYS(s, "deny anyone", .host = "x:2", .user = "bob");
	SAYS(s, "allow default", .host = "x:2");
	snap_free(s);
}

static void the_other_conditions(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS
		"acl:\n"
		"- {name: src, action: deny, sources: [198.51.100.0/24, '2001:db8::/32'], ports: "
		"[1]}\n"
		"- {name: port, action: deny, ports: [25, 1000-2000]}\n"
		"- {name: dom, action: deny, domains: [bad.com, .worse.com]}\n"
		"- {name: proto, action: deny, protocols: [udp, bind]}\n"
		"- {name: time, action: deny, ports: [3], time: {days: [tue], from: '08:00', to: "
		"'18:00'}}\n"
		"- {name: lis, action: deny, listeners: [local], ports: [4]}\n"
		"- {name: and, action: deny, ports: [5], domains: [both.com]}\n");
	int64_t tuesday = INT64_C(1699920000);

	SAYS(s, "deny src", .host = "x:1");
	SAYS(s, "deny src", .host = "x:1", .source = "[2001:db8::5]:9");
	SAYS(s, "allow default", .host = "x:1", .source = "198.51.101.7:9");
	SAYS(s, "deny port", .host = "x:25");
	SAYS(s, "deny port", .host = "x:1000");
	SAYS(s, "deny port", .host = "x:2000");
	SAYS(s, "allow default", .host = "x:2001");
	SAYS(s, "allow default", .host = "x:999");
	SAYS(s, "deny dom", .host = "Bad.COM.:443");
	SAYS(s, "deny dom", .host = "a.worse.com:443");
	SAYS(s, "allow default", .host = "a.bad.com:443");
	SAYS(s, "deny proto", .host = "x:9", .protocol = SNAP_PROTO_SOCKS5 | SNAP_PROTO_UDP);
	SAYS(s, "allow default", .host = "x:9", .protocol = SNAP_PROTO_SOCKS5);
	SAYS(s, "deny time", .host = "x:3", .wall = tuesday + 8 * 3600);
	SAYS(s, "allow default", .host = "x:3", .wall = tuesday + 7 * 3600);
	SAYS(s, "allow default", .host = "x:3", .wall = tuesday + 32 * 3600);
	SAYS(s, "deny lis", .host = "x:4", .listener = LOCAL);
	SAYS(s, "allow default", .host = "x:4");
	SAYS(s, "deny and", .host = "both.com:5");
	SAYS(s, "allow default", .host = "both.com:6");
	SAYS(s, "allow default", .host = "other.com:5");
	snap_free(s);
}

static void destination_not_known_yet(void **state)
{
	struct snap *s =
		config_text_snap(LISTENERS "acl:\n"
					   "- {name: src, action: deny, sources: [198.51.100.9]}\n"
					   "- {name: port, action: deny, ports: [53]}\n");

	SAYS(s, "deny src", .source = "198.51.100.9:1", .protocol = SNAP_PROTO_UDP);
	SAYS(s, "needs-address port", .protocol = SNAP_PROTO_UDP);
	SAYS(s, "deny port", .address = "203.0.113.1:53", .protocol = SNAP_PROTO_UDP);
	SAYS(s, "allow default", .address = "203.0.113.1:54", .protocol = SNAP_PROTO_UDP);
	SAYS(s, "deny local", .address = "127.0.0.1:54", .protocol = SNAP_PROTO_BIND);
	snap_free(s);
}

static const char *parent_name(struct acl_verdict v)
{
	return v.parent ? v.parent->name : "none";
}

static void parents(void **state)
{
	struct snap *s =
		config_text_snap(LISTENERS "parents: [{name: a, type: http, address: 'p:1'}, "
					   "{name: b, type: socks5, address: 'q:2'}]\n"
					   "forward: {parent: a}\n"
					   "acl:\n"
					   "- {action: allow, domains: [b.com], parent: b}\n"
					   "- {action: allow, domains: [d.com], parent: direct}\n"
					   "- {action: deny, domains: [n.com]}\n");

	assert_string_equal(parent_name(decide(s, (struct ask){.host = "x.com:1"})), "a");
	assert_string_equal(parent_name(decide(s, (struct ask){.host = "b.com:1"})), "b");
	assert_string_equal(parent_name(decide(s, (struct ask){.host = "d.com:1"})), "none");
	assert_string_equal(parent_name(decide(s, (struct ask){.host = "n.com:1"})), "none");
	assert_string_equal(parent_name(decide(s, (struct ask){.host = "x.com:1", .fixed = true})),
			    "none");
	// A name that may be a local address is not left to the parent.
	assert_int_equal(decide(s, (struct ask){.host = "localhost:1"}).result, ACL_NEEDS_ADDRESS);
	snap_free(s);
}

static void a_listener_for_routes_alone(void **state)
{
	struct snap *s = config_text_snap(
		"listeners: [{name: l, address: ':1', protocols: [http, tls], forward: false}]\n"
		"routes: [{to: ['t:1']}]\n"
		"acl: [{action: allow}]\n");

	SAYS(s, "deny listener", .host = "example.com:443");
	SAYS(s, "allow rule-1", .host = "t:1", .fixed = true, .protocol = SNAP_PROTO_TLS);
	snap_free(s);
}

static void first_match_wins(void **state)
{
	struct snap *s =
		config_text_snap(LISTENERS "acl:\n"
					   "- {name: one, action: allow, domains: [a.com]}\n"
					   "- {name: two, action: deny, domains: [.com]}\n"
					   "- {name: three, action: allow}\n");

	SAYS(s, "allow one", .host = "a.com:1");
	SAYS(s, "deny two", .host = "b.com:1");
	SAYS(s, "allow three", .host = "b.org:1");
	snap_free(s);
}

// Not a limit that a busy machine could break: it shows the cost, and catches a slip of magnitude.
static void fast_enough(void **state)
{
	struct snap *s = config_text_snap(
		LISTENERS "users: [{name: u, password: p, groups: [g]}]\ngroups: [h]\n"
			  "acl:\n"
			  "- {action: deny, ports: [25, 465]}\n"
			  "- {action: deny, groups: [h]}\n"
			  "- {action: deny, domains: [.a.com, .b.com, c.org]}\n"
			  "- {action: deny, destinations: [10.0.0.0/8, 192.168.0.0/16]}\n"
			  "- {action: allow, users: [u]}\n");
	struct endpoint address = endpoint_of("203.0.113.1:443");
	struct host host;
	struct acl_query q = {.listener = &s->listeners[0],
			      .user = snap_user_find(s, &s->listeners[0], "u", 1),
			      .host = &host,
			      .address = &address,
			      .source = endpoint_of("198.51.100.1:5"),
			      .protocol = SNAP_PROTO_CONNECT};
	struct acl_verdict v = {0};
	struct timespec begin, end;
	double ns;

	assert_int_equal(host_parse("www.example.com:443", 19, 0, &host), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (int i = 0; i < 200000; i++)
		acl_decide(s, &q, &v);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	ns = ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
	     200000;
	print_message("acl_decide with 5 rules: %.0f ns\n", ns);
	assert_int_equal(v.result, ACL_ALLOW);
	assert_true(ns < 20000);
	snap_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rules),
		cmocka_unit_test(guard_of_local_addresses),
		cmocka_unit_test(only_an_outright_rule_lifts_the_guard),
		cmocka_unit_test(admin_is_out_of_reach),
		cmocka_unit_test(names_are_decided_again_by_address),
		cmocka_unit_test(an_allowed_block_does_not_extend_to_translators),
		cmocka_unit_test(users_and_groups),
		cmocka_unit_test(the_other_conditions),
		cmocka_unit_test(destination_not_known_yet),
		cmocka_unit_test(parents),
		cmocka_unit_test(a_listener_for_routes_alone),
		cmocka_unit_test(first_match_wins),
		cmocka_unit_test(fast_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
