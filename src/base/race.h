// SPDX-License-Identifier: Apache-2.0
// Tells the thread sanitizer of orderings that it cannot see, because liburcu makes them.
//
// liburcu's queues and its pointer publication order memory with inline assembly, and its library is
// not instrumented. Where an object goes from one thread to another by such a way, the giver calls
// race_give before and the taker race_take after. Both cost nothing in ordinary builds.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define RACE_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACE_CHECKED 1
#endif
#endif

#ifdef RACE_CHECKED
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

// What this thread wrote so far is visible to whoever calls race_take with the same address later.
// Any thread.
static inline void race_give(const void *address)
{
#ifdef RACE_CHECKED
	__tsan_release((void *)address);
#endif
}

// Any thread.
static inline void race_take(const void *address)
{
#ifdef RACE_CHECKED
	__tsan_acquire((void *)address);
#endif
}
