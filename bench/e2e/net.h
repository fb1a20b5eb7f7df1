// SPDX-License-Identifier: Apache-2.0
// Sockets, the handshakes through a proxy, and a small epoll loop for one end.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct options;

// One watched descriptor; embedded in a workload's own object.
struct io {
	int fd;
	void (*ready)(struct io *io, uint32_t events);
};

struct loop {
	int epoll;
};

int loop_init(struct loop *loop);
void loop_release(struct loop *loop);
int loop_add(struct loop *loop, struct io *io, uint32_t events);
int loop_change(struct loop *loop, struct io *io, uint32_t events);
// Waits at most timeout_ms and calls what is ready. An object may be freed only by its own call.
void loop_turn(struct loop *loop, int timeout_ms);

// The server's non-blocking listening socket, or -errno. Accepted sockets inherit its TCP_NODELAY
// and congestion control.
int net_listen(const struct options *opt);
// Accepts one connection, non-blocking, or -errno.
int net_accept(int fd);
// Starts a non-blocking connection with TCP_NODELAY to the proxy. Returns the socket or -errno.
int net_connect_start(const struct options *opt);
// Connects to the server through the proxy, blocking at most 5 s, and returns a non-blocking
// socket on which nothing of the server's bytes has been read yet, or -errno.
int net_dial(const struct options *opt);
// Opens a SOCKS5 association; returns its control connection and the relay's address, or -errno.
int net_associate(const struct options *opt, struct sockaddr_in *ret_relay);

// The handshake in stages: each is one request and one reply. A plain connection has none.
#define DIAL_MAX 256
unsigned dial_stages(const struct options *opt);
size_t dial_request(const struct options *opt, unsigned stage, char buf[DIAL_MAX]);
// Length of the complete reply at the start of buf, 0 if more bytes are needed, -errno if refused.
int dial_reply(const struct options *opt, unsigned stage, const char *buf, size_t len);
