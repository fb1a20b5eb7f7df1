// SPDX-License-Identifier: Apache-2.0
// Lets the nth memory allocation of the code under test fail (not those inside shared libraries).
#pragma once

#include <stdbool.h>

// From here on the nth allocation (1 is the next) of this thread fails, and only that one. 0: none.
// The usual test:
//	for (long n = 1, hit = 1; hit; n++) {
//		alloc_fail_at(n);
//		int r = ...;
//		hit = alloc_fail_hit();
//		alloc_fail_at(0);
//		... when hit: r is an error, nothing changed, nothing leaks
//	}
void alloc_fail_at(long n);

// Whether it failed already.
bool alloc_fail_hit(void);
