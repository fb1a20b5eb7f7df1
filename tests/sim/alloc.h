// SPDX-License-Identifier: Apache-2.0
// The proxy's memory in schedules: counted, and refused now and then.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// From here on allocations are remembered; those from before are nobody's business.
void alloc_begin(void);
// So many of a million allocations on the proxy's side fail.
void alloc_fail_rate(uint32_t per_million);
// How often it failed since alloc_begin.
uint64_t alloc_failed(void);
// What was allocated since alloc_begin and not freed: the count, and where if `out` is not NULL.
size_t alloc_live(FILE *out);
