// SPDX-License-Identifier: Apache-2.0
// The log as the configuration says.
#pragma once

struct snap;

// Opens the outputs and sets the levels. A failure is written to standard error. 0 or a negative errno.
int logs_start(const struct snap *snap);
// After a reload. A failure is logged, and the outputs stay.
void logs_update(const struct snap *snap);
