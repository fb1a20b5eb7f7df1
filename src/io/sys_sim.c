// SPDX-License-Identifier: Apache-2.0
// The system calls of io/sys.h as the simulated network gives them.
#include "io/sys.h"

#include "io/sim_internal.h"

static int address_of(const struct sockaddr *addr, socklen_t len, struct endpoint *ret)
{
	return endpoint_from_sockaddr(addr, len, ret);
}

static bool is_udp(const struct sim_file *file)
{
	return file->kind == SIM_UDP;
}

static void tell_address(struct sim_file *file, const struct endpoint *address, int family,
			 struct sockaddr_storage *ret)
{
	if (family == AF_INET6)
		endpoint_to_sockaddr6(address, ret);
	else
		endpoint_to_sockaddr(address, ret);
}

int sys_socket(int family, int type)
{
	sim_call();
	int fd = sim_chance(sim.config.faults.socket) ? sim_shortage()
		 : type == SOCK_STREAM                ? sim_tcp_new(family)
						      : sim_udp_new(family);
	sim_result("socket", fd, fd);
	return fd;
}

int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint to;

	sim_call();
	struct sim_file *file = sim_file(fd);
	int r = address_of(addr, len, &to);
	if (r == 0 && sim_chance(sim.config.faults.connect))
		r = -EADDRINUSE; // no port is left
	if (r == 0)
		r = is_udp(file) ? sim_udp_bind(file, &to) : sim_tcp_bind(file, &to);
	sim_result("bind", fd, r);
	return r;
}

int sys_listen(int fd, int backlog)
{
	sim_call();
	return sim_tcp_listen(sim_file_of(fd, SIM_TCP), backlog);
}

int sys_accept(int fd, struct sockaddr_storage *ret_peer)
{
	struct endpoint peer;

	sim_call();
	int r = sim_tcp_accept(sim_file_of(fd, SIM_TCP), &peer);
	if (r >= 0)
		tell_address(sim_file(r), &peer, peer.family, ret_peer);
	sim_result("accept", fd, r);
	return r;
}

int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint to;

	sim_call();
	struct sim_file *file = sim_file(fd);
	int r = address_of(addr, len, &to);
	if (r == 0)
		r = is_udp(file) ? sim_udp_connect(file, &to) : sim_tcp_connect(file, &to);
	sim_result("connect", fd, r);
	return r;
}

int sys_connect_result(int fd)
{
	sim_call();
	struct sim_file *file = sim_file(fd);
	int r = -(is_udp(file) ? sim_udp_error(file) : sim_tcp_error(file));
	sim_result("connect_result", fd, r);
	return r;
}

ssize_t sys_recv(int fd, void *buf, size_t len)
{
	sim_call();
	ssize_t n = sim_tcp_recv(sim_file_of(fd, SIM_TCP), buf, len);
	sim_result("recv", fd, n);
	return n;
}

ssize_t sys_send(int fd, const void *buf, size_t len)
{
	const struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

	return sys_sendv(fd, &iov, 1);
}

ssize_t sys_sendv(int fd, const struct iovec *iov, int iovcnt)
{
	sim_call();
	ssize_t n = sim_tcp_sendv(sim_file_of(fd, SIM_TCP), iov, iovcnt);
	sim_result("send", fd, n);
	return n;
}

int sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
	sim_call();
	int r = sim_udp_recvmmsg(sim_file_of(fd, SIM_UDP), msgs, n);
	sim_result("recvmmsg", fd, r);
	return r;
}

int sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
	sim_call();
	int r = sim_udp_sendmmsg(sim_file_of(fd, SIM_UDP), msgs, n);
	sim_result("sendmmsg", fd, r);
	return r;
}

ssize_t sys_splice(int in, int out, size_t len)
{
	sim_call();
	ssize_t n = sim_splice(sim_file(in), sim_file(out), len);
	sim_result("splice from", in, n);
	sim_result("  to", out, n);
	return n;
}

int sys_pipe(int ret_fds[2], size_t size, size_t *ret_size)
{
	sim_call();
	int r = sim_chance(sim.config.faults.pipe) ? (sim_upto(1) ? -EMFILE : -ENFILE)
						   : sim_pipe_new(ret_fds, size, ret_size);
	sim_result("pipe", r < 0 ? -1 : ret_fds[0], r);
	return r;
}

int sys_shutdown(int fd, int how)
{
	sim_call();
	int r = sim_tcp_shutdown(sim_file_of(fd, SIM_TCP), how);
	sim_result("shutdown", fd, r);
	return r;
}

static int close_file(const char *call, int fd, bool abort)
{
	sim_call();
	struct sim_file *file = sim_file(fd);
	if (file->kind == SIM_POLL)
		sim_poll_close(file);
	sim_uninstall(file);
	switch ((enum sim_kind)file->kind) {
	case SIM_TCP:
		sim_tcp_close(file, abort);
		break;
	case SIM_UDP:
		sim_udp_close(file);
		break;
	case SIM_PIPE_IN:
	case SIM_PIPE_OUT:
		sim_pipe_close(file);
		break;
	case SIM_POLL:
	case SIM_WAKE:
		break;
	}
	sim_result(call, fd, 0);
	return 0;
}

int sys_close(int fd)
{
	return close_file("close", fd, false);
}

int sys_abort(int fd)
{
	return close_file("abort", fd, true);
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int number = 0;

	sim_call();
	struct sim_file *file = sim_file(fd);
	if (sim_chance(sim.config.faults.option))
		return -ENOMEM;
	if (len >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	if (file->kind == SIM_TCP)
		sim_tcp_option(file, level, name, number);
	else if (is_udp(file))
		sim_udp_option(file, level, name, number);
	return 0;
}

int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int number = 0;

	sim_call();
	struct sim_file *file = sim_file(fd);
	if (level == SOL_SOCKET && name == SO_ERROR)
		number = is_udp(file) ? sim_udp_error(file) : sim_tcp_error(file);
	if (*len < sizeof(number))
		return -EINVAL;
	memcpy(value, &number, sizeof(number));
	*len = sizeof(number);
	return 0;
}

static int name_of(int fd, bool peer, struct sockaddr_storage *ret_addr)
{
	struct endpoint address;

	sim_call();
	struct sim_file *file = sim_file(fd);
	int r = is_udp(file) ? sim_udp_name(file, peer, &address)
			     : sim_tcp_name(file, peer, &address);
	if (r == 0)
		tell_address(file, &address, address.family, ret_addr);
	return r;
}

int sys_getsockname(int fd, struct sockaddr_storage *ret_addr)
{
	return name_of(fd, false, ret_addr);
}

int sys_getpeername(int fd, struct sockaddr_storage *ret_addr)
{
	return name_of(fd, true, ret_addr);
}

uint64_t sys_now(void)
{
	return sim.now;
}

int64_t sys_wall(void)
{
	return sim.wall_offset + (int64_t)sim.now;
}
