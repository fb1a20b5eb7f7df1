// SPDX-License-Identifier: Apache-2.0
// Ping-pong: on each connection a small message goes out when the answer to the last has come.
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define MESSAGE_MAX (64u << 10)

struct pingpong {
	struct end *end;
	struct loop loop;
	struct io listener;
};

struct player {
	struct io io;
	struct pingpong *game;
	uint64_t sent_at;
	unsigned received;
};

static _Thread_local char buffer[MESSAGE_MAX];

static void player_end(struct player *player, bool error)
{
	struct end *end = player->game->end;

	if (error && !run_stopping(end))
		count_add(&end->errors_atomic, 1);
	close(player->io.fd);
	free(player);
}

static struct player *player_new(struct pingpong *game, int fd,
				 void (*ready)(struct io *, uint32_t))
{
	struct player *player = calloc(1, sizeof(*player));

	if (!player) {
		close(fd);
		return NULL;
	}
	*player = (struct player){.io = {.fd = fd, .ready = ready}, .game = game};
	if (loop_add(&game->loop, &player->io, EPOLLIN) < 0) {
		player_end(player, true);
		return NULL;
	}
	return player;
}

static void echo_ready(struct io *io, uint32_t events)
{
	struct player *player = (struct player *)io;
	ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) // the other end closing is no error here
		player_end(player, false);
	else if (send(io->fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
		player_end(player, true);
}

static void listener_ready(struct io *io, uint32_t events)
{
	struct pingpong *game =
		(struct pingpong *)((char *)io - offsetof(struct pingpong, listener));
	int fd;

	while ((fd = net_accept(io->fd)) >= 0)
		player_new(game, fd, echo_ready);
}

// The server of pingpong, ttfb and idle: it sends back what it gets.
int echo_server(struct end *end)
{
	struct pingpong game = {.end = end};
	int r = loop_init(&game.loop);

	game.listener = (struct io){.fd = net_listen(end->run->opt), .ready = listener_ready};
	if (game.listener.fd < 0)
		return game.listener.fd;
	if (r >= 0)
		r = loop_add(&game.loop, &game.listener, EPOLLIN);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&game.loop, 20);
	return 0;
}

static int player_serve(struct player *player)
{
	unsigned size = player->game->end->run->opt->size;

	player->received = 0;
	player->sent_at = now_ns();
	return send(player->io.fd, buffer, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -EPIPE;
}

static void player_ready(struct io *io, uint32_t events)
{
	struct player *player = (struct player *)io;
	struct end *end = player->game->end;
	ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		player_end(player, true);
		return;
	}
	player->received += (unsigned)n;
	if (player->received < end->run->opt->size)
		return;
	count_add(&end->ops_atomic, 1);
	count_add(&end->bytes_atomic, player->received);
	if (run_measuring(end))
		hist_add(&end->hist, now_ns() - player->sent_at);
	if (player_serve(player) < 0)
		player_end(player, true);
}

int pingpong_client(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct pingpong game = {.end = end};
	int r = loop_init(&game.loop);

	for (unsigned i = 0; r >= 0 && i < opt->streams; i++) {
		struct player *player;

		r = net_dial(opt);
		if (r < 0)
			break;
		player = player_new(&game, r, player_ready);
		r = player ? player_serve(player) : -ENOMEM;
	}
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&game.loop, 20);
	return 0;
}
