// SPDX-License-Identifier: Apache-2.0
// What the command line says on top of the file: -L, --admin, --workers; and the built-in listener.
#include <errno.h>
#include <string.h>

#include "config/build.h"
#include "config/config.h"
#include "config/errors.h"
#include "config/node.h"
#include "config/overlay.h"

#define BUILT_IN_ADDRESS "127.0.0.1:8080"
#define LISTEN_VARIABLE "SLUICE_LISTEN="

static int add_text(struct config_build *b, struct config_node *map, const char *key,
		    const char *text, size_t len, const char *origin)
{
	struct config_node *n = node_new_text(&b->scratch, text, len, origin);

	return n ? node_append(&b->scratch, map, key, n) : -ENOMEM;
}

static int set_text(struct config_build *b, struct config_node *map, const char *key,
		    const char *text, const char *origin)
{
	struct config_node *old = node_get(map, key);
	struct config_node *n;

	if (!old)
		return add_text(b, map, key, text, strlen(text), origin);
	n = node_new_text(&b->scratch, text, strlen(text), origin);
	if (!n)
		return -ENOMEM;
	node_replace(old, n);
	return 0;
}

// The child of the root under `key`, made when it is not there or written as nothing. NULL in
// *ret_child when it is something else, which is reported later.
static int child(struct config_build *b, const char *key, enum node_kind kind, const char *origin,
		 struct config_node **ret_child)
{
	struct config_node *n = node_get(b->root, key);

	*ret_child = NULL;
	if (!n) {
		n = node_new(&b->scratch, kind, origin);
		if (!n || node_append(&b->scratch, b->root, key, n) < 0)
			return -ENOMEM;
	}
	if (n->kind == NODE_NULL)
		n->kind = (uint8_t)kind;
	if (n->kind == kind)
		*ret_child = n;
	return 0;
}

// The user of one listener, from "user:password".
static int add_user(struct config_build *b, struct config_node *listener, const char *text,
		    size_t len, const char *origin)
{
	struct config_node *users = node_new(&b->scratch, NODE_LIST, origin);
	struct config_node *user = node_new(&b->scratch, NODE_MAP, origin);
	const char *colon = memchr(text, ':', len);
	size_t name = colon ? (size_t)(colon - text) : 0;

	if (!users || !user || node_append(&b->scratch, listener, "users", users) < 0)
		return -ENOMEM;
	if (!colon)
		return node_error(listener, b->errors,
				  "expected [user:password@]host:port, but there is no colon "
				  "before the @");
	if (node_append(&b->scratch, users, NULL, user) < 0 ||
	    add_text(b, user, "name", text, name, origin) < 0 ||
	    add_text(b, user, "password", colon + 1, len - name - 1, origin) < 0)
		return -ENOMEM;
	return 0;
}

// [user:password@]host:port. The last @ divides, so a password may hold one.
static int add_listener(struct config_build *b, const char *text, size_t len, const char *origin)
{
	struct config_node *listeners, *l;
	const char *at = memrchr(text, '@', len);
	const char *address = at ? at + 1 : text;
	int r = child(b, "listeners", NODE_LIST, origin, &listeners);

	if (r < 0 || !listeners)
		return r;
	l = node_new(&b->scratch, NODE_MAP, origin);
	if (!l || node_append(&b->scratch, listeners, NULL, l) < 0)
		return -ENOMEM;
	r = add_text(b, l, "address", address, len - (size_t)(address - text), origin);
	if (r == 0 && at)
		r = add_user(b, l, text, (size_t)(at - text), origin);
	return r;
}

// SLUICE_LISTEN holds what -L takes, several divided by blanks.
static int add_listeners(struct config_build *b, const char *text)
{
	int r = 0;

	while (r == 0) {
		size_t len;

		text += strspn(text, " \t\n");
		len = strcspn(text, " \t\n");
		if (!len)
			break;
		r = add_listener(b, text, len, "SLUICE_LISTEN");
		text += len;
	}
	return r;
}

int overlay_arguments(struct config_build *b, const struct config_source *source)
{
	const char *const *environment = source->environment;
	struct config_node *admin;
	int r = 0;

	for (size_t i = 0; environment && environment[i] && r == 0; i++)
		if (strncmp(environment[i], LISTEN_VARIABLE, sizeof(LISTEN_VARIABLE) - 1) == 0)
			r = add_listeners(b, environment[i] + sizeof(LISTEN_VARIABLE) - 1);
	for (size_t i = 0; i < source->listen_count && r == 0; i++)
		r = add_listener(b, source->listen[i], strlen(source->listen[i]), "-L");
	if (r == 0 && source->admin) {
		r = child(b, "admin", NODE_MAP, "--admin", &admin);
		if (r == 0 && admin)
			r = set_text(b, admin, "address", source->admin, "--admin");
	}
	if (r == 0 && source->workers)
		r = set_text(b, b->root, "workers", source->workers, "--workers");
	if (r == 0 && !source->path && !source->text && !node_get(b->root, "listeners"))
		r = add_listener(b, BUILT_IN_ADDRESS, strlen(BUILT_IN_ADDRESS), "built-in");
	return r;
}
