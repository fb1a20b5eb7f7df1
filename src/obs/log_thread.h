// SPDX-License-Identifier: Apache-2.0
// What the logger keeps for each thread, shared by the logging threads and the writer; internal to
// obs/log*.
#pragma once

#include "obs/log.h"
#include "obs/log_ring.h"

// Made at a thread's first line, freed by the writer once the thread is gone and its ring is empty.
struct log_thread {
	_Atomic(struct log_thread *) next; // the list; changed under its lock
	_Atomic(bool) gone;
	_Atomic(bool) has_ring; // ring is usable
	struct log_ring ring;
	// Counts, written by the thread only.
	struct log_stats stats;
};

// The list of threads. The writer walks it without the lock, and is the only one to remove.
struct log_thread *log_thread_first(void);
// Frees the threads that are gone and have nothing left in their rings. Writer only.
void log_thread_sweep(void);

// The writer: how lines get there and whether they should. log.c asks, log_writer.c answers.
extern _Atomic(bool) log_queued_atomic;                       // lines go to the rings
extern _Atomic(uint8_t) log_formats_atomic[LOG_OUTPUT_COUNT]; // enum log_format
extern _Atomic(bool) log_access_atomic;                       // there is an access log
extern _Atomic(uint64_t) log_write_errors_atomic;
// Wakes the writer if it sleeps. Any thread; one load when it is awake.
void log_writer_wake(void);

// Gives the lines of call sites whose suppressed messages nobody has reported yet. Writer only.
void log_sites_report(void);

// One complete line on its way: to the sink, the ring or standard error. Any thread.
void log_emit(enum log_output output, enum log_level level, const char *line, size_t len);
// The clocks, or the test's.
void log_clock_read(int64_t *ret_wall, uint64_t *ret_now);
