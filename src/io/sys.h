// SPDX-License-Identifier: Apache-2.0
// The system calls for sockets, pipes, readiness and time: the one door between Sluice and a
// network.
//
// Two implementations exist and a program links exactly one: io/sys_linux.c (the kernel) and
// io/sys_sim.c (a simulated network and clock, deterministic from a seed; see io/sim.h). Nothing
// else in the tree makes these calls, so a whole worker runs unchanged on either.
//
// Contract of every function: returns >= 0 or a negative errno; never raises SIGPIPE; EINTR is
// retried inside (except sys_poll_wait, which returns 0). All descriptors are non-blocking and
// close-on-exec. Outputs are written only on success. Any thread may call; a descriptor belongs to
// one thread.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

// socket(2) with SOCK_NONBLOCK | SOCK_CLOEXEC; `type` is SOCK_STREAM or SOCK_DGRAM.
int sys_socket(int family, int type);
int sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
int sys_listen(int fd, int backlog);
// accept4(2). -EAGAIN when nobody waits; -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS when resources are
// out.
int sys_accept(int fd, struct sockaddr_storage *ret_peer);
// connect(2); -EINPROGRESS is the ordinary answer for TCP: writability tells the end, then
// sys_connect_result gives it.
int sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
// SO_ERROR: 0 when connected, else the negative errno of the failed attempt.
int sys_connect_result(int fd);

// recv(2): > 0 bytes, 0 end of stream, -EAGAIN, -ECONNRESET, ...
ssize_t sys_recv(int fd, void *buf, size_t len);
// sendmsg(2) with MSG_NOSIGNAL: bytes taken (possibly fewer), -EAGAIN when the send buffer is full.
ssize_t sys_send(int fd, const void *buf, size_t len);
ssize_t sys_sendv(int fd, const struct iovec *iov, int iovcnt);
// recvmmsg(2)/sendmmsg(2), non-blocking: messages moved, or -EAGAIN when none.
int sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n);
int sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n);
// splice(2) between a socket and a pipe, SPLICE_F_NONBLOCK | SPLICE_F_MOVE. 0 = end of stream on
// the way in. A short count does not mean that the source is drained.
ssize_t sys_splice(int in, int out, size_t len);
// pipe2(2), then F_SETPIPE_SZ to `size` bytes; a refused size leaves the default one.
// ret_size is what the pipe holds.
int sys_pipe(int ret_fds[2], size_t size, size_t *ret_size);

int sys_shutdown(int fd, int how);
int sys_close(int fd);
// Closes a TCP socket with RST (SO_LINGER 0).
int sys_abort(int fd);
int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int sys_getsockname(int fd, struct sockaddr_storage *ret_addr);
int sys_getpeername(int fd, struct sockaddr_storage *ret_addr);

// epoll(7). Events carry a pointer.
int sys_poll_create(void);
int sys_poll_add(int pollfd, int fd, uint32_t events, void *ptr);
int sys_poll_mod(int pollfd, int fd, uint32_t events, void *ptr);
int sys_poll_del(int pollfd, int fd);
// Waits at most timeout_ns (UINT64_MAX: for ever; 0: not at all). Returns the number of events.
int sys_poll_wait(int pollfd, struct epoll_event *events, int max, uint64_t timeout_ns);
// eventfd(2): wakes a loop from another thread.
int sys_wake_create(void);
void sys_wake_any(int fd);
void sys_wake_clear(int fd);

// CLOCK_MONOTONIC in ns; CLOCK_REALTIME in ns since 1970.
uint64_t sys_now(void);
int64_t sys_wall(void);
