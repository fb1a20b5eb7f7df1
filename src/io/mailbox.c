// SPDX-License-Identifier: Apache-2.0
// Mail between threads.
#include "io/mailbox.h"

#include "base/race.h"
#include "io/sys.h"

int mailbox_init(struct mailbox *box)
{
	int fd = sys_wake_create();

	if (fd < 0)
		return fd;
	cds_wfcq_init(&box->head, &box->tail);
	box->wake_fd = fd;
	box->asleep_atomic = 0;
	return 0;
}

void mailbox_release(struct mailbox *box)
{
	if (box->wake_fd >= 0)
		sys_close(box->wake_fd);
	box->wake_fd = -1;
	cds_wfcq_destroy(&box->head, &box->tail);
}

void mailbox_post_any(struct mailbox *box, struct mail *mail)
{
	cds_wfcq_node_init(&mail->node);
	race_give(mail);
	cds_wfcq_enqueue(&box->head, &box->tail, &mail->node);
	// The enqueue is a full barrier: either the owner sees the mail before it sleeps, or we see
	// it asleep.
	if (__atomic_exchange_n(&box->asleep_atomic, 0, __ATOMIC_SEQ_CST))
		sys_wake_any(box->wake_fd);
}
