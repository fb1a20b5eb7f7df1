// SPDX-License-Identifier: Apache-2.0
// Signals as events of the control loop: TERM and INT drain, HUP reloads, USR1 reopens logs.
#pragma once

struct control;

// Blocks them for this thread and those it starts. -errno of signalfd(2).
int signals_init(struct control *control);
void signals_release(struct control *control);
