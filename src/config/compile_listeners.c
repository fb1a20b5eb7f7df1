// SPDX-License-Identifier: Apache-2.0
// From raw listeners and parents to the snapshot's, with the checks that need more than one key.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/build.h"
#include "config/compile.h"
#include "config/errors.h"
#include "config/file.h"
#include "config/node.h"
#include "config/schema.h"

#define FORWARD_ONLY (SNAP_ACCEPT_SOCKS4 | SNAP_ACCEPT_SOCKS5)

static bool has_users(const struct config_build *b, const struct raw_listener *raw)
{
	return raw->users.count || b->raw.users.count || b->raw.users_file;
}

// `auto` asks for credentials wherever there are users, unless anonymous use is said to be meant.
static bool auth_required(const struct config_build *b, const struct raw_listener *raw)
{
	if (raw->authentication == RAW_AUTH_AUTO)
		return has_users(b, raw) && !raw->open;
	return raw->authentication == RAW_AUTH_REQUIRED;
}

static int check_authentication(struct config_build *b, const struct raw_listener *raw,
				const struct snap_listener *l)
{
	const struct config_node *at = compile_at(raw->node, "authentication");

	if (raw->authentication == RAW_AUTH_REQUIRED && !has_users(b, raw))
		return node_error(at, b->errors,
				  "required, but no user is defined, so nobody could log in; add "
				  "users: or users_file:, or say none");
	if (raw->authentication == RAW_AUTH_REQUIRED && raw->open)
		return node_error(at, b->errors,
				  "required contradicts open: true, which means use without "
				  "credentials; remove one of them");
	if (!l->forward || l->loopback || l->auth_required || raw->open)
		return 0;
	return node_error(
		compile_at(raw->node, "address"), b->errors,
		"other hosts can reach this address and the listener asks for no credentials%s, so "
		"it would be an open proxy. Define users (users: or users_file:)%s, or listen on "
		"127.0.0.1:%u, or, if anonymous use is meant, set open: true%s",
		raw->authentication == RAW_AUTH_NONE ? " (authentication: none)" : "",
		raw->authentication == RAW_AUTH_NONE ? " and drop authentication: none" : "",
		l->address.port,
		l->accept & FORWARD_ONLY ? "" : " (a listener for routes only: forward: false)");
}

static int check_listener(struct config_build *b, const struct raw_listener *raw,
			  const struct snap_listener *l)
{
	int r = check_authentication(b, raw, l);

	if (r == 0 && !raw->forward && (raw->protocols & FORWARD_ONLY))
		r = node_error(compile_at(raw->node, "forward"), b->errors,
			       "false leaves nothing for socks4 and socks5 to do; write protocols: "
			       "without them ([http], [tls], [tcp])");
	if (r == 0 && raw->proxy_protocol.required && !raw->proxy_protocol.from.count)
		r = node_error(compile_at(node_get(raw->node, "proxy_protocol"), "required"),
			       b->errors,
			       "true, but nobody is trusted to send the header; add from: with the "
			       "addresses of the load balancers");
	return r;
}

static int check_twins(struct config_build *b, const struct raw_listener *raws, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++) {
		const struct endpoint *a = &raws[k].address.endpoint,
				      *e = &raws[i].address.endpoint;
		int r = 0;

		if (strcmp(raws[k].name, raws[i].name) == 0)
			return node_error(compile_at(raws[i].node, "name"), b->errors,
					  "listeners[%u] has the name \"%s\" too; names are unique",
					  k, raws[k].name);
		if (e->port && endpoint_is_set(e) && endpoint_equal(a, e))
			r = node_error(compile_at(raws[i].node, "address"), b->errors,
				       "listeners[%u] has this address too; one port serves all "
				       "protocols, so one listener is enough",
				       k);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compile_listener(struct config_build *b, const struct raw_listener *raw,
			    struct snap_listener *l)
{
	unsigned class = endpoint_classify(&raw->address.endpoint);
	enum raw_default_action action = b->raw.acl_default;

	l->id = snap_id(0, raw->name, strlen(raw->name));
	l->name = raw->name;
	l->accept = raw->protocols;
	l->address = raw->address.endpoint;
	l->all_addresses = raw->address.all_addresses;
	l->loopback = class & ENDPOINT_LOOPBACK;
	l->forward = raw->forward;
	l->open = raw->open;
	l->auth_required = auth_required(b, raw);
	l->allow_local = raw->allow_local == RAW_AUTO ? l->loopback : raw->allow_local == RAW_YES;
	l->own_users = raw->users.count;
	l->server_first_wait_ns = raw->server_first_wait_ns;
	l->proxy_required = raw->proxy_protocol.required;
	// The checks below leave no listener for which `auto` would have to be deny; should one be
	// forgotten, it denies.
	l->default_action =
		action == RAW_DEFAULT_ALLOW || (action == RAW_DEFAULT_AUTO &&
						(l->loopback || l->auth_required || l->open))
			? SNAP_ALLOW
			: SNAP_DENY;
	l->route_action = action == RAW_DEFAULT_DENY ? SNAP_DENY : SNAP_ALLOW;
	return snap_addrs_build(raw->proxy_protocol.from.items, raw->proxy_protocol.from.count,
				&b->snap->arena, &l->proxy_from);
}

int build_listeners(struct config_build *b)
{
	struct raw_listener *raws = b->raw.listeners.items;
	uint32_t count = b->raw.listeners.count;
	struct snap_listener *listeners;

	if (!count)
		return node_error(compile_at(b->root, "listeners"), b->errors,
				  "no listener, so there is nothing to do; add for example "
				  "listeners: [{address: \"127.0.0.1:8080\"}]");
	if (count > SNAP_LISTENERS_MAX)
		return node_error(compile_at(b->root, "listeners"), b->errors,
				  "%u listeners; at most %u are supported", count,
				  SNAP_LISTENERS_MAX);
	listeners = arena_array(&b->snap->arena, count, sizeof(*listeners));
	if (!listeners)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		int r = compile_default_name(b, &raws[i].name, "listener", i);

		listeners[i].index = i;
		if (r == 0)
			r = compile_listener(b, &raws[i], &listeners[i]);
		if (r == 0)
			r = check_twins(b, raws, i);
		// Without an address there was an error already.
		if (r == 0 && endpoint_is_set(&raws[i].address.endpoint))
			r = check_listener(b, &raws[i], &listeners[i]);
		if (r < 0)
			return r;
	}
	b->snap->listeners = listeners;
	b->snap->listener_count = count;
	return 0;
}

// The first line of the file.
static int read_password(struct config_build *b, const struct raw_parent *raw,
			 const char **ret_password)
{
	const struct config_node *at = compile_at(raw->node, "password_file");
	char *path = build_path(b, raw->password_file);
	struct config_text file;
	size_t len;
	int r = path ? build_read(b, at, path, 4096, &file) : -ENOMEM;

	if (r < 0 || !file.text)
		return r;
	len = strcspn(file.text, "\r\n");
	*ret_password = arena_text(&b->snap->arena, file.text, len);
	config_text_release(&file);
	if (!*ret_password)
		return -ENOMEM;
	return len ? 0 : node_error(at, b->errors, "the first line of %s is empty", path);
}

static int compile_parent(struct config_build *b, const struct raw_parent *raws, uint32_t i,
			  struct snap_parent *p)
{
	const struct raw_parent *raw = &raws[i];
	int r = 0;

	p->index = i;
	p->type = raw->type;
	p->name = raw->name ? raw->name : ""; // without a name there was an error already
	p->id = snap_id(0, p->name, strlen(p->name));
	p->username = raw->username;
	p->password = raw->password;
	compile_target(&raw->address, &p->target);
	if (strcmp(p->name, "direct") == 0)
		r = node_error(compile_at(raw->node, "name"), b->errors,
			       "\"direct\" means no parent; choose another name");
	for (uint32_t k = 0; k < i && r == 0 && *p->name; k++)
		if (raws[k].name && strcmp(raws[k].name, p->name) == 0)
			r = node_error(compile_at(raw->node, "name"), b->errors,
				       "parents[%u] has the name \"%s\" too; names are unique", k,
				       p->name);
	if (r == 0 && raw->password && raw->password_file)
		r = node_error(compile_at(raw->node, "password_file"), b->errors,
			       "password is given too; remove one of them");
	else if (r == 0 && raw->password_file)
		r = read_password(b, raw, &p->password);
	if (r == 0 && !raw->username && (raw->password || raw->password_file))
		r = node_error(raw->node, b->errors, "a password without username; add username:");
	return r;
}

int build_parents(struct config_build *b)
{
	const struct raw_parent *raws = b->raw.parents.items;
	uint32_t count = b->raw.parents.count;
	struct snap_parent *parents = arena_array(&b->snap->arena, count, sizeof(*parents));
	int r = 0;

	if (!parents)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = compile_parent(b, raws, i, &parents[i]);
	if (r < 0)
		return r;
	b->snap->parents = parents;
	b->snap->parent_count = count;
	return compile_parent_ref(b, node_get(b->root, "forward"), b->raw.forward.parent,
				  &b->snap->forward_parent, NULL);
}
