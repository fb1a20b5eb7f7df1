// SPDX-License-Identifier: Apache-2.0
// The event loop: one turn waits, then serves prompt events, the paced set, mail, timers and tasks.
#include "io/loop.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/race.h"
#include "io/sys.h"

enum {
	EVENTS = 256,
	SILENT_PASSES = 3,   // then the paced set wakes the loop itself
	GATHER = 128 * 1024, // bytes that the fastest stream should bring in a pass
	PACE_MIN_NS = 50 * 1000,
};

static const uint32_t WATCHED = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static int pollfd_of(const struct loop *loop, const struct watch *watch)
{
	return watch->set == LOOP_PACED ? loop->pace.fd : loop->pollfd;
}

static void mail_arrived(struct loop *loop, struct watch *watch, uint32_t events)
{
	sys_wake_clear(watch->fd);
}

static void paced_arrived(struct loop *loop, struct watch *watch, uint32_t events)
{
	loop->pace.ticking = true;
	loop->pace.silent = 0;
	loop->pace.last = loop->now - loop->pace.interval; // as if there had been no silence
	loop->pace.next = loop->now;                       // the first piece after it goes at once
}

int loop_init(struct loop *loop, uint64_t pace_max_ns)
{
	memset(loop, 0, sizeof(*loop));
	loop->pollfd = loop->pace.fd = loop->mailbox.wake_fd = -1;
	loop->now = sys_now();
	loop->pace_max_ns = pace_max_ns;
	timer_wheel_init(&loop->timers, loop->now);
	CDS_INIT_LIST_HEAD(&loop->tasks);
	CDS_INIT_LIST_HEAD(&loop->pace.again);
	int r = mailbox_init(&loop->mailbox);
	if (r < 0)
		return r;
	r = loop->pollfd = sys_poll_create();
	if (r >= 0)
		r = loop->pace.fd = sys_poll_create();
	if (r >= 0)
		r = loop_watch_level(loop, &loop->mail_watch, loop->mailbox.wake_fd, mail_arrived);
	if (r >= 0) {
		loop->pace.nested = (struct watch){.ready = paced_arrived, .fd = loop->pace.fd};
		r = sys_poll_add(loop->pollfd, loop->pace.fd, EPOLLIN | EPOLLONESHOT,
				 &loop->pace.nested);
	}
	if (r < 0)
		loop_release(loop);
	return r < 0 ? r : 0;
}

static void run_deferred(struct loop *loop)
{
	while (loop->deferred) {
		struct deferred *deferred = loop->deferred;
		loop->deferred = deferred->next;
		deferred->release(loop, deferred);
	}
}

void loop_release(struct loop *loop)
{
	run_deferred(loop);
	if (loop->pace.fd >= 0)
		sys_close(loop->pace.fd);
	if (loop->pollfd >= 0)
		sys_close(loop->pollfd);
	loop->pace.fd = loop->pollfd = -1;
	mailbox_release(&loop->mailbox);
}

int loop_watch(struct loop *loop, struct watch *watch, int fd, enum loop_set set, watch_fn *ready)
{
	watch->ready = ready;
	watch->fd = fd;
	watch->set = loop->pace_max_ns ? set : LOOP_PROMPT;
	int r = sys_poll_add(pollfd_of(loop, watch), fd, WATCHED, watch);
	if (r < 0)
		watch->fd = -1;
	else if (watch->set == LOOP_PACED)
		loop->pace.members++;
	return r;
}

static int watch_only(struct loop *loop, struct watch *watch, int fd, uint32_t events,
		      watch_fn *ready)
{
	watch->ready = ready;
	watch->fd = fd;
	watch->set = LOOP_PROMPT;
	int r = sys_poll_add(loop->pollfd, fd, events, watch);
	if (r < 0)
		watch->fd = -1;
	return r;
}

int loop_watch_input(struct loop *loop, struct watch *watch, int fd, watch_fn *ready)
{
	return watch_only(loop, watch, fd, EPOLLIN | EPOLLET, ready);
}

int loop_watch_level(struct loop *loop, struct watch *watch, int fd, watch_fn *ready)
{
	return watch_only(loop, watch, fd, EPOLLIN, ready);
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	sys_poll_del(pollfd_of(loop, watch), watch->fd);
	loop_forget(loop, watch);
}

void loop_forget(struct loop *loop, struct watch *watch)
{
	if (watch->fd >= 0 && watch->set == LOOP_PACED)
		loop->pace.members--;
	watch->fd = -1;
}

// Passes go on, though nothing has arrived: a stream joins the set, or wants to be looked at again.
static void pace_begin(struct loop *loop)
{
	struct loop_pace *pace = &loop->pace;

	if (pace->ticking)
		return;
	pace->ticking = true;
	pace->silent = 0;
	pace->interval = PACE_MIN_NS;
	pace->last = loop->now;
	pace->next = loop->now + pace->interval;
}

int loop_move(struct loop *loop, struct watch *watch, enum loop_set set)
{
	if (watch->fd < 0 || watch->set == set || (set == LOOP_PACED && !loop->pace_max_ns))
		return 0;
	int to = set == LOOP_PACED ? loop->pace.fd : loop->pollfd;
	int r = sys_poll_add(to, watch->fd, WATCHED, watch);
	if (r < 0)
		return r;
	sys_poll_del(pollfd_of(loop, watch), watch->fd);
	watch->set = (uint8_t)set;
	if (set == LOOP_PROMPT) {
		loop->pace.members--;
		return 0;
	}
	loop->pace.members++;
	pace_begin(loop);
	return 0;
}

void task_init(struct task *task, task_fn *run)
{
	task->node.next = task->node.prev = NULL;
	task->run = run;
}

void loop_task_set(struct loop *loop, struct task *task)
{
	if (!task->node.next)
		cds_list_add_tail(&task->node, &loop->tasks);
}

void loop_task_set_paced(struct loop *loop, struct task *task)
{
	if (task->node.next)
		return;
	cds_list_add_tail(&task->node, &loop->pace.again);
	pace_begin(loop); // the caller may be a timer, in a time of silence
}

void loop_task_cancel(struct task *task)
{
	if (!task->node.next)
		return;
	cds_list_del(&task->node);
	task->node.next = task->node.prev = NULL;
}

static void run_tasks(struct loop *loop, struct cds_list_head *list)
{
	struct cds_list_head now;

	if (cds_list_empty(list))
		return;
	CDS_INIT_LIST_HEAD(&now);
	cds_list_splice(list, &now);
	CDS_INIT_LIST_HEAD(list);
	while (!cds_list_empty(&now)) {
		struct task *task = cds_list_first_entry(&now, struct task, node);
		loop_task_cancel(task);
		task->run(loop, task);
	}
}

void loop_pace_gathered(struct loop *loop, uint64_t bytes, bool more)
{
	loop->pace.brought += bytes;
	loop->pace.open |= more;
	if (bytes > loop->pace.gathered)
		loop->pace.gathered = bytes;
}

void loop_defer(struct loop *loop, struct deferred *deferred,
		void (*release)(struct loop *, struct deferred *))
{
	deferred->release = release;
	deferred->next = loop->deferred;
	loop->deferred = deferred;
}

static void dispatch(struct loop *loop, struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct watch *watch = events[i].data.ptr;
		if (watch->fd >= 0)
			watch->ready(loop, watch, events[i].events);
	}
}

// The next interval follows the rate of the fastest stream: as long as it brings GATHER bytes. Taken
// from the time that really went by, since on a busy machine a pass comes late and finds more.
static void pace_steer(struct loop *loop)
{
	struct loop_pace *pace = &loop->pace;
	uint64_t elapsed = loop->now - pace->last, longest = 2 * pace->interval;

	pace->last = loop->now;
	if (pace->open)
		pace->silent = 0;
	else
		pace->silent = pace->brought ? SILENT_PASSES : pace->silent + 1;
	if (longest < PACE_MIN_NS)
		longest = PACE_MIN_NS;
	if (longest > loop->pace_max_ns)
		longest = loop->pace_max_ns;
	pace->interval = longest;
	if (pace->gathered)
		pace->interval = elapsed * GATHER / pace->gathered;
	if (pace->interval > longest)
		pace->interval = longest;
	if (pace->interval < PACE_MIN_NS / 2)
		pace->interval = 0;
}

static void paced_pass(struct loop *loop)
{
	struct loop_pace *pace = &loop->pace;
	struct epoll_event events[EVENTS];
	struct cds_list_head again;
	int n;

	CDS_INIT_LIST_HEAD(&again);
	pace->gathered = pace->brought = 0;
	pace->open = false;
	loop->passes++;
	// Events first: who is served by one cancels its task, and is not looked at twice.
	cds_list_splice(&pace->again, &again);
	CDS_INIT_LIST_HEAD(&pace->again);
	do {
		n = sys_poll_wait(pace->fd, events, EVENTS, 0);
		dispatch(loop, events, n);
	} while (n == EVENTS);
	run_tasks(loop, &again);
	pace_steer(loop);
	if (pace->silent >= SILENT_PASSES && cds_list_empty(&pace->again)) {
		// Silence: the set's own readiness wakes us. Re-adding reports what arrived since.
		pace->ticking = false;
		sys_poll_mod(loop->pollfd, pace->fd, EPOLLIN | EPOLLONESHOT, &pace->nested);
		return;
	}
	// Measured from the pass's start, so that a long pass is not followed by a whole nap on
	// top.
	pace->next = loop->now + pace->interval;
}

static void deliver_mail(struct loop *loop)
{
	struct cds_wfcq_node *node;

	while ((node = __cds_wfcq_dequeue_nonblocking(&loop->mailbox.head, &loop->mailbox.tail)) !=
	       NULL) {
		if (node == CDS_WFCQ_WOULDBLOCK)
			continue;
		struct mail *mail = caa_container_of(node, struct mail, node);
		race_take(mail);
		mail->deliver(loop, mail);
	}
}

static uint64_t wait_budget(struct loop *loop, uint64_t max_wait_ns)
{
	uint64_t now = loop->now, next = timer_wheel_next(&loop->timers);

	if (!cds_list_empty(&loop->tasks))
		return 0;
	if (loop->pace.ticking && loop->pace.next < next) {
		next = loop->pace.next;
		now = sys_now(); // a pass may have taken as long as the interval itself
	}
	if (next == UINT64_MAX)
		return max_wait_ns;
	uint64_t wait = next > now ? next - now : 0;
	return wait < max_wait_ns ? wait : max_wait_ns;
}

static int wait_prompt(struct loop *loop, struct epoll_event *events, uint64_t max_wait_ns)
{
	uint64_t wait = wait_budget(loop, max_wait_ns);

	if (wait) {
		__atomic_store_n(&loop->mailbox.asleep_atomic, 1, __ATOMIC_SEQ_CST);
		if (!cds_wfcq_empty(&loop->mailbox.head, &loop->mailbox.tail))
			wait = 0;
	}
	if (loop->before_wait)
		loop->before_wait(loop);
	int n = sys_poll_wait(loop->pollfd, events, EVENTS, wait);
	if (loop->after_wait)
		loop->after_wait(loop);
	__atomic_store_n(&loop->mailbox.asleep_atomic, 0, __ATOMIC_SEQ_CST);
	loop->now = sys_now();
	if (n > 0)
		loop->wakeups++;
	return n;
}

void loop_turn(struct loop *loop, uint64_t max_wait_ns)
{
	struct epoll_event events[EVENTS];
	int n = wait_prompt(loop, events, max_wait_ns);

	loop->turns++;
	dispatch(loop, events, n);
	if (loop->pace.ticking && loop->now >= loop->pace.next)
		paced_pass(loop);
	deliver_mail(loop);
	timer_wheel_run(&loop->timers, loop, loop->now);
	run_tasks(loop, &loop->tasks);
	run_deferred(loop);
}

void loop_run(struct loop *loop)
{
	while (!__atomic_load_n(&loop->stop_atomic, __ATOMIC_ACQUIRE))
		loop_turn(loop, UINT64_MAX);
}

void loop_stop_any(struct loop *loop)
{
	__atomic_store_n(&loop->stop_atomic, true, __ATOMIC_RELEASE);
	sys_wake_any(loop->mailbox.wake_fd);
}
