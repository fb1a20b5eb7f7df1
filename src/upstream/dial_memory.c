// SPDX-License-Identifier: Apache-2.0
// A direct-mapped table of places that failed.
#include "upstream/dial_memory.h"

#include <errno.h>

#include "base/hash.h"
#include "base/host.h"

static uint64_t address_key(const struct endpoint *address)
{
	return hash_bytes(address, sizeof(*address));
}

static uint64_t host_key(const struct host *host)
{
	if (host->kind == HOST_ADDRESS)
		return address_key(&host->address);
	return hash_bytes(host->name, host->name_len) + host->port;
}

static void mark(struct dial_memory *memory, uint64_t key, uint64_t now)
{
	unsigned slot = key % DIAL_MEMORY_SLOTS;

	memory->slots[slot].key = key;
	memory->slots[slot].until = memory->last_until = now + DIAL_MEMORY_NS;
}

static bool is_marked(const struct dial_memory *memory, uint64_t key, uint64_t now)
{
	unsigned slot = key % DIAL_MEMORY_SLOTS;

	return memory->slots[slot].key == key && now < memory->slots[slot].until;
}

static void clear(struct dial_memory *memory, uint64_t key)
{
	unsigned slot = key % DIAL_MEMORY_SLOTS;

	if (memory->slots[slot].key == key)
		memory->slots[slot].until = 0;
}

// Failures that say something about the place, or about the way there.
static bool is_about_place(int error)
{
	switch (-error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case ENOSPC:
		return false;
	default:
		return true;
	}
}

void dial_memory_failed(struct dial_memory *memory, const struct endpoint *address, int error,
			uint64_t now)
{
	if (!is_about_place(error))
		return;
	mark(memory, address_key(address), now);
	// RFC 6724, rule 1: on a host without IPv6 no such destination is of use.
	bool no_way = error == -ENETUNREACH || error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
	if (address->family == AF_INET6 && no_way &&
	    !(endpoint_classify(address) & (ENDPOINT_LOOPBACK | ENDPOINT_LINK_LOCAL)))
		memory->no_ipv6_until = now + DIAL_MEMORY_NS;
}

void dial_memory_host_failed(struct dial_memory *memory, const struct host *host, uint64_t now)
{
	mark(memory, host_key(host), now);
}

void dial_memory_reached(struct dial_memory *memory, const struct endpoint *address,
			 const struct host *host, uint64_t now)
{
	if (now >= memory->last_until)
		return;
	clear(memory, address_key(address));
	clear(memory, host_key(host));
	if (address->family == AF_INET6)
		memory->no_ipv6_until = 0;
}

bool dial_memory_avoids(const struct dial_memory *memory, const struct endpoint *address,
			uint64_t now)
{
	if (now >= memory->last_until)
		return false;
	return is_marked(memory, address_key(address), now) ||
	       (address->family == AF_INET6 && now < memory->no_ipv6_until);
}

bool dial_memory_avoids_host(const struct dial_memory *memory, const struct host *host,
			     uint64_t now)
{
	return now < memory->last_until && is_marked(memory, host_key(host), now);
}

bool dial_memory_avoids_ipv6(const struct dial_memory *memory, uint64_t now)
{
	return now < memory->no_ipv6_until;
}
