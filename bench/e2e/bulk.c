// SPDX-License-Identifier: Apache-2.0
// Bulk: streams that send as much as they can, or as a slow sender or receiver lets them.
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define SEND_MAX (256u << 10)
#define PACE_UNIT (64u << 10)
#define RECV_MAX (1u << 20)

// What slows one direction of one end down.
struct pace {
	uint64_t burn_ns; // per PACE_UNIT
	uint64_t mbit;
	uint64_t due;
};

struct bulk {
	struct end *end;
	struct loop loop;
	struct io listener;
	struct pace send;
	struct pace recv;
	bool sends;
	bool receives;
};

struct stream {
	struct io io;
	struct bulk *bulk;
};

static char send_buffer[SEND_MAX];
static _Thread_local char recv_buffer[PACE_UNIT];

static bool pace_active(const struct pace *pace)
{
	return pace->burn_ns || pace->mbit;
}

static void pace_spend(struct pace *pace, size_t bytes)
{
	uint64_t now;

	if (pace->burn_ns)
		burn_ns(pace->burn_ns * bytes / PACE_UNIT);
	if (!pace->mbit)
		return;
	now = now_ns();
	if (pace->due + 20000000 < now) // more than 20 ms late: what was missed is not caught up
		pace->due = now;
	pace->due += bytes * 8000 / pace->mbit;
	if (pace->due > now)
		sleep_until_ns(pace->due);
}

static void stream_free(struct stream *stream)
{
	close(stream->io.fd);
	free(stream);
}

static void stream_ready(struct io *io, uint32_t events)
{
	struct stream *stream = (struct stream *)io;
	struct bulk *bulk = stream->bulk;
	ssize_t n;

	if (events & EPOLLIN) {
		if (pace_active(&bulk->recv))
			n = recv(io->fd, recv_buffer, PACE_UNIT, 0);
		else
			n = recv(io->fd, NULL, RECV_MAX,
				 MSG_TRUNC); // counted, thrown away, not copied
		if (n > 0) {
			count_add(&bulk->end->bytes_atomic, (uint64_t)n);
			pace_spend(&bulk->recv, (size_t)n);
		} else if (n == 0 || errno != EAGAIN) {
			events |= EPOLLERR;
		}
	}
	if ((events & EPOLLOUT) && !(events & EPOLLERR)) {
		n = send(io->fd, send_buffer, pace_active(&bulk->send) ? PACE_UNIT : SEND_MAX,
			 MSG_NOSIGNAL);
		if (n > 0)
			pace_spend(&bulk->send, (size_t)n);
		else if (errno != EAGAIN)
			events |= EPOLLERR;
	}
	if (events & (EPOLLERR | EPOLLHUP)) {
		if (!run_stopping(bulk->end))
			count_add(&bulk->end->errors_atomic, 1);
		stream_free(stream);
	}
}

static int stream_start(struct bulk *bulk, int fd)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	*stream = (struct stream){.io = {.fd = fd, .ready = stream_ready}, .bulk = bulk};
	return loop_add(&bulk->loop, &stream->io,
			(bulk->sends ? EPOLLOUT : 0u) | (bulk->receives ? EPOLLIN : 0u));
}

static void listener_ready(struct io *io, uint32_t events)
{
	struct bulk *bulk = (struct bulk *)((char *)io - offsetof(struct bulk, listener));
	int fd;

	while ((fd = net_accept(io->fd)) >= 0)
		stream_start(bulk, fd);
}

static int bulk_init(struct bulk *bulk, struct end *end, bool sends, bool receives)
{
	const struct options *opt = end->run->opt;

	*bulk = (struct bulk){
		.end = end,
		.send = {.burn_ns = opt->send_burn_us * 1000ull, .mbit = opt->send_mbit},
		.recv = {.burn_ns = opt->recv_burn_us * 1000ull, .mbit = opt->recv_mbit},
		.sends = sends,
		.receives = receives,
	};
	return loop_init(&bulk->loop);
}

static int bulk_loop(struct bulk *bulk)
{
	while (!run_stopping(bulk->end))
		loop_turn(&bulk->loop, 20);
	return 0;
}

int bulk_server(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct bulk bulk;
	int r = bulk_init(&bulk, end, opt->dir & DIR_DOWN, opt->dir & DIR_UP);

	if (r < 0)
		return r;
	bulk.listener = (struct io){.fd = net_listen(opt), .ready = listener_ready};
	if (bulk.listener.fd < 0)
		return bulk.listener.fd;
	r = loop_add(&bulk.loop, &bulk.listener, EPOLLIN);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	return bulk_loop(&bulk);
}

int bulk_client(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct bulk bulk;
	int r = bulk_init(&bulk, end, opt->dir & DIR_UP, opt->dir & DIR_DOWN);

	for (unsigned i = 0; r >= 0 && i < opt->streams; i++) {
		r = net_dial(opt);
		if (r >= 0)
			r = stream_start(&bulk, r);
	}
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	return bulk_loop(&bulk);
}
