// SPDX-License-Identifier: Apache-2.0
// Mail to a loop from any thread: a wait-free queue and one wake-up.
#pragma once

#include <urcu/wfcqueue.h>

struct loop;
struct mail;
// Runs on the receiving loop's thread. The mail belongs to the receiver from here on.
typedef void mail_fn(struct loop *loop, struct mail *mail);

struct mail {
	struct cds_wfcq_node node;
	mail_fn *deliver;
};

struct mailbox {
	struct cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	int wake_fd;
	int asleep_atomic; // the owner is, or is about to be, blocked: a sender must wake it
};

int mailbox_init(struct mailbox *box);
void mailbox_release(struct mailbox *box);
// Any thread. Order from one sender is kept. Never fails, never blocks.
void mailbox_post_any(struct mailbox *box, struct mail *mail);
