// SPDX-License-Identifier: Apache-2.0
// Sockets, handshakes through a proxy, and the epoll loop of one end.
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

#define TURN_EVENTS 256

int loop_init(struct loop *loop)
{
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

void loop_release(struct loop *loop)
{
	close(loop->epoll);
}

int loop_add(struct loop *loop, struct io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, io->fd, &ev) ? -errno : 0;
}

int loop_change(struct loop *loop, struct io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, io->fd, &ev) ? -errno : 0;
}

void loop_turn(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[TURN_EVENTS];
	int n = epoll_wait(loop->epoll, events, TURN_EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct io *io = events[i].data.ptr;

		io->ready(io, events[i].events);
	}
}

static void set_options(const struct options *opt, int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (*opt->congestion)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, opt->congestion,
			   (socklen_t)strlen(opt->congestion));
}

int net_listen(const struct options *opt)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	set_options(opt, fd);
	if (bind(fd, (const struct sockaddr *)&opt->backend, sizeof(opt->backend)) ||
	    listen(fd, 4096)) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int net_accept(int fd)
{
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return s < 0 ? -errno : s;
}

static int net_socket(const struct options *opt, int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return -errno;
	set_options(opt, fd);
	return fd;
}

int net_connect_start(const struct options *opt)
{
	int fd = net_socket(opt, SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&opt->proxy, sizeof(opt->proxy)) &&
	    errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

unsigned dial_stages(const struct options *opt)
{
	return opt->via == VIA_SOCKS5 ? 2 : opt->via == VIA_CONNECT ? 1 : 0;
}

static size_t socks5_request(const struct options *opt, unsigned char command, char *buf)
{
	const char head[] = {5, (char)command, 0, 1};

	memcpy(buf, head, 4);
	if (command == 1) {
		memcpy(buf + 4, &opt->backend.sin_addr, 4);
		memcpy(buf + 8, &opt->backend.sin_port, 2);
	} else {
		memset(buf + 4, 0, 6);
	}
	return 10;
}

size_t dial_request(const struct options *opt, unsigned stage, char buf[DIAL_MAX])
{
	char host[INET_ADDRSTRLEN];
	int port = ntohs(opt->backend.sin_port);

	if (opt->via == VIA_SOCKS5) {
		if (stage == 0) {
			memcpy(buf, "\5\1\0", 3);
			return 3;
		}
		return socks5_request(opt, 1, buf);
	}
	inet_ntop(AF_INET, &opt->backend.sin_addr, host, sizeof(host));
	return (size_t)snprintf(buf, DIAL_MAX, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n",
				host, port, host, port);
}

static int socks5_reply(unsigned stage, const unsigned char *buf, size_t len)
{
	size_t want;

	if (len < 2)
		return 0;
	if (buf[0] != 5 || buf[1] != 0)
		return -ECONNREFUSED;
	if (stage == 0)
		return 2;
	if (len < 5)
		return 0;
	want = buf[3] == 1 ? 10 : buf[3] == 4 ? 22 : 7u + buf[4];
	return len < want ? 0 : (int)want;
}

int dial_reply(const struct options *opt, unsigned stage, const char *buf, size_t len)
{
	const char *end;

	if (opt->via == VIA_SOCKS5)
		return socks5_reply(stage, (const unsigned char *)buf, len);
	end = memmem(buf, len, "\r\n\r\n", 4);
	if (!end)
		return 0;
	return memcmp(buf + 8, " 200", 4) ? -ECONNREFUSED : (int)(end + 4 - buf);
}

// Waits for the reply of one stage and takes exactly that from the socket.
static int reply_read(const struct options *opt, int fd, unsigned stage, char *buf, size_t size)
{
	uint64_t deadline = now_ns() + 5000000000ull;

	while (now_ns() < deadline) {
		ssize_t n = recv(fd, buf, size, MSG_PEEK);
		int len;

		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		len = dial_reply(opt, stage, buf, (size_t)n);
		if (len < 0)
			return len;
		if (len > 0)
			return recv(fd, buf, (size_t)len, 0) == len ? len : -EIO;
		usleep(100);
	}
	return -ETIMEDOUT;
}

static int stage_run(const struct options *opt, int fd, unsigned stage)
{
	char buf[DIAL_MAX], reply[2048];
	size_t n = dial_request(opt, stage, buf);

	if (send(fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
		return -EPIPE;
	return reply_read(opt, fd, stage, reply, sizeof(reply));
}

static int connect_blocking(const struct options *opt)
{
	struct timeval limit = {.tv_sec = 5};
	int fd = net_socket(opt, 0);

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&opt->proxy, sizeof(opt->proxy))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

int net_dial(const struct options *opt)
{
	int fd = connect_blocking(opt);
	int r = 0;

	if (fd < 0)
		return fd;
	for (unsigned stage = 0; r >= 0 && stage < dial_stages(opt); stage++)
		r = stage_run(opt, fd, stage);
	if (r >= 0)
		r = set_nonblocking(fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int net_associate(const struct options *opt, struct sockaddr_in *ret_relay)
{
	char buf[DIAL_MAX];
	size_t n = socks5_request(opt, 3, buf);
	int fd = connect_blocking(opt);
	int r;

	if (fd < 0)
		return fd;
	r = stage_run(opt, fd, 0);
	if (r >= 0 && send(fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
		r = -EPIPE;
	if (r >= 0)
		r = reply_read(opt, fd, 1, buf, sizeof(buf));
	if (r >= 0 && buf[3] != 1)
		r = -EAFNOSUPPORT;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_relay = (struct sockaddr_in){.sin_family = AF_INET};
	memcpy(&ret_relay->sin_addr, buf + 4, 4);
	memcpy(&ret_relay->sin_port, buf + 8, 2);
	if (ret_relay->sin_addr.s_addr == INADDR_ANY)
		ret_relay->sin_addr = opt->proxy.sin_addr;
	return fd;
}
