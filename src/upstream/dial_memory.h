// SPDX-License-Identifier: Apache-2.0
// What a dialer remembers of late failures: places that are tried last for a while.
//
// A memory of fixed size that forgets: two places that share a slot displace each other, which costs
// a slow connect at worst. It only changes the order of attempts, never whether one is made.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct host;

#define DIAL_MEMORY_NS 10000000000ULL // how long a failure counts
#define DIAL_MEMORY_SLOTS 256

struct dial_memory {
	struct {
		uint64_t key;
		uint64_t until; // ns, monotonic
	} slots[DIAL_MEMORY_SLOTS];
	uint64_t last_until;    // from then on the memory is empty
	uint64_t no_ipv6_until; // a connect to a global IPv6 address had no route at all
};

void dial_memory_failed(struct dial_memory *memory, const struct endpoint *address, int error,
			uint64_t now);
void dial_memory_host_failed(struct dial_memory *memory, const struct host *host, uint64_t now);
void dial_memory_reached(struct dial_memory *memory, const struct endpoint *address,
			 const struct host *host, uint64_t now);

// Whether to try others first.
bool dial_memory_avoids(const struct dial_memory *memory, const struct endpoint *address,
			uint64_t now);
bool dial_memory_avoids_host(const struct dial_memory *memory, const struct host *host,
			     uint64_t now);
bool dial_memory_avoids_ipv6(const struct dial_memory *memory, uint64_t now);
