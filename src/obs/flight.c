// SPDX-License-Identifier: Apache-2.0
// The ring of events and the table of abnormal closes.
#include "obs/flight.h"

#include <stdlib.h>
#include <string.h>

enum { FLIGHT_EVENTS_MIN = 1024, FLIGHT_READ_TRIES = 4 };

// One abnormal close, guarded by a version that is odd while it is written. As in the ring, each word
// is stored with release and loaded with acquire.
struct flight_entry {
	uint64_t version;
	uint64_t words[sizeof(struct flight_closed) / sizeof(uint64_t)];
};
_Static_assert(sizeof(struct flight_closed) % sizeof(uint64_t) == 0, "copied by words");

struct flight_closes {
	uint64_t count; // written by the worker; the next one goes to count % FLIGHT_CLOSES
	struct flight_entry entries[FLIGHT_CLOSES];
};

struct flight *flight_new(size_t events)
{
	size_t size = FLIGHT_EVENTS_MIN;

	// Indices in links have 32 bits, and must not come round within a ring.
	while (size < events && size < (size_t)1 << 30)
		size *= 2;
	struct flight *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->mask = size - 1;
	f->slots = calloc(size, sizeof *f->slots);
	f->closes = calloc(1, sizeof *f->closes);
	if (!f->slots || !f->closes) {
		flight_free(f);
		return NULL;
	}
	return f;
}

void flight_touch(struct flight *f)
{
	const size_t page = 4096 / sizeof *f->slots;

	for (size_t i = 0; i <= f->mask; i += page)
		__atomic_store_n(&f->slots[i].time, 0, __ATOMIC_RELAXED);
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	free(f->slots);
	free(f->closes);
	free(f);
}

static void slot_load(const struct flight *f, uint64_t index, struct flight_slot *ret)
{
	const struct flight_slot *slot = &f->slots[index & f->mask];

	ret->time = __atomic_load_n(&slot->time, __ATOMIC_ACQUIRE);
	ret->link = __atomic_load_n(&slot->link, __ATOMIC_ACQUIRE);
	ret->what = __atomic_load_n(&slot->what, __ATOMIC_ACQUIRE);
}

static uint64_t head_load(const struct flight *f)
{
	return __atomic_load_n(&f->head, __ATOMIC_ACQUIRE);
}

// Whether the event with this index is whole: not overwritten, nor being overwritten, when its words
// were loaded (before this call).
static bool slot_whole(const struct flight *f, uint64_t index)
{
	return head_load(f) - index <= f->mask;
}

static struct flight_event slot_event(const struct flight_slot *slot)
{
	return (struct flight_event){.time = slot->time,
				     .code = (uint16_t)slot->what,
				     .a = (uint16_t)(slot->what >> 16),
				     .b = (uint32_t)(slot->what >> 32)};
}

// From the event `index` back along its session's links. Gives the events oldest first.
static size_t chain_read(const struct flight *f, uint32_t session, uint64_t index,
			 struct flight_event *ret, size_t max)
{
	size_t n = 0;

	while (n < max) {
		struct flight_slot slot;
		slot_load(f, index, &slot);
		if (!slot_whole(f, index) || (uint32_t)slot.link != session)
			break;
		ret[n++] = slot_event(&slot);
		// A first event's link is its own index, or one at which another session wrote.
		uint32_t back = (uint32_t)index - (uint32_t)(slot.link >> 32);
		if (back == 0 || back > f->mask || back > index)
			break;
		index -= back;
	}
	for (size_t i = 0; i < n / 2; i++) {
		struct flight_event swap = ret[i];
		ret[i] = ret[n - 1 - i];
		ret[n - 1 - i] = swap;
	}
	return n;
}

size_t flight_read(const struct flight *f, uint64_t session, struct flight_event *ret, size_t max)
{
	uint64_t head = head_load(f);

	for (uint64_t index = head; index > 0 && head - index < f->mask; index--) {
		struct flight_slot slot;
		slot_load(f, index - 1, &slot);
		if ((uint32_t)slot.link != (uint32_t)session)
			continue;
		if (!slot_whole(f, index - 1))
			return 0;
		return chain_read(f, (uint32_t)session, index - 1, ret, max);
	}
	return 0;
}

void flight_close(struct flight *f, const struct flight_tag *tag,
		  const struct flight_summary *summary)
{
	uint64_t count = f->closes->count;
	struct flight_entry *entry = &f->closes->entries[count % FLIGHT_CLOSES];
	uint64_t words[sizeof entry->words / sizeof entry->words[0]];
	struct flight_closed closed = {.summary = *summary};

	// Indices have 32 bits in the tag: the full one is the last that ends in them.
	uint32_t back = (uint32_t)f->head - tag->last;
	if (back > 0 && back <= f->mask && back <= f->head)
		closed.summary.events = (uint32_t)chain_read(f, tag->session, f->head - back,
							     closed.events, FLIGHT_CLOSE_EVENTS);
	else
		closed.summary.events = 0;
	closed.summary.user[sizeof closed.summary.user - 1] = '\0';
	closed.summary.host[sizeof closed.summary.host - 1] = '\0';
	memcpy(words, &closed, sizeof closed);
	__atomic_store_n(&entry->version, entry->version + 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		__atomic_store_n(&entry->words[i], words[i], __ATOMIC_RELEASE);
	__atomic_store_n(&entry->version, entry->version + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&f->closes->count, count + 1, __ATOMIC_RELEASE);
}

static bool entry_read(const struct flight_entry *entry, struct flight_closed *ret)
{
	uint64_t words[sizeof entry->words / sizeof entry->words[0]];

	for (int try = 0; try < FLIGHT_READ_TRIES; try++) {
		uint64_t version = __atomic_load_n(&entry->version, __ATOMIC_ACQUIRE);
		if (version & 1)
			continue;
		for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
			words[i] = __atomic_load_n(&entry->words[i], __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&entry->version, __ATOMIC_ACQUIRE) == version) {
			memcpy(ret, words, sizeof words);
			return true;
		}
	}
	return false;
}

size_t flight_closes_read(const struct flight *f, struct flight_closed *ret, size_t max)
{
	uint64_t count = flight_closes_count(f);
	size_t n = 0;

	for (uint64_t i = 0; i < FLIGHT_CLOSES && i < count && n < max; i++) {
		if (entry_read(&f->closes->entries[(count - 1 - i) % FLIGHT_CLOSES], &ret[n]))
			n++;
	}
	return n;
}

uint64_t flight_closes_count(const struct flight *f)
{
	return __atomic_load_n(&f->closes->count, __ATOMIC_ACQUIRE);
}
