// SPDX-License-Identifier: Apache-2.0
// Listeners: the difference between two snapshots as sockets.
#include "control/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "control/control.h"
#include "io/listener.h"
#include "io/sys.h"
#include "obs/log.h"
#include "obs/text.h"
#include "snap/snap.h"

struct planned {
	struct control_listener listener;
	int *fds; // one per worker; NULL: open already
};

struct listeners_plan {
	struct planned *items;
	unsigned count, workers;
};

static const struct control_listener *open_one(const struct control *control,
					       const struct snap_listener *wanted)
{
	for (unsigned i = 0; i < control->listener_count; i++)
		if (control->listeners[i].id == wanted->id &&
		    endpoint_equal(&control->listeners[i].address, &wanted->address))
			return &control->listeners[i];
	return NULL;
}

static int bound_address(int fd, struct endpoint *ret)
{
	struct sockaddr_storage addr;
	int r = sys_getsockname(fd, &addr);

	return r < 0 ? r : endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret);
}

// SO_REUSEPORT would let a second process share the port in silence: whether somebody listens there is
// asked with a socket that does not share.
static int check_free(const struct endpoint *address, bool dual)
{
	int fd = address->port ? listener_socket(address, dual, false) : -ENOENT;

	if (fd >= 0)
		sys_close(fd);
	return fd == -EADDRINUSE ? fd : 0;
}

// A socket per worker. With port 0 the kernel chooses once, and the others join.
static int open_sockets(struct planned *item, const struct snap_listener *wanted, unsigned workers)
{
	struct endpoint address = wanted->address;

	item->fds = malloc(workers * sizeof(*item->fds));
	if (!item->fds)
		return -ENOMEM;
	for (unsigned i = 0; i < workers; i++)
		item->fds[i] = -1;
	if (check_free(&address, wanted->all_addresses) < 0)
		return -EADDRINUSE;
	for (unsigned i = 0; i < workers; i++) {
		int fd = listener_socket(&address, wanted->all_addresses, true);
		if (fd == -EAFNOSUPPORT && wanted->all_addresses) {
			address = endpoint_v4(INADDR_ANY, address.port);
			fd = listener_socket(&address, false, true);
		}
		if (fd < 0)
			return fd;
		item->fds[i] = fd;
		int r = bound_address(fd, &address);
		if (r < 0)
			return r;
	}
	item->listener = (struct control_listener){
		.id = wanted->id, .address = wanted->address, .bound = address};
	snprintf(item->listener.name, sizeof(item->listener.name), "%s", wanted->name);
	return 0;
}

static void explain(struct text *why, const struct snap_listener *wanted, int error)
{
	char address[ENDPOINT_STRLEN];

	endpoint_format(&wanted->address, address);
	text_printf(why, "listener %s: cannot listen on %s: %s%s\n", wanted->name, address,
		    strerror(-error),
		    error == -EADDRINUSE ? " (is another program using the port?)"
		    : error == -EACCES   ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
					 : "");
}

int listeners_open(struct control *control, const struct snap *snap, struct text *why,
		   struct listeners_plan **ret_plan)
{
	struct listeners_plan *plan = calloc(1, sizeof(*plan));

	if (plan)
		plan->items = calloc(snap->listener_count ? snap->listener_count : 1,
				     sizeof(*plan->items));
	if (!plan || !plan->items) {
		free(plan);
		return -ENOMEM;
	}
	plan->workers = control->worker_count;
	for (unsigned i = 0; i < snap->listener_count; i++) {
		const struct snap_listener *wanted = &snap->listeners[i];
		const struct control_listener *open = open_one(control, wanted);
		struct planned *item = &plan->items[plan->count++];
		if (open) {
			item->listener = *open;
			continue;
		}
		int r = open_sockets(item, wanted, plan->workers);
		if (r < 0) {
			explain(why, wanted, r);
			listeners_abandon(plan);
			return r;
		}
	}
	*ret_plan = plan;
	return 0;
}

static bool planned_again(const struct listeners_plan *plan,
			  const struct control_listener *listener)
{
	for (unsigned i = 0; i < plan->count; i++)
		if (!plan->items[i].fds && plan->items[i].listener.id == listener->id)
			return true;
	return false;
}

static void log_listener(const struct control_listener *listener, const char *what)
{
	log_info(LOG_LISTENER, what, LOG_STR("listener", listener->name),
		 LOG_ENDPOINT("address", &listener->bound), LOG_END);
}

void listeners_commit(struct control *control, struct listeners_plan *plan)
{
	struct control_listener *now = calloc(plan->count ? plan->count : 1, sizeof(*now));

	for (unsigned i = 0; i < control->listener_count; i++) {
		struct control_listener *old = &control->listeners[i];
		if (planned_again(plan, old))
			continue;
		log_listener(old, "listener closed");
		for (unsigned w = 0; w < control->worker_count; w++)
			worker_unlisten_any(&control->workers[w], old->id);
	}
	for (unsigned i = 0; i < plan->count; i++) {
		struct planned *item = &plan->items[i];
		if (now)
			now[i] = item->listener;
		if (!item->fds)
			continue;
		log_listener(&item->listener, "listening");
		for (unsigned w = 0; w < plan->workers; w++)
			if (worker_listen_any(&control->workers[w], item->listener.id,
					      item->fds[w]) < 0)
				sys_close(item->fds[w]);
		free(item->fds);
		item->fds = NULL;
	}
	free(control->listeners);
	control->listeners = now;
	control->listener_count = now ? plan->count : 0;
	listeners_abandon(plan);
}

void listeners_abandon(struct listeners_plan *plan)
{
	if (!plan)
		return;
	for (unsigned i = 0; i < plan->count; i++) {
		for (unsigned w = 0; plan->items[i].fds && w < plan->workers; w++)
			if (plan->items[i].fds[w] >= 0)
				sys_close(plan->items[i].fds[w]);
		free(plan->items[i].fds);
	}
	free(plan->items);
	free(plan);
}
