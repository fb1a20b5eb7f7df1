// SPDX-License-Identifier: Apache-2.0
// Look-ups of the snapshot: users by name and id, routes by conditions.
#include "config_text.h"

#define HASH "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

static const struct snap_user *find(const struct snap *s, unsigned listener, const char *name)
{
	return snap_user_find(s, &s->listeners[listener], name, strlen(name));
}

static void users_by_name_and_scope(void **state)
{
	struct snap *s = config_text_snap(
		"listeners:\n"
		"- {name: a, address: '127.0.0.1:1'}\n"
		"- {name: b, address: '127.0.0.1:2', users: [{name: alice, password: own}]}\n"
		"users: [{name: alice, password_hash: " HASH "}, {name: bob, password_hash: " HASH
		"}]\n");
	const struct snap_user *global = find(s, 0, "alice"), *own = find(s, 1, "alice");

	assert_non_null(global);
	assert_non_null(own);
	assert_ptr_not_equal(global, own);
	assert_true(global->id != own->id);
	assert_true(own->scope == s->listeners[1].id);
	assert_int_equal(own->hash_kind, SNAP_HASH_KEYED);
	assert_int_equal(global->hash_kind, SNAP_HASH_BCRYPT);
	assert_non_null(find(s, 0, "bob"));
	assert_null(find(s, 1, "bob"));
	assert_null(find(s, 0, "Alice"));
	assert_null(find(s, 0, ""));
	assert_ptr_equal(snap_user_by_id(s, own->id), own);
	assert_null(snap_user_by_id(s, 1));
	snap_free(s);
}

static void ids_are_the_same_in_the_next_snapshot(void **state)
{
	struct snap *one =
		config_text_snap("listeners: [{name: a, address: '127.0.0.1:1'}, {name: b, "
				 "address: '127.0.0.1:2'}]\n"
				 "users: [{name: x, password: p}, {name: y, password: p}]\n");
	struct snap *two =
		config_text_snap("listeners: [{name: b, address: '127.0.0.1:2'}]\n"
				 "users: [{name: y, password: p}, {name: x, password: q}]\n");

	assert_true(one->listeners[1].id == two->listeners[0].id);
	assert_null(snap_listener_by_id(two, one->listeners[0].id));
	assert_true(find(one, 0, "y")->id == find(two, 0, "y")->id);
	assert_true(find(one, 0, "y")->credential_id == find(two, 0, "y")->credential_id);
	assert_true(find(one, 0, "x")->id == find(two, 0, "x")->id);
	assert_true(find(one, 0, "x")->credential_id != find(two, 0, "x")->credential_id);
	snap_free(one);
	snap_free(two);
}

static const char *route(const struct snap *s, unsigned listener, uint32_t protocol,
			 const char *sni, const char *host)
{
	const struct snap_route *r =
		snap_route_find(s, &s->listeners[listener], protocol, sni, sni ? strlen(sni) : 0,
				host, host ? strlen(host) : 0);

	return r ? r->name : "none";
}

static void routes_by_conditions(void **state)
{
	struct snap *s = config_text_snap(
		"listeners:\n"
		"- {name: a, address: '127.0.0.1:1', protocols: [tls, tcp, http]}\n"
		"- {name: b, address: '127.0.0.1:2', protocols: [tls, http, socks5]}\n"
		"routes:\n"
		"- {name: exact, sni: [www.x.com], to: ['10.0.0.1:1']}\n"
		"- {name: below, sni: ['.x.com'], listeners: [a], to: ['10.0.0.2:1']}\n"
		"- {name: web, hosts: [h.com], to: ['h.internal:80']}\n"
		"- {name: raw, protocols: [tcp], to: ['[::1]:5']}\n"
		"- {name: rest, listeners: b, to: [10.0.0.9:1, 'n:2']}\n");

	assert_string_equal(route(s, 0, SNAP_ROUTE_TLS, "www.x.com", NULL), "exact");
	assert_string_equal(route(s, 0, SNAP_ROUTE_TLS, "WWW.X.Com.", NULL), "exact");
	assert_string_equal(route(s, 0, SNAP_ROUTE_TLS, "a.x.com", NULL), "below");
	assert_string_equal(route(s, 1, SNAP_ROUTE_TLS, "a.x.com", NULL), "rest");
	assert_string_equal(route(s, 0, SNAP_ROUTE_TLS, NULL, NULL), "none");
	assert_string_equal(route(s, 0, SNAP_ROUTE_TLS, "1.2.3.4", NULL), "none");
	assert_string_equal(route(s, 0, SNAP_ROUTE_HTTP, NULL, "h.com"), "web");
	assert_string_equal(route(s, 0, SNAP_ROUTE_HTTP, NULL, "i.com"), "none");
	assert_string_equal(route(s, 0, SNAP_ROUTE_TCP, NULL, NULL), "raw");
	assert_string_equal(route(s, 1, SNAP_ROUTE_HTTP, NULL, NULL), "rest");
	assert_int_equal(s->routes[4].target_count, 2);
	assert_int_equal(s->routes[4].targets[0].host.kind, HOST_ADDRESS);
	assert_int_equal(s->routes[4].targets[1].host.kind, HOST_NAME);
	assert_ptr_equal(snap_route_by_id(s, s->routes[2].id), &s->routes[2]);
	assert_null(snap_route_by_id(s, 5));
	snap_free(s);
}

static void empty_snapshot(void **state)
{
	struct snap *s = snap_new();

	assert_non_null(s);
	assert_null(snap_user_by_id(s, 1));
	assert_null(snap_user_find(s, NULL, "x", 1));
	assert_null(snap_parent_by_id(s, 1));
	snap_free(s);
	snap_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_by_name_and_scope),
		cmocka_unit_test(ids_are_the_same_in_the_next_snapshot),
		cmocka_unit_test(routes_by_conditions),
		cmocka_unit_test(empty_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
