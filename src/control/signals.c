// SPDX-License-Identifier: Apache-2.0
// Signals by signalfd(2).
#include "control/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <urcu/compiler.h>

#include "control/control.h"
#include "obs/log.h"

static void handle(struct control *control, unsigned signo)
{
	switch (signo) {
	case SIGTERM:
		control_drain(control, "SIGTERM");
		break;
	case SIGINT:
		control_drain(control, "SIGINT");
		break;
	case SIGHUP:
		control_reload(control, "SIGHUP", NULL);
		break;
	case SIGUSR1:
		log_reopen();
		log_info(LOG_LOG, "log files reopened", LOG_END);
		break;
	}
}

static void signalled(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct control *control = caa_container_of(watch, struct control, signals);
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle(control, info.ssi_signo);
}

int signals_init(struct control *control)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	return loop_watch_level(&control->loop, &control->signals, fd, signalled);
}

void signals_release(struct control *control)
{
	int fd = control->signals.fd;

	if (fd < 0)
		return;
	loop_unwatch(&control->loop, &control->signals);
	close(fd);
}
