// SPDX-License-Identifier: Apache-2.0
// Least privilege: gives up root and capabilities, and the system calls that nobody here needs.
#pragma once

struct snap;

// After everything that needs root is open, before the workers' threads start (they inherit it; the
// threads that run already are taken along). A
// process that is not root keeps its user. Failures are logged; a negative errno.
int sandbox_enter(const struct snap *snap);
