// SPDX-License-Identifier: Apache-2.0
// The buffer domain as back ends see it.
#pragma once

#include "io/packet/packet.h"

struct packet_kernel_scratch;

struct packet_domain {
	uint8_t *memory;
	struct packet_buffer *buffers; // `count` of them; buffer i owns the i-th place in memory
	struct packet_buffer *idle; // free list, the last one given back first: it is in the cache
	unsigned count, idle_count;
	unsigned armed; // idle ones that wait in `kernel` for the next burst
	// What the kernel back end's calls need; owned. The ports of a domain use it in turn.
	struct packet_kernel_scratch *kernel;
};

// Distance of two buffers' data. Not a multiple of a page: the starts of many packets would share a
// few cache sets.
#define PACKET_STRIDE (PACKET_HEADROOM + PACKET_DATA_MAX + 1 + 256 + 64)

struct packet_buffer *packet_buffer_take(struct packet_domain *domain);

static inline uint8_t *packet_buffer_data(const struct packet_buffer *buffer)
{
	const struct packet_domain *domain = buffer->domain;

	return domain->memory + (size_t)(buffer - domain->buffers) * PACKET_STRIDE +
	       PACKET_HEADROOM;
}

// Allocated with the domain, freed with it.
struct packet_kernel_scratch *packet_kernel_scratch_new(void);
void packet_kernel_scratch_free(struct packet_kernel_scratch *scratch);
