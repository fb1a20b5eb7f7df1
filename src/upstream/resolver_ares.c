// SPDX-License-Identifier: Apache-2.0
// c-ares on the loop: its sockets become watches, its timeouts one timer.
#define CARES_NO_DEPRECATED
#include "upstream/resolver_ares.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#include "io/loop.h"
#include "io/sys.h"
#include "proto/dns/dns_negative.h"
#include "upstream/resolver.h"

enum {
	EDNS_BYTES = 1232,    // DNS flag day 2020: not fragmented anywhere
	UDP_MAX_QUERIES = 64, // then another port
	STEPS_PER_RUN = 64,   // socket events handled before others get their turn
	SERVER_TEXT = ENDPOINT_STRLEN + 1,
};

// A set of servers. When they are configured anew, the old set finishes what it was asked.
struct channel {
	struct ares_backend *backend;
	ares_channel ares;
	struct cds_list_head node;    // in backend.channels
	struct cds_list_head sockets; // struct ares_socket
	struct timer timer;
	struct task task;
	unsigned pending;
	bool retired;
};

struct ares_socket {
	struct watch watch; // fd -1: not connected yet
	struct cds_list_head node;
	struct channel *channel;
	struct deferred deferred;
	int fd;
	bool want_in, want_out;   // what c-ares waits for
	bool ready_in, ready_out; // edges that were not used up
};

struct ares_backend {
	struct resolver_backend base;
	struct loop *loop;
	struct channel *current;
	struct cds_list_head channels;
};

struct ares_query {
	struct channel *channel;
	struct resolver_entry *query;
	int family;
};

static void init_library(void)
{
	ares_library_init(ARES_LIB_INIT_ALL);
}

static struct ares_socket *find_socket(struct channel *channel, int fd)
{
	struct ares_socket *socket;

	cds_list_for_each_entry(socket, &channel->sockets,
				node) if (socket->fd == fd) return socket;
	return NULL;
}

static bool actionable(const struct ares_socket *socket)
{
	return (socket->ready_in && socket->want_in) || (socket->ready_out && socket->want_out);
}

// The timer for c-ares' own timeouts. It keeps time by a clock of its own; too early is harmless.
static void arm(struct channel *channel)
{
	struct loop *loop = channel->backend->loop;
	struct timeval tv;

	if (!ares_timeout(channel->ares, NULL, &tv)) {
		loop_timer_cancel(loop, &channel->timer);
		return;
	}
	uint64_t ns = (uint64_t)tv.tv_sec * 1000000000 + (uint64_t)tv.tv_usec * 1000;
	loop_timer_set(loop, &channel->timer, loop->now + ns);
}

static void retire_if_done(struct channel *channel)
{
	// Not from inside of c-ares: the task is.
	if (channel->retired && channel->pending == 0)
		loop_task_set(channel->backend->loop, &channel->task);
}

static void socket_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct ares_socket *socket = caa_container_of(watch, struct ares_socket, watch);

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		socket->ready_in = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		socket->ready_out = true;
	if (actionable(socket))
		loop_task_set(loop, &socket->channel->task);
}

static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
	struct channel *channel = arg;
	struct ares_socket *socket = calloc(1, sizeof(*socket));

	if (!socket) {
		errno = ENOMEM;
		return ARES_SOCKET_BAD;
	}
	int fd = sys_socket(domain, type & (SOCK_STREAM | SOCK_DGRAM));
	if (fd < 0) {
		free(socket);
		errno = -fd;
		return ARES_SOCKET_BAD;
	}
	socket->fd = fd;
	socket->watch.fd = -1;
	socket->channel = channel;
	cds_list_add(&socket->node, &channel->sockets);
	return fd;
}

static void socket_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct ares_socket, deferred));
}

static int close_socket(ares_socket_t fd, void *arg)
{
	struct channel *channel = arg;
	struct ares_socket *socket = find_socket(channel, fd);

	if (!socket)
		return 0;
	loop_unwatch(channel->backend->loop, &socket->watch);
	sys_close(fd);
	socket->fd = -1;
	cds_list_del(&socket->node);
	loop_defer(channel->backend->loop, &socket->deferred, socket_free);
	return 0;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
			  void *arg)
{
	struct channel *channel = arg;
	struct ares_socket *socket = find_socket(channel, fd);
	int r = sys_connect(fd, addr, len);

	// Watched only now: an unconnected TCP socket reports a hang-up.
	if (r == 0 || r == -EINPROGRESS) {
		int w = loop_watch(channel->backend->loop, &socket->watch, fd, LOOP_PROMPT,
				   socket_ready);
		if (w < 0)
			r = w;
	}
	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t len, int flags,
			    struct sockaddr *from, ares_socklen_t *from_len, void *arg)
{
	struct ares_socket *socket = find_socket(arg, fd);
	ssize_t n;

	if (from) {
		struct iovec iov = {.iov_base = buf, .iov_len = len};
		struct mmsghdr message = {.msg_hdr = {.msg_name = from,
						      .msg_namelen = from_len ? *from_len : 0,
						      .msg_iov = &iov,
						      .msg_iovlen = 1}};
		n = sys_recvmmsg(fd, &message, 1);
		if (n == 1) {
			n = (ssize_t)message.msg_len;
			if (from_len)
				*from_len = message.msg_hdr.msg_namelen;
		}
	} else {
		n = sys_recv(fd, buf, len);
	}
	if (n < 0) {
		errno = (int)-n;
		return -1;
	}
	if (socket)
		socket->ready_in = true; // there may be more
	return n;
}

static ares_ssize_t send_some(ares_socket_t fd, const struct iovec *iov, int iovcnt, void *arg)
{
	struct ares_socket *socket = find_socket(arg, fd);
	ssize_t n = sys_sendv(fd, iov, iovcnt);

	if (n < 0) {
		errno = (int)-n;
		return -1;
	}
	if (socket)
		socket->ready_out = true;
	return n;
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_some,
};

static void state_changed(void *arg, ares_socket_t fd, int in, int out)
{
	struct channel *channel = arg;
	struct ares_socket *socket = find_socket(channel, fd);

	if (!socket)
		return;
	socket->want_in = in;
	socket->want_out = out;
	if (actionable(socket))
		loop_task_set(channel->backend->loop, &channel->task);
}

static struct ares_socket *next_actionable(struct channel *channel)
{
	struct ares_socket *socket;

	cds_list_for_each_entry(socket, &channel->sockets,
				node) if (actionable(socket)) return socket;
	return NULL;
}

static void channel_free(struct channel *channel)
{
	struct loop *loop = channel->backend->loop;

	// Answers what is pending with ARES_EDESTRUCTION and closes the sockets.
	if (channel->ares)
		ares_destroy(channel->ares);
	loop_timer_cancel(loop, &channel->timer);
	loop_task_cancel(&channel->task);
	cds_list_del(&channel->node);
	free(channel);
}

// Serves sockets until c-ares has drained them: readiness is told once only.
static void channel_run(struct loop *loop, struct task *task)
{
	struct channel *channel = caa_container_of(task, struct channel, task);
	struct ares_socket *socket;
	unsigned steps = 0;

	while ((socket = next_actionable(channel)) != NULL && steps++ < STEPS_PER_RUN) {
		ares_socket_t in =
			socket->ready_in && socket->want_in ? socket->fd : ARES_SOCKET_BAD;
		ares_socket_t out =
			socket->ready_out && socket->want_out ? socket->fd : ARES_SOCKET_BAD;
		// Set again by a read or write that took something.
		if (in != ARES_SOCKET_BAD)
			socket->ready_in = false;
		if (out != ARES_SOCKET_BAD)
			socket->ready_out = false;
		ares_process_fd(channel->ares, in, out);
	}
	if (channel->retired && channel->pending == 0) {
		channel_free(channel);
		return;
	}
	if (socket)
		loop_task_set(loop, &channel->task);
	arm(channel);
}

static void channel_timer(struct loop *loop, struct timer *timer)
{
	struct channel *channel = caa_container_of(timer, struct channel, timer);

	ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(channel);
}

static enum resolver_status status_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return RESOLVER_OK;
	case ARES_ENODATA:
		return RESOLVER_NO_DATA;
	case ARES_ENOTFOUND:
		return RESOLVER_NOT_FOUND;
	case ARES_ETIMEOUT:
		return RESOLVER_TIMEOUT;
	default:
		return RESOLVER_FAILED;
	}
}

static int parse_a(const unsigned char *reply, int len, struct endpoint *addresses, int *count,
		   uint64_t *ttl)
{
	struct ares_addrttl found[RESOLVER_ADDRESSES_MAX];
	int n = RESOLVER_ADDRESSES_MAX;
	int status = ares_parse_a_reply(reply, len, NULL, found, &n);

	if (status != ARES_SUCCESS)
		return status;
	for (int i = 0; i < n; i++) {
		uint64_t seconds = found[i].ttl > 0 ? (uint64_t)found[i].ttl : 0;
		addresses[i] = endpoint_v4(ntohl(found[i].ipaddr.s_addr), 0);
		if (seconds < *ttl)
			*ttl = seconds;
	}
	*count = n;
	return n ? ARES_SUCCESS : ARES_ENODATA;
}

static int parse_aaaa(const unsigned char *reply, int len, struct endpoint *addresses, int *count,
		      uint64_t *ttl)
{
	struct ares_addr6ttl found[RESOLVER_ADDRESSES_MAX];
	int n = RESOLVER_ADDRESSES_MAX, kept = 0;
	int status = ares_parse_aaaa_reply(reply, len, NULL, found, &n);

	if (status != ARES_SUCCESS)
		return status;
	for (int i = 0; i < n; i++) {
		uint64_t seconds = found[i].ttl > 0 ? (uint64_t)found[i].ttl : 0;
		struct endpoint address = endpoint_v6((const uint8_t *)&found[i].ip6addr, 0, 0);
		// A v4-mapped address in an AAAA record is an IPv4 address in disguise.
		if (address.family != AF_INET6)
			continue;
		addresses[kept++] = address;
		if (seconds < *ttl)
			*ttl = seconds;
	}
	*count = kept;
	return kept ? ARES_SUCCESS : ARES_ENODATA;
}

static void query_answered(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct ares_query *query = arg;
	struct endpoint addresses[RESOLVER_ADDRESSES_MAX];
	uint64_t ttl = UINT32_MAX;
	int count = 0;

	if (status == ARES_SUCCESS)
		status = query->family == AF_INET6 ? parse_aaaa(reply, len, addresses, &count, &ttl)
						   : parse_a(reply, len, addresses, &count, &ttl);
	uint64_t ttl_ns = ttl * 1000000000;
	if (status == ARES_ENODATA || status == ARES_ENOTFOUND) {
		int64_t negative = reply && len > 0 ? dns_negative_ttl(reply, (size_t)len) : -1;
		ttl_ns = negative < 0 ? UINT64_MAX : (uint64_t)negative * 1000000000;
	}
	struct channel *channel = query->channel;
	struct resolver_entry *entry = query->query;
	free(query);
	channel->pending--;
	resolver_answered(entry, status_of(status), addresses, (unsigned)count, ttl_ns);
	retire_if_done(channel);
}

static void ask(struct resolver_backend *base, const char *name, int family,
		struct resolver_entry *entry)
{
	struct ares_backend *backend = caa_container_of(base, struct ares_backend, base);
	struct channel *channel = backend->current;
	struct ares_query *query = malloc(sizeof(*query));
	int type = family == AF_INET6 ? ns_t_aaaa : ns_t_a;

	if (!query) {
		resolver_answered(entry, RESOLVER_FAILED, NULL, 0, 0);
		return;
	}
	*query = (struct ares_query){.channel = channel, .query = entry, .family = family};
	channel->pending++;
	if (strchr(name, '.'))
		ares_query(channel->ares, name, ns_c_in, type, query_answered, query);
	else
		ares_search(channel->ares, name, ns_c_in, type, query_answered, query);
	arm(channel);
}

static int error_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_EBADSTR:
	case ARES_EFORMERR:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int set_servers(ares_channel ares, const struct resolver_config *config)
{
	char *text = malloc(config->server_count * SERVER_TEXT + 1);
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	for (unsigned i = 0; i < config->server_count; i++) {
		struct endpoint server = config->servers[i];
		if (server.port == 0)
			server.port = NS_DEFAULTPORT;
		if (len)
			text[len++] = ',';
		len += endpoint_format(&server, text + len);
	}
	int status = ares_set_servers_ports_csv(ares, text);
	free(text);
	return error_of(status);
}

static int channel_new(struct ares_backend *backend, const struct resolver_config *config,
		       struct channel **ret_channel)
{
	struct ares_options options = {
		.flags = ARES_FLAG_EDNS,
		.ednspsz = EDNS_BYTES,
		.timeout = (int)(config->try_ns / 1000000),
		.tries = (int)config->tries,
		.ndots = 1,
		.sock_state_cb = state_changed,
		.lookups = (char *)"b", // the hosts file is the resolver's own matter
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		   ARES_OPT_NDOTS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return -ENOMEM;
#ifdef ARES_OPT_UDP_MAX_QUERIES
	options.udp_max_queries = UDP_MAX_QUERIES;
	mask |= ARES_OPT_UDP_MAX_QUERIES;
#endif
#ifdef ARES_OPT_QUERY_CACHE
	mask |= ARES_OPT_QUERY_CACHE; // qcache_max_ttl 0: off, the cache is the resolver's
#endif
	channel->backend = backend;
	CDS_INIT_LIST_HEAD(&channel->sockets);
	timer_init(&channel->timer, channel_timer);
	task_init(&channel->task, channel_run);
	options.sock_state_cb_data = channel;
	cds_list_add(&channel->node, &backend->channels);
	int r = error_of(ares_init_options(&channel->ares, &options, mask));
	if (r == 0) {
		ares_set_socket_functions(channel->ares, &socket_functions, channel);
		if (config->server_count)
			r = set_servers(channel->ares, config);
	} else {
		channel->ares = NULL;
	}
	if (r < 0)
		channel_free(channel);
	else
		*ret_channel = channel;
	return r;
}

static int configure(struct resolver_backend *base, const struct resolver_config *config)
{
	struct ares_backend *backend = caa_container_of(base, struct ares_backend, base);
	struct channel *old = backend->current;
	int r = channel_new(backend, config, &backend->current);

	if (r < 0)
		return r;
	old->retired = true;
	retire_if_done(old);
	return 0;
}

static void backend_free(struct resolver_backend *base)
{
	struct ares_backend *backend = caa_container_of(base, struct ares_backend, base);
	struct channel *channel, *next;

	cds_list_for_each_entry_safe(channel, next, &backend->channels, node) channel_free(channel);
	free(backend);
}

static const struct resolver_backend_ops ares_ops = {
	.query = ask,
	.configure = configure,
	.free = backend_free,
};

int resolver_ares_new(struct loop *loop, const struct resolver_config *config,
		      struct resolver_backend **ret_backend)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct ares_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return -ENOMEM;
	pthread_once(&once, init_library);
	backend->base.ops = &ares_ops;
	backend->loop = loop;
	CDS_INIT_LIST_HEAD(&backend->channels);
	int r = channel_new(backend, config, &backend->current);
	if (r < 0) {
		free(backend);
		return r;
	}
	*ret_backend = &backend->base;
	return 0;
}
