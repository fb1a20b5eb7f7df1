// SPDX-License-Identifier: Apache-2.0
// From raw routes to the snapshot's, and the checks between routes, listeners and the admin address.
#include <errno.h>
#include <string.h>

#include "config/build.h"
#include "config/compile.h"
#include "config/errors.h"
#include "config/node.h"

// Would a connection to `to` arrive at `at`?
static bool reaches(const struct endpoint *to, const struct endpoint *at)
{
	if (!endpoint_is_set(at) || !at->port || to->port != at->port)
		return false;
	if (endpoint_same_ip(to, at))
		return true;
	return endpoint_is_unspecified(at) &&
	       (endpoint_is_loopback(to) || endpoint_is_unspecified(to));
}

static int check_target(struct config_build *b, const struct config_node *at,
			const struct host *target, uint64_t listeners)
{
	const struct snap *s = b->snap;

	if (target->kind != HOST_ADDRESS)
		return 0;
	if (s->admin.enabled && reaches(&target->address, &s->admin.address))
		return node_error(at, b->errors,
				  "this is the admin address, which clients must never reach");
	for (uint32_t i = 0; i < s->listener_count; i++)
		if ((listeners >> i & 1) && reaches(&target->address, &s->listeners[i].address))
			return node_error(at, b->errors,
					  "this is the address of the listener \"%s\" itself: "
					  "connections would go round in circles",
					  s->listeners[i].name);
	return 0;
}

static int check_conditions(struct config_build *b, const struct raw_route *raw,
			    const struct snap_route *route)
{
	if (raw->sni.count && raw->hosts.count)
		return node_error(compile_at(raw->node, "hosts"), b->errors,
				  "sni holds for TLS and hosts for plain HTTP, so both never hold; "
				  "make two routes");
	if (raw->sni.count && !(route->protocols & SNAP_ROUTE_TLS))
		return node_error(
			compile_at(raw->node, "protocols"), b->errors,
			"without tls the condition sni never holds; add tls or remove sni");
	if (raw->hosts.count && !(route->protocols & SNAP_ROUTE_HTTP))
		return node_error(
			compile_at(raw->node, "protocols"), b->errors,
			"without http the condition hosts never holds; add http or remove "
			"hosts");
	return 0;
}

static int compile_domains(struct config_build *b, const struct raw_list *list,
			   const struct snap_names **ret_names)
{
	struct snap_names *names;
	int r;

	if (!list->count)
		return 0;
	names = arena_alloc(&b->snap->arena, sizeof(*names));
	if (!names)
		return -ENOMEM;
	r = compile_names(b, list, names);
	*ret_names = names;
	return r;
}

static int compile_targets(struct config_build *b, const struct raw_route *raw,
			   struct snap_route *route)
{
	const struct host *hosts = raw->to.items;
	struct snap_target *targets = arena_array(&b->snap->arena, raw->to.count, sizeof(*targets));
	int r = 0;

	if (!targets)
		return -ENOMEM;
	if (!raw->to.count && raw->to.given)
		r = node_error(compile_at(raw->node, "to"), b->errors,
			       "an empty list; expected at least one target, host:port");
	for (uint32_t i = 0; i < raw->to.count && r == 0; i++) {
		compile_target(&hosts[i], &targets[i]);
		r = check_target(b, compile_item(raw->node, "to", i), &hosts[i], route->listeners);
	}
	route->targets = targets;
	route->target_count = raw->to.count;
	return r;
}

static uint32_t route_protocols(const struct raw_route *raw)
{
	if (raw->protocols)
		return raw->protocols;
	if (raw->sni.count)
		return SNAP_ROUTE_TLS;
	return raw->hosts.count ? SNAP_ROUTE_HTTP
				: SNAP_ROUTE_TLS | SNAP_ROUTE_TCP | SNAP_ROUTE_HTTP;
}

static int compile_route(struct config_build *b, struct raw_route *raws, uint32_t i,
			 struct snap_route *route)
{
	struct raw_route *raw = &raws[i];
	int r = compile_default_name(b, &raw->name, "route", i);

	if (r < 0)
		return r;
	route->name = raw->name;
	route->id = snap_id(0, raw->name, strlen(raw->name));
	route->index = i;
	route->protocols = route_protocols(raw);
	route->send_proxy = raw->send_proxy;
	for (uint32_t k = 0; k < i && r == 0; k++)
		if (strcmp(raws[k].name, raw->name) == 0)
			r = node_error(compile_at(raw->node, "name"), b->errors,
				       "routes[%u] has the name \"%s\" too; names are unique", k,
				       raw->name);
	if (r == 0)
		r = compile_listener_mask(b, raw->node, &raw->listeners, &route->listeners);
	if (r == 0)
		r = compile_domains(b, &raw->sni, &route->sni);
	if (r == 0)
		r = compile_domains(b, &raw->hosts, &route->hosts);
	if (r == 0)
		r = compile_targets(b, raw, route);
	if (r == 0)
		r = compile_parent_ref(b, raw->node, raw->parent, &route->parent, NULL);
	return r < 0 ? r : check_conditions(b, raw, route);
}

#define ROUTES_MAX 10000

int build_routes(struct config_build *b)
{
	struct raw_route *raws = b->raw.routes.items;
	uint32_t count = b->raw.routes.count;
	struct snap_route *routes;
	int r = 0;

	if (count > ROUTES_MAX)
		return node_error(compile_at(b->root, "routes"), b->errors,
				  "%u routes; at most %d are supported", count, ROUTES_MAX);
	routes = arena_array(&b->snap->arena, count, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = compile_route(b, raws, i, &routes[i]);
	b->snap->routes = routes;
	b->snap->route_count = count;
	return r;
}

// What kinds of connections a listener hands to routes.
static uint32_t routed(const struct snap_listener *l)
{
	return (l->accept & SNAP_ACCEPT_TLS ? SNAP_ROUTE_TLS : 0) |
	       (l->accept & SNAP_ACCEPT_TCP ? SNAP_ROUTE_TCP : 0) |
	       (l->accept & SNAP_ACCEPT_HTTP ? SNAP_ROUTE_HTTP : 0);
}

static bool has_route(const struct snap *s, uint32_t listener, uint32_t protocol)
{
	for (uint32_t i = 0; i < s->route_count; i++)
		if ((s->routes[i].protocols & protocol) && (s->routes[i].listeners >> listener & 1))
			return true;
	return false;
}

static int check_needs(struct config_build *b, const struct raw_listener *raw,
		       const struct snap_listener *l)
{
	static const struct {
		uint32_t accept, route;
		const char *name;
	} needs[] = {{SNAP_ACCEPT_TLS, SNAP_ROUTE_TLS, "tls"},
		     {SNAP_ACCEPT_TCP, SNAP_ROUTE_TCP, "tcp"},
		     {SNAP_ACCEPT_HTTP, SNAP_ROUTE_HTTP, "http"}};
	int r = 0;

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]) && r == 0; i++) {
		if (!(l->accept & needs[i].accept) || has_route(b->snap, l->index, needs[i].route))
			continue;
		if (needs[i].accept == SNAP_ACCEPT_HTTP && l->forward)
			continue; // without a route only the requests that need one are refused
		r = node_error(compile_at(raw->node, "protocols"), b->errors,
			       "%s%s needs a route, since such a connection does not say where it "
			       "wants to go; add routes: [{listeners: [%s], protocols: [%s], to: "
			       "[\"host:port\"]}]%s",
			       needs[i].name, l->forward ? "" : " with forward: false", l->name,
			       needs[i].name,
			       needs[i].accept == SNAP_ACCEPT_HTTP
				       ? ""
				       : ", or remove the word from protocols");
	}
	return r;
}

static int check_admin(struct config_build *b, const struct raw_listener *raw,
		       const struct snap_listener *l)
{
	const struct snap_admin *admin = &b->snap->admin;

	if (!admin->enabled || !admin->address.port || admin->address.port != l->address.port)
		return 0;
	if (!endpoint_same_ip(&admin->address, &l->address) &&
	    !endpoint_is_unspecified(&admin->address) && !endpoint_is_unspecified(&l->address))
		return 0;
	return node_error(
		compile_at(raw->node, "address"), b->errors,
		"the admin listener (admin.address, 127.0.0.1:9901 where it is not given) "
		"has this port too; give one of them another, or set admin: {address: off}");
}

// A route that no listener feeds is a mistake: it looks as if it did something.
static int check_fed(struct config_build *b, const struct raw_route *raw,
		     const struct snap_route *route)
{
	uint32_t fed = 0;

	for (uint32_t i = 0; i < b->snap->listener_count; i++)
		if (route->listeners >> i & 1)
			fed |= routed(&b->snap->listeners[i]);
	if ((fed & route->protocols) || !route->listeners)
		return 0;
	return node_error(raw->node, b->errors,
			  "no listener %saccepts what this route carries; add tls, tcp or http to "
			  "the listener's protocols",
			  raw->listeners.count ? "that it names " : "");
}

int build_check(struct config_build *b)
{
	const struct raw_listener *listeners = b->raw.listeners.items;
	const struct raw_route *routes = b->raw.routes.items;
	const struct raw_parent *parents = b->raw.parents.items;
	int r = 0;

	for (uint32_t i = 0; i < b->snap->listener_count && r == 0; i++) {
		const struct snap_listener *l = &b->snap->listeners[i];

		if (!endpoint_is_set(&l->address))
			continue; // there was an error already
		r = check_needs(b, &listeners[i], l);
		if (r == 0)
			r = check_admin(b, &listeners[i], l);
	}
	for (uint32_t i = 0; i < b->snap->route_count && r == 0; i++)
		r = check_fed(b, &routes[i], &b->snap->routes[i]);
	for (uint32_t i = 0; i < b->snap->parent_count && r == 0; i++)
		r = check_target(b, compile_at(parents[i].node, "address"), &parents[i].address,
				 UINT64_MAX);
	return r;
}
