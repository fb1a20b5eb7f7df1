// SPDX-License-Identifier: Apache-2.0
// Churn: connect, handshake, 100 bytes out, a reply back, close; over and over.
//
// The server closes first, as after an HTTP/1.0 reply. TIME_WAIT then stays with the ports that
// listen, and neither the client nor the proxy searches a range full of it for a free port.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define REQUEST 100u
#define REPLY_MAX (64u << 10)

struct churn {
	struct end *end;
	struct loop loop;
	struct io listener;
};

// A client's or server's connection. The client's stage counts the handshake's requests; the last
// stage is the exchange itself.
struct visit {
	struct io io;
	struct churn *churn;
	uint64_t started_at;
	unsigned stage;
	unsigned received;
	bool connected;
	char reply[1024]; // of the handshake
};

static char zeros[REPLY_MAX];
static _Thread_local char buffer[REPLY_MAX];

static void visit_free(struct visit *visit)
{
	close(visit->io.fd);
	free(visit);
}

static void server_ready(struct io *io, uint32_t events)
{
	struct visit *visit = (struct visit *)io;
	struct end *end = visit->churn->end;
	ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		visit_free(visit);
		return;
	}
	visit->received += (unsigned)n;
	if (visit->received != REQUEST)
		return;
	if (send(io->fd, zeros, end->run->opt->size, MSG_NOSIGNAL) < 0)
		count_add(&end->errors_atomic, 1);
	visit_free(visit);
}

static void listener_ready(struct io *io, uint32_t events)
{
	struct churn *churn = (struct churn *)((char *)io - offsetof(struct churn, listener));
	int fd;

	while ((fd = net_accept(io->fd)) >= 0) {
		struct visit *visit = calloc(1, sizeof(*visit));

		if (!visit) {
			close(fd);
			return;
		}
		*visit = (struct visit){.io = {.fd = fd, .ready = server_ready}, .churn = churn};
		if (loop_add(&churn->loop, &visit->io, EPOLLIN) < 0)
			visit_free(visit);
	}
}

int churn_server(struct end *end)
{
	struct churn churn = {.end = end};
	int r = loop_init(&churn.loop);

	churn.listener = (struct io){.fd = net_listen(end->run->opt), .ready = listener_ready};
	if (churn.listener.fd < 0)
		return churn.listener.fd;
	if (r >= 0)
		r = loop_add(&churn.loop, &churn.listener, EPOLLIN);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&churn.loop, 20);
	return 0;
}

static void client_ready(struct io *io, uint32_t events);

static int visit_start(struct churn *churn)
{
	struct visit *visit = calloc(1, sizeof(*visit));
	int fd = visit ? net_connect_start(churn->end->run->opt) : -ENOMEM;
	int r;

	if (fd < 0) {
		free(visit);
		return fd;
	}
	visit->io = (struct io){.fd = fd, .ready = client_ready};
	visit->churn = churn;
	visit->started_at = now_ns();
	r = loop_add(&churn->loop, &visit->io, EPOLLOUT);
	if (r < 0)
		visit_free(visit);
	return r;
}

// Sends the request of the current stage.
static int visit_send(struct visit *visit)
{
	const struct options *opt = visit->churn->end->run->opt;
	char request[DIAL_MAX];
	size_t n = REQUEST;

	visit->received = 0;
	if (visit->stage == dial_stages(opt))
		return send(visit->io.fd, zeros, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EPIPE;
	n = dial_request(opt, visit->stage, request);
	return send(visit->io.fd, request, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EPIPE;
}

// Reads a reply. Returns 1 when the visit is over, 0 when it goes on, -errno when it failed.
static int visit_receive(struct visit *visit)
{
	const struct options *opt = visit->churn->end->run->opt;
	bool handshake = visit->stage < dial_stages(opt);
	char *into = handshake ? visit->reply + visit->received : buffer;
	size_t room = handshake ? sizeof(visit->reply) - visit->received : sizeof(buffer);
	ssize_t n = recv(visit->io.fd, into, room, 0);
	int len;

	if (n == 0 && !handshake && visit->received == opt->size)
		return 1;
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
	visit->received += (unsigned)n;
	if (!handshake)
		return 0;
	len = dial_reply(opt, visit->stage, visit->reply, visit->received);
	if (len <= 0)
		return len;
	visit->stage++;
	return visit_send(visit);
}

static void client_ready(struct io *io, uint32_t events)
{
	struct visit *visit = (struct visit *)io;
	struct churn *churn = visit->churn;
	struct end *end = churn->end;
	int r = 0;

	if (!visit->connected) {
		visit->connected = true;
		r = visit_send(visit);
		if (r >= 0)
			r = loop_change(&churn->loop, io, EPOLLIN);
	} else {
		r = visit_receive(visit);
	}
	if (r == 0)
		return;
	if (r > 0) {
		count_add(&end->ops_atomic, 1);
		if (run_measuring(end))
			hist_add(&end->hist, now_ns() - visit->started_at);
	} else {
		count_add(&end->errors_atomic, 1);
	}
	visit_free(visit);
	if (!run_stopping(end) && visit_start(churn) < 0)
		count_add(&end->errors_atomic, 1);
}

int churn_client(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct churn churn = {.end = end};
	int r = loop_init(&churn.loop);

	for (unsigned i = 0; r >= 0 && i < opt->streams; i++)
		r = visit_start(&churn);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&churn.loop, 20);
	return 0;
}
