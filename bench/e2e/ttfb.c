// SPDX-License-Identifier: Apache-2.0
// Time to first byte: one connection at a time, from connect to the first byte of the answer.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

static int first_byte(int fd, unsigned size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char message[64] = {0};

	if (size > sizeof(message))
		size = sizeof(message);
	if (send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -EPIPE;
	if (poll(&p, 1, 5000) != 1)
		return -ETIMEDOUT;
	return recv(fd, message, sizeof(message), 0) > 0 ? 0 : -ECONNRESET;
}

int ttfb_client(struct end *end)
{
	const struct options *opt = end->run->opt;

	atomic_store(&end->ready, true);
	while (!run_stopping(end)) {
		uint64_t start = now_ns();
		int fd = net_dial(opt);
		int r = fd < 0 ? fd : first_byte(fd, opt->size);

		if (r < 0) {
			count_add(&end->errors_atomic, run_stopping(end) ? 0 : 1);
			sleep_until_ns(now_ns() + 1000000);
		} else {
			count_add(&end->ops_atomic, 1);
			if (run_measuring(end))
				hist_add(&end->hist, now_ns() - start);
		}
		if (fd >= 0)
			close(fd);
		sleep_until_ns(now_ns() + 300000); // the proxy gets rid of the last one unmeasured
	}
	return 0;
}
