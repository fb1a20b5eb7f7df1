// SPDX-License-Identifier: Apache-2.0
// A set of addresses made from CIDR blocks: sorted, merged ranges, looked up by binary search.
#include "snap/addrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t load64(const uint8_t *p)
{
	return (uint64_t)load32(p) << 32 | load32(p + 4);
}

// a <= b
static bool ordered(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] != b[0] ? a[0] < b[0] : a[1] <= b[1];
}

static bool match4(const struct snap_addrs *set, uint32_t ip)
{
	uint32_t low = 0, high = set->v4_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (set->v4[mid].last < ip)
			low = mid + 1;
		else
			high = mid;
	}
	return low < set->v4_count && set->v4[low].first <= ip;
}

static bool match6(const struct snap_addrs *set, const uint64_t ip[2])
{
	uint32_t low = 0, high = set->v6_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (!ordered(ip, set->v6[mid].last))
			low = mid + 1;
		else
			high = mid;
	}
	return low < set->v6_count && ordered(set->v6[low].first, ip);
}

bool snap_addrs_match(const struct snap_addrs *set, const struct endpoint *address)
{
	if (address->family == AF_INET)
		return match4(set, load32(address->ip));
	if (address->family == AF_INET6)
		return match6(set, (uint64_t[2]){load64(address->ip), load64(address->ip + 8)});
	return false;
}

static struct snap_range4 range4(const struct cidr *block)
{
	uint32_t first = load32(block->ip);
	uint32_t hosts =
		block->prefix ? (uint32_t)((UINT64_C(1) << (32 - block->prefix)) - 1) : UINT32_MAX;

	return (struct snap_range4){first, first | hosts};
}

// The bits of one half that are host bits, when `prefix` bits of it are fixed.
static uint64_t host_bits(int prefix)
{
	if (prefix <= 0)
		return UINT64_MAX;
	return prefix >= 64 ? 0 : UINT64_MAX >> prefix;
}

static struct snap_range6 range6(const struct cidr *block)
{
	uint64_t high = load64(block->ip), low = load64(block->ip + 8);

	return (struct snap_range6){
		{high, low},
		{high | host_bits(block->prefix), low | host_bits(block->prefix - 64)}};
}

static int compare4(const void *pa, const void *pb)
{
	const struct snap_range4 *a = pa, *b = pb;

	return (a->first > b->first) - (a->first < b->first);
}

static int compare6(const void *pa, const void *pb)
{
	const struct snap_range6 *a = pa, *b = pb;

	if (a->first[0] != b->first[0])
		return a->first[0] < b->first[0] ? -1 : 1;
	return (a->first[1] > b->first[1]) - (a->first[1] < b->first[1]);
}

// Ranges come sorted by `first`; those that overlap become one. Blocks either nest or are apart, so
// touching neighbours may stay two.
static uint32_t merge4(struct snap_range4 *r, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (n && r[i].first <= r[n - 1].last) {
			if (r[i].last > r[n - 1].last)
				r[n - 1].last = r[i].last;
		} else {
			r[n++] = r[i];
		}
	}
	return n;
}

static uint32_t merge6(struct snap_range6 *r, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (n && ordered(r[i].first, r[n - 1].last)) {
			if (!ordered(r[i].last, r[n - 1].last))
				memcpy(r[n - 1].last, r[i].last, sizeof(r[i].last));
		} else {
			r[n++] = r[i];
		}
	}
	return n;
}

int snap_addrs_build(const struct cidr *blocks, size_t count, struct arena *arena,
		     struct snap_addrs *ret_set)
{
	struct snap_range4 *v4;
	struct snap_range6 *v6;
	uint32_t n4 = 0, n6 = 0;

	for (size_t i = 0; i < count; i++)
		*(blocks[i].family == AF_INET ? &n4 : &n6) += 1;
	v4 = arena_array(arena, n4, sizeof(*v4));
	v6 = arena_array(arena, n6, sizeof(*v6));
	if (!v4 || !v6)
		return -ENOMEM;
	n4 = n6 = 0;
	for (size_t i = 0; i < count; i++) {
		if (blocks[i].family == AF_INET)
			v4[n4++] = range4(&blocks[i]);
		else
			v6[n6++] = range6(&blocks[i]);
	}
	qsort(v4, n4, sizeof(*v4), compare4);
	qsort(v6, n6, sizeof(*v6), compare6);
	*ret_set = (struct snap_addrs){v4, v6, merge4(v4, n4), merge6(v6, n6)};
	return 0;
}
