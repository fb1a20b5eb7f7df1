// SPDX-License-Identifier: Apache-2.0
// Keyed hashing for tables whose keys peers choose, and comparison of secrets in constant time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// XXH3 under a secret drawn at random once in the process, so that peers cannot prepare collisions.
// The same input gives the same value within one process only. Not a MAC: never show it to a peer,
// never use it to authenticate. Any thread.
uint64_t hash_bytes(const void *data, size_t len);

// As hash_bytes, over the 8 bytes of one number.
uint64_t hash_u64(uint64_t value);

// Replaces the random secret by one made from a seed, so that a simulation replays. Call before any
// other thread runs and before any table holds a hash.
void hash_seed(uint64_t seed);

// True when both are equal; time depends on len alone. Any thread.
bool hash_secret_equal(const void *a, const void *b, size_t len);
