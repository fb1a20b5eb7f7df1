// SPDX-License-Identifier: Apache-2.0
// A set of addresses made from CIDR blocks: sorted, merged ranges, looked up by binary search.
//
// Built once by the loader, read-only afterwards: look-ups are free for any thread. IPv4 and IPv6
// are kept apart (`::/0` holds no IPv4 address); an IPv4-mapped IPv6 address counts as IPv4.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct arena;

struct snap_range4 {
	uint32_t first, last; // host order, inclusive
};

struct snap_range6 {
	uint64_t first[2], last[2]; // host order, high half first, inclusive
};

struct snap_addrs {
	const struct snap_range4 *v4;
	const struct snap_range6 *v6;
	uint32_t v4_count, v6_count;
};

// Is the endpoint's address in the set? The port does not matter. Any thread.
bool snap_addrs_match(const struct snap_addrs *set, const struct endpoint *address);

// Makes a set from `count` blocks. -ENOMEM.
int snap_addrs_build(const struct cidr *blocks, size_t count, struct arena *arena,
		     struct snap_addrs *ret_set);
