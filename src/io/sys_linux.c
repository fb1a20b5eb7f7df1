// SPDX-License-Identifier: Apache-2.0
// The system calls of io/sys.h as the kernel gives them.
#include "io/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The calls on the way of bytes go past libc, whose wrappers are cancellation points: in a threaded
// program that costs two atomic operations each.
#define RETRY(call)                                                                                \
	({                                                                                         \
		long r_;                                                                           \
		do                                                                                 \
			r_ = (call);                                                               \
		while (r_ < 0 && errno == EINTR);                                                  \
		r_ < 0 ? -errno : r_;                                                              \
	})

int sys_socket(int family, int type)
{
	return (int)RETRY(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)RETRY(bind(fd, addr, len));
}

int sys_listen(int fd, int backlog)
{
	return (int)RETRY(listen(fd, backlog));
}

int sys_accept(int fd, struct sockaddr_storage *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	return (int)RETRY(
		accept4(fd, (struct sockaddr *)ret_peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	// An interrupted connect goes on in the background (connect(2)): not to be retried.
	if (connect(fd, addr, len) == 0)
		return 0;
	return errno == EINTR ? -EINPROGRESS : -errno;
}

int sys_connect_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

ssize_t sys_recv(int fd, void *buf, size_t len)
{
	return RETRY(syscall(SYS_recvfrom, fd, buf, len, 0, NULL, NULL));
}

ssize_t sys_send(int fd, const void *buf, size_t len)
{
	return RETRY(syscall(SYS_sendto, fd, buf, len, MSG_NOSIGNAL, NULL, 0));
}

ssize_t sys_sendv(int fd, const struct iovec *iov, int iovcnt)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iovcnt};

	return RETRY(syscall(SYS_sendmsg, fd, &msg, MSG_NOSIGNAL));
}

int sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
	return (int)RETRY(recvmmsg(fd, msgs, n, MSG_DONTWAIT, NULL));
}

int sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
	return (int)RETRY(sendmmsg(fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL));
}

ssize_t sys_splice(int in, int out, size_t len)
{
	return RETRY(
		syscall(SYS_splice, in, NULL, out, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

int sys_pipe(int ret_fds[2], size_t size, size_t *ret_size)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	int got = fcntl(fds[1], F_SETPIPE_SZ, (int)size);
	if (got < 0)
		got = fcntl(fds[1], F_GETPIPE_SZ);
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	*ret_size = got > 0 ? (size_t)got : 4096;
	return 0;
}

int sys_shutdown(int fd, int how)
{
	return shutdown(fd, how) < 0 ? -errno : 0;
}

int sys_close(int fd)
{
	// Never retried: Linux frees the descriptor even when close is interrupted.
	return close(fd) < 0 ? -errno : 0;
}

int sys_abort(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return sys_close(fd);
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return setsockopt(fd, level, name, value, len) < 0 ? -errno : 0;
}

int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return getsockopt(fd, level, name, value, len) < 0 ? -errno : 0;
}

int sys_getsockname(int fd, struct sockaddr_storage *ret_addr)
{
	socklen_t len = sizeof(*ret_addr);

	return getsockname(fd, (struct sockaddr *)ret_addr, &len) < 0 ? -errno : 0;
}

int sys_getpeername(int fd, struct sockaddr_storage *ret_addr)
{
	socklen_t len = sizeof(*ret_addr);

	return getpeername(fd, (struct sockaddr *)ret_addr, &len) < 0 ? -errno : 0;
}

int sys_poll_create(void)
{
	return (int)RETRY(epoll_create1(EPOLL_CLOEXEC));
}

int sys_poll_add(int pollfd, int fd, uint32_t events, void *ptr)
{
	struct epoll_event event = {.events = events, .data.ptr = ptr};

	return (int)RETRY(epoll_ctl(pollfd, EPOLL_CTL_ADD, fd, &event));
}

int sys_poll_mod(int pollfd, int fd, uint32_t events, void *ptr)
{
	struct epoll_event event = {.events = events, .data.ptr = ptr};

	return (int)RETRY(epoll_ctl(pollfd, EPOLL_CTL_MOD, fd, &event));
}

int sys_poll_del(int pollfd, int fd)
{
	struct epoll_event event = {0};

	return (int)RETRY(epoll_ctl(pollfd, EPOLL_CTL_DEL, fd, &event));
}

// Without epoll_pwait2 (Linux < 5.11) the time is rounded up to milliseconds.
static int wait_ms(int pollfd, struct epoll_event *events, int max, uint64_t timeout_ns)
{
	int ms = -1;

	if (timeout_ns != UINT64_MAX) {
		uint64_t up = (timeout_ns + 999999) / 1000000;
		ms = up > 3600 * 1000 ? 3600 * 1000 : (int)up;
	}
	int n = epoll_wait(pollfd, events, max, ms);
	return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

int sys_poll_wait(int pollfd, struct epoll_event *events, int max, uint64_t timeout_ns)
{
	static bool without_pwait2_atomic;

	if (timeout_ns == 0 || timeout_ns == UINT64_MAX ||
	    __atomic_load_n(&without_pwait2_atomic, __ATOMIC_RELAXED))
		return wait_ms(pollfd, events, max, timeout_ns);
	struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
				   .tv_nsec = (long)(timeout_ns % 1000000000)};
	int n = (int)syscall(SYS_epoll_pwait2, pollfd, events, max, &timeout, NULL, 0);
	if (n >= 0)
		return n;
	if (errno == EINTR)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	__atomic_store_n(&without_pwait2_atomic, true, __ATOMIC_RELAXED);
	return wait_ms(pollfd, events, max, timeout_ns);
}

int sys_wake_create(void)
{
	return (int)RETRY(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

void sys_wake_any(int fd)
{
	uint64_t one = 1;

	// Full means that a wake-up is already on its way.
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void sys_wake_clear(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t sys_now(void)
{
	return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

int64_t sys_wall(void)
{
	return clock_ns(CLOCK_REALTIME);
}
