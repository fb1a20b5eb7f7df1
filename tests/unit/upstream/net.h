// SPDX-License-Identifier: Apache-2.0
// For the tests of this room: blocking servers' sockets on loopback, and a resolver by script.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <urcu/compiler.h>
#include <urcu/list.h>

#include "base/addr.h"
#include "io/loop.h"
#include "io/sys.h"
#include "upstream/resolver.h"

static inline struct endpoint ep(const char *text)
{
	struct endpoint address = {0};

	assert_int_equal(endpoint_parse(text, strlen(text), 0, &address), 0);
	return address;
}

static inline int net_bind(struct endpoint *address, int type)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(address, &sa);
	int fd = socket(address->family, type | SOCK_CLOEXEC, 0);
	const int one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0) {
		close(fd);
		return -1;
	}
	len = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, len, address), 0);
	return fd;
}

// Listens; a port of 0 becomes the one it got.
static inline int net_listen(struct endpoint *address, int backlog)
{
	int fd = net_bind(address, SOCK_STREAM);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

// A port on which nobody listens.
static inline struct endpoint net_refusing(const char *ip)
{
	struct endpoint address = ep(ip);
	int fd = net_bind(&address, SOCK_STREAM);

	assert_true(fd >= 0);
	close(fd);
	return address;
}

// A listener whose queue is full: further connections hang. Its descriptors go to fds[4].
static inline struct endpoint net_hanging(const char *ip, int fds[static 4])
{
	struct endpoint address = ep(ip);
	struct sockaddr_storage sa;

	fds[0] = net_listen(&address, 0);
	socklen_t len = endpoint_to_sockaddr(&address, &sa);
	for (int i = 1; i < 4; i++) {
		fds[i] = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&sa, len);
	}
	return address;
}

static inline void net_close(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

// Turns the loop until `*flag` or for at most `ms`.
static inline void net_run(struct loop *loop, const bool *flag, unsigned ms)
{
	uint64_t end = sys_now() + ms * 1000000ULL;

	while (!(flag && *flag) && sys_now() < end)
		loop_turn(loop, 5000000);
}

// A resolver back end that answers by table, each row after its delay.
struct script_row {
	const char *name;
	int family;
	unsigned delay_ms;
	enum resolver_status status;
	const char *ips[4];
	uint64_t ttl_ns;
	bool silent; // never answers
};

struct script {
	struct resolver_backend base;
	struct loop *loop;
	const struct script_row *rows;
	unsigned row_count;
	unsigned asked;
	bool freed;
	struct cds_list_head pending; // struct script_answer
};

struct script_answer {
	struct cds_list_head node;
	struct timer timer;
	const struct script_row *row;
	struct resolver_entry *query;
};

static inline void script_give(const struct script_row *row, struct resolver_entry *query)
{
	struct endpoint addresses[4];
	unsigned n = 0;

	for (; n < 4 && row->ips[n]; n++)
		assert_int_equal(endpoint_parse_ip(row->ips[n], strlen(row->ips[n]), &addresses[n]),
				 0);
	resolver_answered(query, row->status, addresses, n, row->ttl_ns);
}

static inline void script_fire(struct loop *loop, struct timer *timer)
{
	struct script_answer *answer = caa_container_of(timer, struct script_answer, timer);

	cds_list_del(&answer->node);
	script_give(answer->row, answer->query);
	free(answer);
}

static inline void script_query(struct resolver_backend *base, const char *name, int family,
				struct resolver_entry *query)
{
	struct script *script = caa_container_of(base, struct script, base);

	script->asked++;
	for (unsigned i = 0; i < script->row_count; i++) {
		const struct script_row *row = &script->rows[i];
		if (row->family != family || strcmp(row->name, name) != 0)
			continue;
		if (row->silent)
			return;
		if (row->delay_ms == 0) {
			script_give(row, query);
			return;
		}
		struct script_answer *answer = calloc(1, sizeof(*answer));
		answer->row = row;
		if (!script->pending.next)
			CDS_INIT_LIST_HEAD(&script->pending);
		cds_list_add(&answer->node, &script->pending);
		answer->query = query;
		timer_init(&answer->timer, script_fire);
		loop_timer_set(script->loop, &answer->timer,
			       script->loop->now + row->delay_ms * 1000000ULL);
		return;
	}
	resolver_answered(query, RESOLVER_NOT_FOUND, NULL, 0, UINT64_MAX);
}

static inline void script_free(struct resolver_backend *base)
{
	struct script *script = caa_container_of(base, struct script, base);
	struct script_answer *answer, *next;

	script->freed = true;
	if (!script->pending.next)
		return;
	cds_list_for_each_entry_safe(answer, next, &script->pending, node)
	{
		loop_timer_cancel(script->loop, &answer->timer);
		cds_list_del(&answer->node);
		free(answer);
	}
}

static const struct resolver_backend_ops script_ops = {.query = script_query, .free = script_free};
