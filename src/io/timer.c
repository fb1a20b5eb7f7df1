// SPDX-License-Identifier: Apache-2.0
// The timing wheel: level L has 64 slots of 64^L ticks each; far timers move down as time comes
// near.
#include "io/timer.h"

#include <stddef.h>

enum { TICK_NS = 1000000, LEVEL_BITS = 6, SLOT_MASK = TIMER_SLOTS - 1 };

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now)
{
	wheel->tick = now / TICK_NS;
	wheel->count = 0;
	for (int level = 0; level < TIMER_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (int slot = 0; slot < TIMER_SLOTS; slot++)
			CDS_INIT_LIST_HEAD(&wheel->slot[level][slot]);
	}
}

void timer_init(struct timer *timer, timer_fn *fire)
{
	timer->node.next = timer->node.prev = NULL;
	timer->tick = 0;
	timer->fire = fire;
}

bool timer_is_set(const struct timer *timer)
{
	return timer->node.next != NULL;
}

static void place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t delta = timer->tick - wheel->tick;
	int level = delta < TIMER_SLOTS ? 0 : (63 - __builtin_clzll(delta)) / LEVEL_BITS;

	if (level >= TIMER_LEVELS)
		level = TIMER_LEVELS - 1;
	int slot = (int)(timer->tick >> (LEVEL_BITS * level)) & SLOT_MASK;
	cds_list_add_tail(&timer->node, &wheel->slot[level][slot]);
	wheel->occupied[level] |= 1ULL << slot;
}

void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline)
{
	if (timer_is_set(timer))
		timer_wheel_cancel(wheel, timer);
	uint64_t tick = deadline / TICK_NS + 1;
	uint64_t horizon = wheel->tick + (1ULL << (LEVEL_BITS * TIMER_LEVELS)) - 1;

	if (deadline == UINT64_MAX || tick > horizon)
		tick = horizon; // two years: fires then, and the owner sets it again
	timer->tick = tick > wheel->tick ? tick : wheel->tick + 1;
	place(wheel, timer);
	wheel->count++;
}

void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	if (!timer_is_set(timer))
		return;
	// The slot's bit may stay up with an empty list: it is cleared when time comes by.
	cds_list_del(&timer->node);
	timer->node.next = timer->node.prev = NULL;
	wheel->count--;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel)
{
	uint64_t best = UINT64_MAX;

	if (wheel->count == 0)
		return UINT64_MAX;
	for (int level = 0; level < TIMER_LEVELS; level++) {
		uint64_t bits = wheel->occupied[level];
		if (!bits)
			continue;
		unsigned shift = LEVEL_BITS * (unsigned)level;
		uint64_t at = wheel->tick >> shift;
		unsigned here = (unsigned)at & SLOT_MASK;
		// Slots strictly after this one come first, then the wheel wraps around.
		unsigned turn = (here + 1) & SLOT_MASK;
		uint64_t rotated = turn ? (bits >> turn) | (bits << (TIMER_SLOTS - turn)) : bits;
		uint64_t tick = (at + 1 + (unsigned)__builtin_ctzll(rotated)) << shift;
		if (tick < best)
			best = tick;
	}
	return best == UINT64_MAX ? best : best * TICK_NS;
}

static void cascade(struct timer_wheel *wheel, int level)
{
	int slot = (int)(wheel->tick >> (LEVEL_BITS * level)) & SLOT_MASK;
	struct cds_list_head *head = &wheel->slot[level][slot];

	wheel->occupied[level] &= ~(1ULL << slot);
	struct cds_list_head moved;
	CDS_INIT_LIST_HEAD(&moved);
	cds_list_splice(head, &moved);
	CDS_INIT_LIST_HEAD(head);
	while (!cds_list_empty(&moved)) {
		struct timer *timer = cds_list_first_entry(&moved, struct timer, node);
		cds_list_del(&timer->node);
		place(wheel, timer);
	}
}

static void fire_slot(struct timer_wheel *wheel, struct loop *loop)
{
	int slot = (int)wheel->tick & SLOT_MASK;
	struct cds_list_head *head = &wheel->slot[0][slot];

	wheel->occupied[0] &= ~(1ULL << slot);
	while (!cds_list_empty(head)) {
		struct timer *timer = cds_list_first_entry(head, struct timer, node);
		cds_list_del(&timer->node);
		timer->node.next = timer->node.prev = NULL;
		wheel->count--;
		timer->fire(loop, timer);
	}
}

void timer_wheel_run(struct timer_wheel *wheel, struct loop *loop, uint64_t now)
{
	uint64_t target = now / TICK_NS;

	while (wheel->tick < target) {
		if (wheel->count == 0) {
			for (int level = 0; level < TIMER_LEVELS; level++)
				wheel->occupied[level] = 0;
			wheel->tick = target;
			return;
		}
		if (wheel->occupied[0] == 0) {
			// Nothing near: jump to the tick before the next boundary, or to the end.
			uint64_t last = wheel->tick | SLOT_MASK;
			wheel->tick = last < target ? last : target;
			if (wheel->tick == target)
				return;
		}
		wheel->tick++;
		for (int level = 1; level < TIMER_LEVELS; level++) {
			if (wheel->tick & ((1ULL << (LEVEL_BITS * level)) - 1))
				break;
			cascade(wheel, level);
		}
		fire_slot(wheel, loop);
	}
}
