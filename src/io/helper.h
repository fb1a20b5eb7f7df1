// SPDX-License-Identifier: Apache-2.0
// Helper threads for what would stop a loop: password hashing, later GSS-API and disk.
#pragma once

#include <stddef.h>
#include <urcu/list.h>

#include "io/mailbox.h"

struct helper;
struct helper_job;
struct loop;

// On a helper thread, without any of the owner's state: a job carries copies of all that it needs.
// It may block and allocate. Not called when the job was cancelled before its turn came.
typedef void helper_run_fn(struct helper_job *job);

// On the owner's loop, exactly once for each job that was accepted, cancelled or not. The job belongs
// to the callee again, which frees it (or what it is part of).
typedef void helper_done_fn(struct loop *loop, struct helper_job *job);

enum helper_outcome {
	HELPER_RAN,
	HELPER_SKIPPED, // cancelled, or the helper ended, before it ran
};

// Usually the first member of a larger structure. Between a successful helper_submit and done() it
// belongs to the helper, and must neither be freed nor moved: an owner that dies before clears its own
// pointer in the job (which run() never reads), calls helper_cancel, and lets done() free it.
struct helper_job {
	helper_run_fn *run;
	helper_done_fn *done;
	struct mailbox *reply_to; // outlives the job

	// Set before done().
	enum helper_outcome outcome;

	// The helper's own.
	struct mail mail;
	struct cds_list_head node_shared; // linked while it waits
	struct helper *helper;
};

// threads: 0 runs each job inside helper_submit, and done() still comes by mail (for simulation).
// queue_limit: most jobs that wait, > 0. 0, -EINVAL, -ENOMEM, or -EAGAIN when no thread could be
// started (if some could, it goes on with those). Threads block all signals.
int helper_new(unsigned threads, size_t queue_limit, struct helper **ret_helper);

// Lets running jobs end, skips the waiting ones, mails both to their owners, and joins the threads.
// Blocks. The mailboxes must still exist, and be emptied after it (done() runs there). Jobs
// submitted while it runs are refused, and none may be after it. NULL is fine.
void helper_free(struct helper *h);

// Any thread. run, done and reply_to are set by the caller, the rest here. 0; -EAGAIN when queue_limit
// jobs wait already: the caller refuses its client (HTTP 503, SOCKS general failure) rather than wait.
// The job is still the caller's then. First come, first served.
int helper_submit(struct helper *h, struct helper_job *job);

// Owner's thread, between helper_submit and done(): a job that waits gives up its place at once and
// will not run. done() comes all the same, by mail, never from in here.
void helper_cancel(struct helper_job *job);

struct helper_stats {
	unsigned threads;
	size_t waiting;
	size_t running;
	unsigned long long accepted;
	unsigned long long refused; // -EAGAIN
	unsigned long long skipped;
};
// Any thread.
void helper_stats(struct helper *h, struct helper_stats *ret_stats);
