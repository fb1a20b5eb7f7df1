// SPDX-License-Identifier: Apache-2.0
// The admin listener: health, metrics, live connections, and the few commands (doc/admin.md).
//
// A small HTTP/1.1 server on the control thread's loop. It trusts whoever reaches it, so it listens on
// loopback unless the operator says otherwise, changes things only by POST, and answers no request whose
// Host or Origin is not its own (a web page in a browser of this machine cannot use it).
#pragma once

struct control;

// Listens where the snapshot in force says; nothing when it is off. A failure is logged; -errno.
int admin_start(struct control *control);
void admin_stop(struct control *control);
