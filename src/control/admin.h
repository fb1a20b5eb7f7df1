// SPDX-License-Identifier: Apache-2.0
// The admin listener: health, metrics, live connections, and the few commands (doc/admin.md).
#pragma once

struct control;

// Listens where the snapshot in force says; nothing when it is off. A failure is logged; -errno.
int admin_start(struct control *control);
void admin_stop(struct control *control);
