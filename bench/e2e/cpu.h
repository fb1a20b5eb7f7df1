// SPDX-License-Identifier: Apache-2.0
// What a process and its descendants cost: CPU time and user memory.
#pragma once

#include <stdint.h>
#include <sys/types.h>

// CPU nanoseconds of `root` and of all its descendants, ended threads and reaped children too.
// Live processes are read from their CPU clocks (the scheduler's own sum of run time, nanoseconds);
// children that were reaped are only known in clock ticks. 0 when there is no such process.
uint64_t cpu_tree_ns(pid_t root);

// User memory of the tree in bytes: the proportional set size, so that pages which processes share
// count once; the resident set where the former may not be read. 0 when there is no such process.
uint64_t memory_tree_bytes(pid_t root);
