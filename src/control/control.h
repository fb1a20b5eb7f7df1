// SPDX-License-Identifier: Apache-2.0
// The control thread: owns configuration, workers and everything that is one per process.
//
// It runs a loop of its own (signals, the watched file, the admin listener) and reaches the workers
// only through their mailbox. Everything here is the control thread's unless it says otherwise.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "config/config.h"
#include "front/front.h"
#include "io/loop.h"
#include "worker/worker.h"

struct admin;
struct helper;
struct metrics;
struct text;

// A listener that is open: one socket per worker.
struct control_listener {
	uint64_t id;
	struct endpoint address;
	struct endpoint bound; // with the port that the kernel chose for port 0
	char name[64];         // for the log when it is gone from the snapshot; may be cut
};

struct control {
	struct loop loop;
	struct config_source source; // where the configuration comes from, for reloads
	struct front_shared shared;
	struct snap *snap; // the one in force, as in shared
	struct worker *workers;
	unsigned worker_count;
	struct control_listener *listeners;
	unsigned listener_count;
	struct metrics *metrics; // cells of this thread
	struct admin *admin;
	struct watch signals;
	struct watch file_watch;
	struct timer watch_timer;
	struct timer drain_timer, settle_timer;
	uint64_t drain_until; // ns
	bool has_parts;       // loop, workers and what they share are made
	bool draining;
	bool reload_failed; // the last one
	int exit_code;
	int64_t started_wall;
	struct endpoint admin_bound; // where the admin API listens; unset: nowhere
};

// Exit codes of `sluice run`, as documented.
enum {
	EXIT_OK = 0,
	EXIT_CONFIG = 1, // the configuration has errors
	EXIT_USAGE = 2,  // the command line
	EXIT_START = 3,  // a socket, thread or privilege could not be had
	EXIT_DRAIN = 4,  // the drain time passed with sessions still open
};

// Loads, opens, starts; everything is logged. 0, or one of the exit codes.
int control_start(struct control *control, const struct config_source *source);
// Runs until the proxy has drained or was told to stop at once. Gives the exit code.
int control_run(struct control *control);
// Also after a control_start that failed.
void control_stop(struct control *control);

// Loads the configuration anew. 0, or -EINVAL with the reasons appended to `ret_why` (may be NULL); a
// failure changes nothing.
int control_reload(struct control *control, const char *cause, struct text *ret_why);
// Begins to drain: no new connections, and the end when the last session is over or the time is up.
// A second call ends at once.
void control_drain(struct control *control, const char *cause);
// Sessions of all workers. Any thread.
uint32_t control_live(const struct control *control);
