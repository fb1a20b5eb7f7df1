// SPDX-License-Identifier: Apache-2.0
// Idle: opens many tunnels, passes one message through each, and reads the proxy's user memory.
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cpu.h"
#include "load.h"
#include "net.h"

#define WARM_TUNNELS 64

// One message there and back, so that whatever a proxy allots lazily is there.
static int tunnel_use(int fd, unsigned size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char message[2048] = {0};
	size_t received = 0;

	if (size > sizeof(message))
		size = sizeof(message);
	if (send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -EPIPE;
	while (received < size) {
		ssize_t n;

		if (poll(&p, 1, 5000) != 1)
			return -ETIMEDOUT;
		n = recv(fd, message, sizeof(message), 0);
		if (n <= 0)
			return -ECONNRESET;
		received += (size_t)n;
	}
	return 0;
}

static int tunnels_open(struct end *end, unsigned count)
{
	const struct options *opt = end->run->opt;

	for (unsigned i = 0; i < count && !run_stopping(end); i++) {
		int fd = net_dial(opt);
		int r = fd < 0 ? fd : tunnel_use(fd, opt->size);

		if (r < 0)
			return r;
		count_add(&end->ops_atomic, 1);
	}
	return 0;
}

static void settle(struct end *end, unsigned ms)
{
	uint64_t until = now_ns() + ms * 1000000ull;

	while (now_ns() < until && !run_stopping(end))
		sleep_until_ns(now_ns() + 20000000);
}

int idle_client(struct end *end)
{
	struct run *run = end->run;
	const struct options *opt = run->opt;
	int r = tunnels_open(end, WARM_TUNNELS);

	if (r < 0)
		return r;
	settle(end, opt->warmup_ms);
	run->memory_before = memory_tree_bytes(opt->pid);
	r = tunnels_open(end, opt->streams);
	if (r < 0)
		return r;
	run->tunnels = opt->streams;
	settle(end, opt->warmup_ms);
	run->memory_after = memory_tree_bytes(opt->pid);
	atomic_store(&end->ready, true); // what follows measures the CPU of idling
	settle(end, 3600000);
	return 0;
}
