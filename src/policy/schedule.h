// SPDX-License-Identifier: Apache-2.0
// Is a rule's time window open now? Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct snap_window;

// At that time (unix seconds), on the wall clock of the window's zone. A window that passes
// midnight belongs to the day on which it opens: {days: [fri], from: 22:00, to: 06:00} is open on
// Saturday at 05:59. Where the clock jumps forward, minutes that do not exist are not open; where
// it jumps back, minutes that come twice are open twice.
bool schedule_open(const struct snap_window *window, int64_t wall_seconds);
