// SPDX-License-Identifier: Apache-2.0
// Schedules: what happens in the world of a seed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Runs the schedule of a seed; whatever must not be ends in sim_fail. Returns the trace's hash.
uint64_t schedule_run(uint64_t seed, bool trace);
// The metrics of all schedules so far, as the admin page would show them: what they came by.
void schedule_print_metrics(void);
