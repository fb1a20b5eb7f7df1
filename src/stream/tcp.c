// SPDX-License-Identifier: Apache-2.0
// A stream over a TCP socket: one allocation, one watch.
#include "stream/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu/compiler.h>

#include "base/addr.h"
#include "io/loop.h"
#include "io/sys.h"
#include "stream/stream.h"

struct tcp_stream {
	struct stream stream;
	struct watch watch;
	struct deferred deferred;
};

static struct tcp_stream *tcp_of(struct stream *stream)
{
	return caa_container_of(stream, struct tcp_stream, stream);
}

static ssize_t tcp_read(struct stream *stream, void *buf, size_t len)
{
	ssize_t n = sys_recv(tcp_of(stream)->watch.fd, buf, len);

	if (n == -EAGAIN) {
		stream->ready &= (uint8_t) ~(STREAM_IN | STREAM_URGENT);
	} else if (n > 0 && (size_t)n < len && !(stream->ready & STREAM_URGENT)) {
		// A short recv has drained the socket (epoll(7), question 9). When the peer's FIN
		// was there before, so was everything that it sent.
		if (!(stream->ready & STREAM_END))
			stream->ready &= (uint8_t)~STREAM_IN;
		else if (!(stream->ready & STREAM_ERROR))
			stream->ready |= STREAM_LAST;
	}
	return n;
}

static ssize_t tcp_write(struct stream *stream, const void *buf, size_t len)
{
	ssize_t n = sys_send(tcp_of(stream)->watch.fd, buf, len);

	if (n == -EAGAIN)
		stream->ready &= (uint8_t)~STREAM_OUT;
	return n;
}

static ssize_t tcp_writev(struct stream *stream, const struct iovec *iov, int iovcnt)
{
	ssize_t n = sys_sendv(tcp_of(stream)->watch.fd, iov, iovcnt);

	if (n == -EAGAIN)
		stream->ready &= (uint8_t)~STREAM_OUT;
	return n;
}

static int tcp_finish(struct stream *stream)
{
	return sys_shutdown(tcp_of(stream)->watch.fd, SHUT_WR);
}

static int tcp_raw_fd(struct stream *stream, bool out)
{
	return tcp_of(stream)->watch.fd;
}

static void tcp_pace(struct loop *loop, struct stream *stream, enum loop_set set)
{
	// A failure leaves the stream where it was, which is correct, only less cheap.
	(void)loop_move(loop, &tcp_of(stream)->watch, set);
}

static void tcp_free(struct loop *loop, struct deferred *deferred)
{
	free(caa_container_of(deferred, struct tcp_stream, deferred));
}

static void tcp_close(struct loop *loop, struct stream *stream, enum stream_end how)
{
	struct tcp_stream *tcp = tcp_of(stream);
	int fd = tcp->watch.fd;

	stream_own(stream, NULL, NULL);
	loop_forget(loop, &tcp->watch);
	if (how == STREAM_RST)
		sys_abort(fd);
	else
		sys_close(fd);
	loop_defer(loop, &tcp->deferred, tcp_free);
}

static int tcp_peer(struct stream *stream, struct endpoint *ret_peer)
{
	struct sockaddr_storage addr;
	int r = sys_getpeername(tcp_of(stream)->watch.fd, &addr);

	return r < 0 ? r : endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret_peer);
}

static int tcp_local(struct stream *stream, struct endpoint *ret_local)
{
	struct sockaddr_storage addr;
	int r = sys_getsockname(tcp_of(stream)->watch.fd, &addr);

	return r < 0 ? r
		     : endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), ret_local);
}

static const struct stream_ops tcp_ops = {
	.name = "tcp",
	.read = tcp_read,
	.write = tcp_write,
	.writev = tcp_writev,
	.finish = tcp_finish,
	.raw_fd = tcp_raw_fd,
	.pace = tcp_pace,
	.close = tcp_close,
	.peer = tcp_peer,
	.local = tcp_local,
};

static void tcp_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct tcp_stream *tcp = caa_container_of(watch, struct tcp_stream, watch);
	uint8_t ready = 0;

	if (events & EPOLLIN)
		ready |= STREAM_IN;
	if (events & EPOLLPRI)
		ready |= STREAM_IN | STREAM_URGENT;
	if (events & EPOLLOUT)
		ready |= STREAM_OUT;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		ready |= STREAM_IN | STREAM_END;
	if (events & (EPOLLHUP | EPOLLERR))
		ready |= STREAM_OUT;
	if (events & EPOLLERR)
		ready |= STREAM_ERROR;
	tcp->stream.ready |= ready;
	if (tcp->stream.on_ready)
		tcp->stream.on_ready(loop, &tcp->stream);
}

int tcp_stream_new(struct loop *loop, int fd, uint8_t ready, struct stream **ret_stream)
{
	struct tcp_stream *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return -ENOMEM;
	tcp->stream.ops = &tcp_ops;
	tcp->stream.ready = ready;
	int r = loop_watch(loop, &tcp->watch, fd, LOOP_PROMPT, tcp_ready);
	if (r < 0) {
		free(tcp);
		return r;
	}
	*ret_stream = &tcp->stream;
	return 0;
}

int tcp_stream_connect(struct loop *loop, const struct endpoint *to, const struct endpoint *source,
		       struct stream **ret_stream)
{
	struct sockaddr_storage addr;
	socklen_t len = endpoint_to_sockaddr(to, &addr);
	const int one = 1;

	if (len == 0)
		return -EAFNOSUPPORT;
	int fd = sys_socket(to->family, SOCK_STREAM);
	if (fd < 0)
		return fd;
	sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int r = 0;
	if (source && source->family == to->family) {
		struct sockaddr_storage local;
		socklen_t local_len = endpoint_to_sockaddr(source, &local);
		sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		r = sys_bind(fd, (struct sockaddr *)&local, local_len);
	}
	if (r == 0)
		r = sys_connect(fd, (struct sockaddr *)&addr, len);
	if (r == 0 || r == -EINPROGRESS)
		r = tcp_stream_new(loop, fd, 0, ret_stream);
	if (r < 0)
		sys_close(fd);
	return r;
}

int tcp_stream_connected(struct stream *stream)
{
	if (!(stream->ready & STREAM_OUT))
		return -EINPROGRESS;
	// A failed attempt comes with EPOLLERR and EPOLLHUP: without them there is nothing to ask.
	if (!(stream->ready & (STREAM_END | STREAM_ERROR)))
		return 0;
	return sys_connect_result(tcp_of(stream)->watch.fd);
}
