// SPDX-License-Identifier: Apache-2.0
// Reloads when the configuration file changes, where the configuration asks for it.
#pragma once

struct control;

// Begins or ends watching as the snapshot in force says. A failure is logged.
void watch_update(struct control *control);
void watch_release(struct control *control);
