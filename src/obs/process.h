// SPDX-License-Identifier: Apache-2.0
// What the kernel says about this process: memory, descriptors, CPU time.
#pragma once

#include <stdint.h>

struct process_stats {
	uint64_t resident;       // bytes
	uint64_t virtual_memory; // bytes
	uint64_t open_fds;
	uint64_t max_fds;
	uint64_t threads;
	uint64_t cpu_ns; // user and system
};

// Reads /proc/self; what cannot be read is 0. Opens files, so for the admin thread, not for a loop.
void process_stats_read(struct process_stats *ret);
