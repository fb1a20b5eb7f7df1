// SPDX-License-Identifier: Apache-2.0
// A set of domain names and domain suffixes with look-up in constant time.
#include "snap/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/host.h"

// What an entry matches.
#define NAME_ITSELF 1u
#define NAME_BELOW 2u

struct snap_names_entry {
	uint32_t offset;
	uint8_t len;
	uint8_t kind;
};

struct snap_names_slot {
	uint32_t tag; // upper half of the hash: most misses end here, without touching the text
	uint32_t offset;
	uint8_t len; // 0 = empty slot
	uint8_t kind;
};

static unsigned find_kind(const struct snap_names *names, const char *name, size_t len)
{
	uint64_t h = hash_bytes(name, len);
	uint32_t tag = (uint32_t)(h >> 32);

	for (uint32_t i = (uint32_t)h & names->mask;; i = (i + 1) & names->mask) {
		const struct snap_names_slot *slot = &names->slots[i];

		if (!slot->len)
			return 0;
		if (slot->tag == tag && slot->len == len &&
		    memcmp(names->text + slot->offset, name, len) == 0)
			return slot->kind;
	}
}

bool snap_names_match(const struct snap_names *names, const char *host, size_t len)
{
	unsigned wanted = NAME_ITSELF;

	if (!names->count)
		return false;
	while (len) {
		const char *dot;

		if (len <= names->longest && (find_kind(names, host, len) & wanted))
			return true;
		dot = memchr(host, '.', len);
		if (!dot)
			return false;
		len -= (size_t)(dot + 1 - host);
		host = dot + 1;
		wanted = NAME_BELOW;
	}
	return false;
}

void snap_names_builder_init(struct snap_names_builder *b)
{
	*b = (struct snap_names_builder){0};
}

void snap_names_builder_release(struct snap_names_builder *b)
{
	free(b->text);
	free(b->entries);
	snap_names_builder_init(b);
}

static int grow(void **items, size_t *size, size_t need, size_t item)
{
	size_t want = *size ? *size : 64;
	void *p;

	if (need <= *size)
		return 0;
	while (want < need)
		want *= 2;
	p = realloc(*items, want * item);
	if (!p)
		return -ENOMEM;
	*items = p;
	*size = want;
	return 0;
}

int snap_names_builder_add(struct snap_names_builder *b, const char *entry, size_t len)
{
	uint8_t kind = NAME_ITSELF;
	char name[HOST_NAME_MAX_LEN + 1];
	int n;

	if (len > 2 && entry[0] == '*' && entry[1] == '.') {
		kind = NAME_BELOW;
		entry += 2;
		len -= 2;
	} else if (len > 1 && entry[0] == '.') {
		kind = NAME_ITSELF | NAME_BELOW;
		entry++;
		len--;
	}
	n = host_normalise_name(entry, len, name);
	if (n < 0)
		return n;
	if (b->count >= SNAP_NAMES_MAX)
		return -E2BIG;
	if (grow((void **)&b->text, &b->text_size, b->text_len + (size_t)n, 1) < 0 ||
	    grow((void **)&b->entries, &b->size, b->count + 1, sizeof(*b->entries)) < 0)
		return -ENOMEM;
	memcpy(b->text + b->text_len, name, (size_t)n);
	b->entries[b->count++] = (struct snap_names_entry){(uint32_t)b->text_len, (uint8_t)n, kind};
	b->text_len += (size_t)n;
	return 0;
}

static void table_put(struct snap_names *names, struct snap_names_slot *slots,
		      const struct snap_names_entry *e)
{
	const char *name = names->text + e->offset;
	uint64_t h = hash_bytes(name, e->len);
	uint32_t i = (uint32_t)h & names->mask;

	for (; slots[i].len; i = (i + 1) & names->mask) {
		if (slots[i].len == e->len &&
		    memcmp(names->text + slots[i].offset, name, e->len) == 0) {
			slots[i].kind |= e->kind;
			return;
		}
	}
	slots[i] = (struct snap_names_slot){(uint32_t)(h >> 32), e->offset, e->len, e->kind};
	names->count++;
	if (e->len > names->longest)
		names->longest = e->len;
}

int snap_names_builder_build(struct snap_names_builder *b, struct arena *arena,
			     struct snap_names *ret_names)
{
	struct snap_names names = {0};
	struct snap_names_slot *slots;
	uint32_t size = 4;

	while (size < b->count * 2)
		size *= 2;
	slots = arena_array(arena, size, sizeof(*slots));
	names.text = arena_text(arena, b->text, b->text_len);
	if (!slots || !names.text)
		return -ENOMEM;
	names.slots = slots;
	names.mask = size - 1;
	for (size_t i = 0; i < b->count; i++)
		table_put(&names, slots, &b->entries[i]);
	*ret_names = names;
	return 0;
}
