// SPDX-License-Identifier: Apache-2.0
// Least privilege: gives up root and capabilities, and the system calls that nobody here needs.
#pragma once

struct snap;

// Before the first thread is made: no privileges can be gained any more, and capabilities are dropped
// that a process without root was given beyond CAP_NET_BIND_SERVICE. A negative errno.
int sandbox_prepare(void);

// After everything that needs root is open, before the workers' threads start (they inherit it; the
// threads that run already are taken along). A process that is not root keeps its user. Warns of files
// that the new user cannot read or write. Failures are logged; a negative errno.
int sandbox_enter(const struct snap *snap);
