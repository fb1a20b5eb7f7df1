// SPDX-License-Identifier: Apache-2.0
// Watching the configuration's files by inotify(7). Their directories are watched, since editors and
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

// Is a file of that name, in whichever directory, one that the configuration was read from?
static bool is_ours(const struct snap *snap, const char *name)
{
	// "..data" is the link that Kubernetes swaps for a mounted ConfigMap.
	if (!strcmp(name, "..data"))
		return true;
	for (uint32_t i = 0; i < snap->file_count; i++) {
		const char *slash = strrchr(snap->files[i], '/');

		if (!strcmp(slash ? slash + 1 : snap->files[i], name))
			return true;
	}
	return false;
}

static void changed(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct control *control = caa_container_of(watch, struct control, file_watch);
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t n;

	while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (char *p = buffer; p < buffer + n;) {
			struct inotify_event *event = (struct inotify_event *)p;

			ours |= event->len && is_ours(control->snap, event->name);
			p += sizeof(*event) + event->len;
		}
	}
	if (ours)
		loop_timer_set(loop, &control->watch_timer, loop->now + SETTLE_NS);
}

static int begin(struct control *control)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = loop_watch_level(&control->loop, &control->file_watch, fd, changed);
	if (r < 0)
		close(fd);
	return r;
}

// A directory that is watched already stays so: nothing that happens meanwhile is lost.
static int add_directory(int fd, const char *file)
{
	char *copy = strdup(file);
	int r = copy ? 0 : -ENOMEM;

	if (copy && inotify_add_watch(fd, dirname(copy),
				      IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB) < 0)
		r = -errno;
	free(copy);
	return r;
}

void watch_update(struct control *control)
{
	const struct snap *snap = control->snap;
	int r = 0;

	if (!snap->watch || !control->source.path) {
		watch_release(control);
		return;
	}
	if (control->file_watch.fd < 0) {
		timer_init(&control->watch_timer, settled);
		r = begin(control);
	}
	for (uint32_t i = 0; i < snap->file_count && r == 0; i++)
		r = add_directory(control->file_watch.fd, snap->files[i]);
	if (r < 0)
		log_error(LOG_CONFIG, "cannot watch the configuration's files",
			  LOG_ERRNO("error", r), LOG_END);
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
