// SPDX-License-Identifier: Apache-2.0
// The event loop of one thread: readiness, timers, tasks, mail, and the paced set.
//
// Readiness is edge-triggered: a watch is told once that its descriptor became readable or writable
// and remembers it; whoever reads goes on until -EAGAIN (or, on a TCP socket, a short recv).
//
// There are two sets. The *prompt* set wakes the loop at once. The *paced* set holds descriptors of
// one-way streams: the loop looks at it only every few hundred microseconds (pace_max_ns at most),
// so that many small arrivals cost one wake-up. The interval follows what a pass gathers: when
// streams fill up their buffers the loop looks again at once, when they trickle it waits longer. A
// set that has been silent for a few passes wakes the loop like a prompt one, so the first piece
// after silence is never delayed.
//
// One turn: wait; prompt events; paced pass when due; mail; timers; tasks; then the deferred frees.
// Everything here belongs to the loop's thread except mailbox_post_any and loop_stop_any.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "io/mailbox.h"
#include "io/timer.h"

struct loop;
struct watch;

enum loop_set { LOOP_PROMPT, LOOP_PACED };

// events: EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP.
typedef void watch_fn(struct loop *loop, struct watch *watch, uint32_t events);

struct watch {
	watch_fn *ready;
	int fd;      // -1: not watched
	uint8_t set; // enum loop_set
};

// Something to do later in this turn or, when set from a task, in the next turn without a wait.
struct task;
typedef void task_fn(struct loop *loop, struct task *task);
struct task {
	struct cds_list_head node;
	task_fn *run;
};

// Memory that is given back at the end of the turn, when no event of it can name it any more.
struct deferred {
	struct deferred *next;
	void (*release)(struct loop *loop, struct deferred *deferred);
};

struct loop_pace {
	int fd;              // the epoll instance of the paced set
	struct watch nested; // it inside the prompt set
	bool ticking;        // passes are timed; otherwise the nested watch wakes us
	bool open;           // a stream that moved in this pass may bring more
	unsigned silent;     // passes in a row that gathered nothing
	unsigned members;
	uint64_t interval;          // ns between passes
	uint64_t last, next;        // times of the last pass and the next
	uint64_t gathered;          // most bytes that one stream brought in this pass
	uint64_t brought;           // bytes that all streams brought in this pass
	struct cds_list_head again; // tasks to run in the next pass, whatever epoll says
};

struct loop {
	int pollfd;
	bool stop_atomic;
	uint64_t now; // ns, monotonic: taken after each wait
	struct timer_wheel timers;
	struct mailbox mailbox;
	struct watch mail_watch;
	struct cds_list_head tasks;
	struct deferred *deferred;
	struct loop_pace pace;
	uint64_t pace_max_ns; // longest interval between paced passes; 0 turns pacing off
	void (*before_wait)(struct loop *loop); // e.g. RCU offline; may be NULL
	void (*after_wait)(struct loop *loop);
	uint64_t turns, wakeups, passes; // statistics
};

int loop_init(struct loop *loop, uint64_t pace_max_ns);
void loop_release(struct loop *loop);

// Watches fd for input, output and hang-up, edge-triggered. The watch must live until the end of
// the turn in which loop_unwatch is called. -ENOMEM, -ENOSPC.
int loop_watch(struct loop *loop, struct watch *watch, int fd, enum loop_set set, watch_fn *ready);
// The same for input alone, in the prompt set: for datagram sockets, which would be told that they take
// output again after each send.
int loop_watch_input(struct loop *loop, struct watch *watch, int fd, watch_fn *ready);
// The same with level-triggered input only: for listeners.
int loop_watch_level(struct loop *loop, struct watch *watch, int fd, watch_fn *ready);
// Stops; to be called before the descriptor is closed. No event for it is delivered afterwards.
void loop_unwatch(struct loop *loop, struct watch *watch);
// The same when the descriptor is closed right after: closing takes it out of the set (epoll(7), question
// 6), as long as nobody has a duplicate of it.
void loop_forget(struct loop *loop, struct watch *watch);
// Moves a watch to the other set. Readiness at that moment is reported again.
int loop_move(struct loop *loop, struct watch *watch, enum loop_set set);

static inline void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t deadline)
{
	timer_wheel_set(&loop->timers, timer, deadline);
}
static inline void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	timer_wheel_cancel(&loop->timers, timer);
}

void task_init(struct task *task, task_fn *run);
// Runs once this turn (or next, from inside a task). Setting a set task is a no-op.
void loop_task_set(struct loop *loop, struct task *task);
// Runs in the next paced pass.
void loop_task_set_paced(struct loop *loop, struct task *task);
void loop_task_cancel(struct task *task);

// What a paced stream brought in one move, in bytes: steers the interval. `more`: it may bring more at
// any time; false: its reader takes no more, and will be heard of when it does. When all that moved wait
// so, the set is silent at once.
void loop_pace_gathered(struct loop *loop, uint64_t bytes, bool more);

void loop_defer(struct loop *loop, struct deferred *deferred,
		void (*release)(struct loop *, struct deferred *));

// One turn; waits at most max_wait_ns.
void loop_turn(struct loop *loop, uint64_t max_wait_ns);
// Turns until loop_stop_any.
void loop_run(struct loop *loop);
void loop_stop_any(struct loop *loop);
