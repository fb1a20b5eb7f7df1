// SPDX-License-Identifier: Apache-2.0
// Accepting connections.
#include "io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <urcu/compiler.h>

#include "base/addr.h"
#include "io/sys.h"

int listener_socket(const struct endpoint *address, bool dual, bool shared)
{
	struct sockaddr_storage addr;
	socklen_t len = endpoint_to_sockaddr(address, &addr);
	const int one = 1, only6 = !dual;

	int fd = sys_socket(address->family, SOCK_STREAM);
	if (fd < 0)
		return fd;
	sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	// Accepted sockets inherit it.
	sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int r = shared ? sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) : 0;
	if (r == 0 && address->family == AF_INET6)
		r = sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
	if (r == 0)
		r = sys_bind(fd, (struct sockaddr *)&addr, len);
	if (r == 0)
		r = sys_listen(fd, 4096);
	if (r < 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

static bool out_of_resources(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

void listener_pause(struct listener *listener)
{
	if (listener->is_paused)
		return;
	listener->is_paused = true;
	sys_poll_mod(listener->loop->pollfd, listener->watch.fd, 0, &listener->watch);
}

static void stop_for_a_while(struct listener *listener, int error)
{
	listener_pause(listener);
	loop_timer_set(listener->loop, &listener->timer, listener->loop->now + LISTENER_PAUSE_NS);
	if (listener->paused)
		listener->paused(listener, error);
}

static void accept_batch(struct listener *listener, int most)
{
	for (int i = 0; i < most && !listener->is_paused; i++) {
		struct sockaddr_storage peer;
		int fd = sys_accept(listener->watch.fd, &peer);
		if (fd == -EAGAIN) {
			listener->burst = i;
			return;
		}
		// Errors of the connection that was about to be accepted are its own (accept(2)).
		if (fd >= 0)
			listener->accepted(listener, fd, (struct sockaddr *)&peer);
		else if (out_of_resources(fd))
			stop_for_a_while(listener, fd);
	}
}

static void listener_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct listener *listener = caa_container_of(watch, struct listener, watch);

	// As many as came together the last time, and twice as many the next time when they all were
	// there: this spares most of the calls that only say that nobody waits.
	int most = listener->burst > 0 ? listener->burst : 1;
	listener->burst = 2 * most < LISTENER_BATCH ? 2 * most : LISTENER_BATCH;
	accept_batch(listener, most);
}

static void pause_over(struct loop *loop, struct timer *timer)
{
	struct listener *listener = caa_container_of(timer, struct listener, timer);

	listener->is_paused = false;
	sys_poll_mod(loop->pollfd, listener->watch.fd, EPOLLIN, &listener->watch);
	if (listener->paused)
		listener->paused(listener, 0);
}

int listener_init(struct listener *listener, struct loop *loop, int fd,
		  listener_accepted_fn *accepted, listener_paused_fn *paused)
{
	*listener = (struct listener){.loop = loop, .accepted = accepted, .paused = paused};
	timer_init(&listener->timer, pause_over);
	return loop_watch_level(loop, &listener->watch, fd, listener_ready);
}

void listener_release(struct listener *listener)
{
	int fd = listener->watch.fd;

	if (fd < 0)
		return;
	if (!listener->is_paused)
		accept_batch(listener, 4096);
	loop_timer_cancel(listener->loop, &listener->timer);
	loop_unwatch(listener->loop, &listener->watch);
	sys_close(fd);
}
