// SPDX-License-Identifier: Apache-2.0
// The ends of a schedule: clients and servers that follow a plan and check every byte that they get.
//
// What an end says in a stream is its number, eight bytes, and then a pattern made from it: so whoever
// receives it knows whose bytes these are, and whether they are all there and in their place.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/sim.h"

struct end;

enum after {
	AFTER_FIN,   // half-close as soon as all is said
	AFTER_WAIT,  // half-close when the other end has ended, too
	AFTER_CLOSE, // close, whatever may still come
};

#define NEVER UINT64_MAX

// What one end does in a stream.
struct plan {
	uint64_t total;           // bytes to say, the number included
	uint32_t piece;           // at a time
	uint64_t gap;             // ns between pieces
	uint64_t pause_at, pause; // after so many bytes, ns
	uint64_t reset_at;        // after so many bytes it resets the connection; NEVER
	uint64_t urgent_at;       // before that byte it says an urgent one; NEVER
	uint32_t read_piece;      // reads so much at most
	uint64_t read_gap;        // ns between reads
	uint64_t stall_at, stall; // reads nothing for so long (NEVER: for ever) after so many bytes
	uint64_t life;            // ns: then it resets
	enum after after;
};

struct end_ops {
	// Bytes before the stream, in end->in: takes what it understands by end_take. It sets
	// end->streaming when what follows is the stream.
	void (*input)(struct end *end);
	// The connection stands (a client's own).
	void (*connected)(struct end *end);
	// The other side ended or failed before the stream.
	void (*ended)(struct end *end);
};

enum { END_IN = 16 * 1024 };

struct end {
	int fd; // -1: closed, or not yet open
	uint32_t number;
	const struct end_ops *ops;
	const char *name; // for the trace
	struct sim_event timer;
	struct plan plan;
	uint64_t born;
	// Before the stream.
	bool connecting, open;
	uint8_t *out; // to be said
	size_t out_len, out_off;
	uint32_t out_piece; // at a time, 0: all
	uint64_t out_gap, out_next;
	uint64_t out_said, out_stop; // of all of `out`, bytes; there it stops (NEVER: not)
	enum after out_after;        // how it ends there, or when all is said
	bool out_reset;              // or resets, there
	bool out_last;               // nothing follows what is in `out`
	bool paced_reading;          // the plan's pace of reading holds before the stream, too
	uint8_t in[END_IN];
	size_t in_len;
	uint64_t in_total; // all that was ever received
	// The stream.
	bool talking;   // says it, when `out` is said
	bool streaming; // gets it
	bool deaf;      // what comes does not matter any more
	uint64_t sent, got;
	uint64_t next_send, next_read; // ns
	bool paused;
	bool stalled;  // reads nothing at the moment
	uint32_t from; // number of the one it gets it from; 0: not known yet
	uint8_t from_bytes[8];
	// The end.
	bool said_end, got_end, was_reset, did_reset, did_close;
	int error;
	int send_error;    // a failed send has taken the error that reading would have told
	uint64_t ended_at; // ns; when all of it was over
	// Since when nothing has moved though it should have (world.c).
	uint64_t stuck_since, stuck_got;
	bool stuck_end;
};

enum { ENDS_MAX = 4096 };

// All ends of the schedule, by number from 1.
extern struct end *ends[ENDS_MAX];
extern uint32_t end_count;

void ends_begin(void);
void plan_draw(struct plan *plan, uint64_t size_max);

// `len` bytes of what a number says, from a place on.
void end_pattern(uint32_t number, uint64_t at, uint8_t *buf, size_t len);
// A new end over memory that begins with one.
void end_init(struct end *end, const char *name, const struct end_ops *ops);
// Connects from that address (its port may be 0).
void end_connect(struct end *end, const struct endpoint *from, const struct endpoint *to);
// Takes an accepted socket.
void end_accept(struct end *end, int fd);
// Something more to say before the stream.
void end_say(struct end *end, const void *data, size_t len);
void end_take(struct end *end, size_t len);
// Both directions are the stream from here on.
void end_stream(struct end *end);
// Ends without a stream: half-closes, waits for the other side's end.
void end_leave(struct end *end);
void end_close(struct end *end, bool reset);
void end_pump(struct end *end);

static inline bool end_over(const struct end *end)
{
	return end->fd < 0;
}
