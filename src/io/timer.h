// SPDX-License-Identifier: Apache-2.0
// Timers of one loop: a hierarchical timing wheel with ticks of one millisecond.
//
// Setting, moving and cancelling cost O(1) and no memory. A timer never fires early, and at most
// one tick late plus what the loop turn takes. One thread: the loop's.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

struct loop;
struct timer;
typedef void timer_fn(struct loop *loop, struct timer *timer);

// Embedded in its owner; 32 bytes. Zeroed or timer_init()ed is "not set".
struct timer {
	struct cds_list_head node;
	uint64_t tick;
	timer_fn *fire;
};

enum { TIMER_LEVELS = 6, TIMER_SLOTS = 64 };

struct timer_wheel {
	uint64_t tick; // all timers up to this tick have fired
	uint64_t occupied[TIMER_LEVELS];
	struct cds_list_head slot[TIMER_LEVELS][TIMER_SLOTS];
	unsigned count;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now);
void timer_init(struct timer *timer, timer_fn *fire);
bool timer_is_set(const struct timer *timer);
// Sets or moves the timer to `deadline` (ns, monotonic). A deadline in the past fires in the next
// run.
void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline);
void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer);
// The time (ns) at which timer_wheel_run has something to do: exact or earlier; UINT64_MAX if none.
uint64_t timer_wheel_next(const struct timer_wheel *wheel);
// Fires what is due at `now`. A callback may set and cancel any timer, also its own.
void timer_wheel_run(struct timer_wheel *wheel, struct loop *loop, uint64_t now);
