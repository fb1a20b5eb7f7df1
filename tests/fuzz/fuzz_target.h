// SPDX-License-Identifier: Apache-2.0
// The entry point that every fuzz target defines; libFuzzer or replay_main.c calls it.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Runs the code under test over `data`. Returns 0; a fault shows as a crash, an assertion or a
// sanitizer report. Keeps nothing between calls. `data` is not terminated and may be empty, but is
// never NULL.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// An assertion that no build switches off.
#define fuzz_require(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
