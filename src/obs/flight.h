// SPDX-License-Identifier: Apache-2.0
// The flight recorder: the last events of each session of a worker, in a ring of bounded size.
#pragma once

#include "base/addr.h"
#include "obs/close_reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

enum flight_code {
#define EVENT(name, text, a_kind, a_key, b_kind, b_key, help) EVENT_##name,
#include "obs/events.def"
#undef EVENT
	EVENT_COUNT
};

// Each event is 24 bytes in one ring per worker, linked to its session's event before it. The worker
// writes; any thread may read: every word is atomic, and what was overwritten during a read is
// recognised and left out.
struct flight_slot {
	uint64_t time; // monotonic ns
	uint64_t link; // session (low 32 bits) | index of the session's previous event << 32
	uint64_t what; // code | a << 16 | b << 32
};

struct flight_closes;

struct flight {
	uint64_t head; // index of the next event; written by the worker
	uint64_t mask;
	struct flight_slot *slots;
	struct flight_closes *closes;
};

// A session's part, in the session.
struct flight_tag {
	uint32_t
		session; // low 32 bits of the session's id, unlike those of other live sessions of the worker
	uint32_t last; // index of its last event
};

enum {
	FLIGHT_EVENTS_DEFAULT = 1 << 15, // 768 KiB
	FLIGHT_CLOSES = 64,              // abnormal closes kept per worker
	FLIGHT_CLOSE_EVENTS = 32,        // the newest events kept of each
};

// `events` is rounded up to a power of two, at least 1024. The memory is touched as it is used.
// NULL: no memory.
struct flight *flight_new(size_t events);
// Makes the kernel give the ring's memory now, near the calling thread's core: the worker, before its first
// event.
void flight_touch(struct flight *f);
// No reader may be left.
void flight_free(struct flight *f);

static inline void flight_tag_init(struct flight_tag *tag, const struct flight *f, uint64_t session)
{
	tag->session = (uint32_t)session;
	tag->last = (uint32_t)f->head;
}

// Arguments cut to their width.
static inline uint16_t flight_a(uint64_t v)
{
	return v > UINT16_MAX ? UINT16_MAX : (uint16_t)v;
}

static inline uint32_t flight_b(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

// Records one event. Only the worker. No branch, four stores; errnos are given positive.
// Every store releases: a reader that sees any word of this event also sees that `head` had come
// here, and so knows the event that lay in the slot before as lost.
static inline void flight_event(struct flight *f, struct flight_tag *tag, uint64_t now,
				enum flight_code code, uint16_t a, uint32_t b)
{
	uint64_t index = f->head;
	struct flight_slot *slot = &f->slots[index & f->mask];
	uint64_t link = tag->session | (uint64_t)tag->last << 32;

	__atomic_store_n(&slot->time, now, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->link, link, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->what, (uint64_t)code | (uint64_t)a << 16 | (uint64_t)b << 32,
			 __ATOMIC_RELEASE);
	tag->last = (uint32_t)index;
	__atomic_store_n(&f->head, index + 1, __ATOMIC_RELEASE);
}

// What is kept of a session that ended abnormally. All of it is copied; strings are cut to their room
// and end in NUL.
struct flight_summary {
	uint64_t session;
	uint64_t opened; // monotonic ns
	uint64_t closed;
	uint64_t bytes_up;
	uint64_t bytes_down;
	struct endpoint client;
	struct endpoint address; // connected; unset if none was
	uint16_t port;
	uint8_t protocol; // enum metric_protocol
	uint8_t reason;   // enum close_reason
	uint32_t events;  // filled in by flight_close: how many events are kept
	char user[32];
	char host[96];
};

// Keeps the summary and the session's newest events, in place of the oldest such session's. The worker,
// for sessions with close_reason_abnormal(), after their last event.
void flight_close(struct flight *f, const struct flight_tag *tag,
		  const struct flight_summary *summary);

// ---- Reading. Any thread; the worker is not disturbed.

struct flight_event {
	uint64_t time;
	uint32_t b;
	uint16_t a;
	uint16_t code; // enum flight_code
};

struct flight_closed {
	struct flight_summary summary;
	struct flight_event events[FLIGHT_CLOSE_EVENTS]; // oldest first, summary.events of them
};

// The newest `max` events of a session that are still in the ring, oldest first. Returns their number.
// Looks through the whole ring when there are none.
size_t flight_read(const struct flight *f, uint64_t session, struct flight_event *ret, size_t max);

// Abnormal closes, newest first. Returns their number (at most `max`; FLIGHT_CLOSES is always enough).
size_t flight_closes_read(const struct flight *f, struct flight_closed *ret, size_t max);

// How many abnormal closes there were in all.
uint64_t flight_closes_count(const struct flight *f);

// ---- Showing.

struct flight_view {
	int64_t wall_offset;                       // unix ns minus monotonic ns, to show times
	const char *(*state_name)(unsigned state); // for EVENT_STATE; NULL: numbers
};

const char *flight_code_name(unsigned code);

// A JSON array of events: {"time": RFC 3339, "at_us": since the first one, "event": name, ...args}.
void flight_events_json(struct text *out, const struct flight_view *view,
			const struct flight_event *events, size_t count);
// A JSON object: the summary's fields and "events".
void flight_closed_json(struct text *out, const struct flight_view *view,
			const struct flight_closed *closed);
