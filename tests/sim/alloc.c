// SPDX-License-Identifier: Apache-2.0
// Every allocation of the program goes through here (the linker's --wrap): a table of what is live.
#include "alloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim_internal.h"

enum { SLOTS = 1 << 17 };

struct slot {
	void *memory;
	void *by; // the caller
	size_t size;
};

static struct slot slots[SLOTS];
static size_t live;
static uint32_t rate;
static uint64_t failed;
static bool on;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **ret_memory, size_t align, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t len);
void __real_free(void *memory);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **ret_memory, size_t align, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
void __wrap_free(void *memory);

static size_t place_of(const void *memory)
{
	return ((uintptr_t)memory >> 4) * 0x9e3779b97f4a7c15u >> 32 & (SLOTS - 1);
}

void alloc_begin(void)
{
	memset(slots, 0, sizeof(slots));
	live = 0;
	failed = 0;
	rate = 0;
	on = true;
}

void alloc_fail_rate(uint32_t per_million)
{
	rate = per_million;
}

uint64_t alloc_failed(void)
{
	return failed;
}

size_t alloc_live(FILE *out)
{
	for (size_t i = 0; out && i < SLOTS; i++)
		if (slots[i].memory)
			fprintf(out, "  %zu bytes, allocated at %p\n", slots[i].size, slots[i].by);
	return live;
}

static void *add(void *memory, size_t size, void *by)
{
	if (!on || !memory)
		return memory;
	if (live > SLOTS / 2)
		abort(); // a leak of its own kind
	size_t at = place_of(memory);
	while (slots[at].memory)
		at = (at + 1) & (SLOTS - 1);
	slots[at] = (struct slot){memory, by, size};
	live++;
	return memory;
}

static void take_out(void *memory)
{
	size_t at = place_of(memory);

	if (!on || !memory)
		return;
	while (slots[at].memory != memory) {
		if (!slots[at].memory)
			return; // from before, or from a library
		at = (at + 1) & (SLOTS - 1);
	}
	live--;
	slots[at].memory = NULL;
	// Those behind it move up when they would no longer be found.
	for (size_t next = (at + 1) & (SLOTS - 1); slots[next].memory;
	     next = (next + 1) & (SLOTS - 1)) {
		size_t home = place_of(slots[next].memory);
		if (((next - home) & (SLOTS - 1)) < ((next - at) & (SLOTS - 1)))
			continue;
		slots[at] = slots[next];
		slots[next].memory = NULL;
		at = next;
	}
}

static bool fails(void)
{
	if (!rate || !sim_chance(rate))
		return false;
	failed++;
	errno = ENOMEM;
	sim_trace("  an allocation fails");
	return true;
}

#define CALLER __builtin_return_address(0)

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : add(__real_malloc(size), size, CALLER);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : add(__real_calloc(count, size), count * size, CALLER);
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (fails())
		return NULL;
	take_out(memory);
	void *moved = __real_realloc(memory, size);
	return moved ? add(moved, size, CALLER) : NULL;
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : add(__real_aligned_alloc(align, size), size, CALLER);
}

int __wrap_posix_memalign(void **ret_memory, size_t align, size_t size)
{
	if (fails())
		return ENOMEM;
	int r = __real_posix_memalign(ret_memory, align, size);
	if (r == 0)
		add(*ret_memory, size, CALLER);
	return r;
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : add(__real_strdup(s), strlen(s) + 1, CALLER);
}

char *__wrap_strndup(const char *s, size_t len)
{
	return fails() ? NULL : add(__real_strndup(s, len), len, CALLER);
}

void __wrap_free(void *memory)
{
	take_out(memory);
	__real_free(memory);
}
