// SPDX-License-Identifier: Apache-2.0
// Paced: streams of small pieces at fixed intervals; each piece carries the time it was sent.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define READ_MAX (64u << 10)

struct paced {
	struct end *end;
	struct loop loop;
	struct io listener;
};

// A receiving stream: where in the current piece it is, and the bytes of its time stamp so far.
struct sink {
	struct io io;
	struct paced *paced;
	unsigned offset;
	union {
		uint64_t ns;
		char bytes[8];
	} stamp;
};

// A sending stream.
struct source {
	int fd;
	uint64_t due;
	char *piece;
	unsigned sent; // bytes of the current piece that are gone; 0: none is under way
};

static _Thread_local char read_buffer[READ_MAX];

static void sink_take(struct sink *sink, const char *data, size_t len, uint64_t now)
{
	struct end *end = sink->paced->end;
	unsigned size = end->run->opt->size;

	while (len > 0) {
		size_t part = size - sink->offset;

		if (part > len)
			part = len;
		for (size_t i = 0; i < part && sink->offset + i < 8; i++)
			sink->stamp.bytes[sink->offset + i] = data[i];
		sink->offset += (unsigned)part;
		data += part;
		len -= part;
		if (sink->offset < size)
			return;
		sink->offset = 0;
		count_add(&end->ops_atomic, 1);
		if (run_measuring(end))
			hist_add(&end->hist, now - sink->stamp.ns);
	}
}

static void sink_ready(struct io *io, uint32_t events)
{
	struct sink *sink = (struct sink *)io;
	struct end *end = sink->paced->end;
	ssize_t n = recv(io->fd, read_buffer, READ_MAX, 0);

	if (n > 0) {
		count_add(&end->bytes_atomic, (uint64_t)n);
		sink_take(sink, read_buffer, (size_t)n, now_ns());
	} else if (n == 0 || errno != EAGAIN) {
		if (!run_stopping(end))
			count_add(&end->errors_atomic, 1);
		close(io->fd);
		free(sink);
	}
}

static int sink_start(struct paced *paced, int fd)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	if (!sink) {
		close(fd);
		return -ENOMEM;
	}
	*sink = (struct sink){.io = {.fd = fd, .ready = sink_ready}, .paced = paced};
	return loop_add(&paced->loop, &sink->io, EPOLLIN);
}

static void listener_ready(struct io *io, uint32_t events)
{
	struct paced *paced = (struct paced *)((char *)io - offsetof(struct paced, listener));
	int fd;

	while ((fd = net_accept(io->fd)) >= 0)
		sink_start(paced, fd);
}

// Sends what is due on one stream. A piece that the socket does not take keeps its time stamp.
static int source_send(struct source *source, const struct options *opt, uint64_t now)
{
	while (source->due <= now) {
		ssize_t n;

		if (source->sent == 0)
			memcpy(source->piece, &now, sizeof(now));
		n = send(source->fd, source->piece + source->sent, opt->size - source->sent,
			 MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		source->sent += (unsigned)n;
		if (source->sent < opt->size)
			return 0;
		source->sent = 0;
		source->due += opt->interval_us * 1000ull;
		if (source->due + 50000000 < now) // hopelessly late: not caught up
			source->due = now;
	}
	return 0;
}

static int sources_run(struct end *end, struct source *sources)
{
	const struct options *opt = end->run->opt;
	uint64_t start = now_ns();

	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	for (unsigned i = 0; i < opt->streams; i++) // phases spread, the same ones in every run
		sources[i].due = start + (uint64_t)i * 2654435761u % (opt->interval_us * 1000ull);
	while (!run_stopping(end)) {
		uint64_t now = now_ns(), next = now + 20000000;

		for (unsigned i = 0; i < opt->streams; i++) {
			struct source *source = &sources[i];

			if (source->fd >= 0 && source->due <= now &&
			    source_send(source, opt, now) < 0) {
				count_add(&end->errors_atomic, run_stopping(end) ? 0 : 1);
				close(source->fd);
				source->fd = -1;
			}
			if (source->fd >= 0 && source->due < next)
				next = source->due;
		}
		now = now_ns();
		sleep_until_ns(next > now + 20000 ? next : now + 20000);
	}
	return 0;
}

static struct source *sources_new(const struct options *opt)
{
	struct source *sources = calloc(opt->streams, sizeof(*sources));
	char *pieces = calloc(opt->streams, opt->size);

	if (!sources || !pieces) {
		free(sources);
		free(pieces);
		return NULL;
	}
	for (unsigned i = 0; i < opt->streams; i++)
		sources[i] = (struct source){.fd = -1, .piece = pieces + (size_t)i * opt->size};
	return sources;
}

// The server as the sending end: it takes all connections first, then sends by the clock alone.
static int server_sends(struct end *end, int listener)
{
	const struct options *opt = end->run->opt;
	struct source *sources = sources_new(opt);
	unsigned count = 0;

	if (!sources)
		return -ENOMEM;
	while (count < opt->streams && !run_stopping(end)) {
		int fd = net_accept(listener);

		if (fd >= 0)
			sources[count++].fd = fd;
		else
			sleep_until_ns(now_ns() + 200000);
	}
	return sources_run(end, sources);
}

static int sinks_run(struct paced *paced)
{
	while (!run_stopping(paced->end))
		loop_turn(&paced->loop, 20);
	return 0;
}

int paced_server(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct paced paced = {.end = end};
	int r;

	paced.listener = (struct io){.fd = net_listen(opt), .ready = listener_ready};
	if (paced.listener.fd < 0)
		return paced.listener.fd;
	r = loop_init(&paced.loop);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	if (opt->dir == DIR_DOWN)
		return server_sends(end, paced.listener.fd);
	r = loop_add(&paced.loop, &paced.listener, EPOLLIN);
	return r < 0 ? r : sinks_run(&paced);
}

int paced_client(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct paced paced = {.end = end};
	struct source *sources = sources_new(opt);
	int r = sources ? loop_init(&paced.loop) : -ENOMEM;

	for (unsigned i = 0; r >= 0 && i < opt->streams; i++) {
		r = net_dial(opt);
		if (r < 0)
			break;
		if (opt->dir == DIR_DOWN)
			r = sink_start(&paced, r);
		else
			sources[i].fd = r;
	}
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	return opt->dir == DIR_DOWN ? sinks_run(&paced) : sources_run(end, sources);
}
