// SPDX-License-Identifier: Apache-2.0
// Watching the configuration file by inotify(7). The directory is watched, since editors and
// Kubernetes replace files rather than write them.
#include "control/watch.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <urcu/compiler.h>

#include "control/control.h"
#include "obs/log.h"
#include "snap/snap.h"

enum { SETTLE_NS = 200000000 }; // a writer's several steps are one change

static void settled(struct loop *loop, struct timer *timer)
{
	control_reload(caa_container_of(timer, struct control, watch_timer), "file changed", NULL);
}

static void changed(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct control *control = caa_container_of(watch, struct control, file_watch);
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const char *slash = strrchr(control->source.path, '/');
	const char *name = slash ? slash + 1 : control->source.path;
	bool ours = false;
	ssize_t n;

	while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (char *p = buffer; p < buffer + n;) {
			struct inotify_event *event = (struct inotify_event *)p;
			// "..data" is the link that Kubernetes swaps for a mounted ConfigMap.
			ours |= event->len &&
				(!strcmp(event->name, name) || !strcmp(event->name, "..data"));
			p += sizeof(*event) + event->len;
		}
	}
	if (ours)
		loop_timer_set(loop, &control->watch_timer, loop->now + SETTLE_NS);
}

static int begin(struct control *control)
{
	char *copy = strdup(control->source.path);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), r = 0;

	if (!copy || fd < 0)
		r = copy ? -errno : -ENOMEM;
	if (r == 0 && inotify_add_watch(fd, dirname(copy),
					IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB) < 0)
		r = -errno;
	if (r == 0)
		r = loop_watch_level(&control->loop, &control->file_watch, fd, changed);
	if (r < 0 && fd >= 0)
		close(fd);
	free(copy);
	return r;
}

void watch_update(struct control *control)
{
	bool wanted = control->snap->watch && control->source.path;

	if (!wanted)
		watch_release(control);
	if (!wanted || control->file_watch.fd >= 0)
		return;
	timer_init(&control->watch_timer, settled);
	int r = begin(control);
	if (r < 0)
		log_error(LOG_CONFIG, "cannot watch the configuration file", LOG_ERRNO("error", r),
			  LOG_END);
}

void watch_release(struct control *control)
{
	int fd = control->file_watch.fd;

	if (fd < 0)
		return;
	loop_timer_cancel(&control->loop, &control->watch_timer);
	loop_unwatch(&control->loop, &control->file_watch);
	close(fd);
}
