// SPDX-License-Identifier: Apache-2.0
// The admin listener: health, metrics, live connections, and the few commands (doc/admin.md).
//
// A small HTTP/1.1 server on the control thread's loop. It trusts whoever reaches it, so it listens on
// loopback unless the operator says otherwise, changes things only by POST, and answers no request whose
// Host or Origin is not its own (a web page in a browser of this machine cannot use it).
#pragma once

#include <stdbool.h>

#include "base/addr.h"

struct control;
struct snap;
struct text;

// A socket opened for a snapshot that is not in force yet.
struct admin_plan {
	bool keep;             // the address stays
	int fd;                // -1: none
	struct endpoint asked; // as the configuration says; unset: off
	struct endpoint bound; // with the port that the kernel chose for port 0
};

// Listens where the snapshot in force says; nothing when it is off. A failure is logged; -errno.
int admin_start(struct control *control);
void admin_stop(struct control *control);

// A reload in two steps. Opens where the snapshot says, unless that is where it listens, and writes the
// real port into snap->admin.address, which the guard of the admin address compares with destinations.
// 0, or a negative errno with the reason appended to `why`; nothing is open then.
int admin_open(struct control *control, struct snap *snap, struct text *why,
	       struct admin_plan *ret_plan);
// Before the snapshot is published: listens there and no longer at the old address. Connections live on
// when the address changes, and end (after the answer under way) when it is switched off.
void admin_commit(struct control *control, const struct admin_plan *plan);
// Closes what was opened.
void admin_abandon(struct admin_plan *plan);
