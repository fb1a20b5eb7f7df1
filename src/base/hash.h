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

// A keyed cryptographic hash (BLAKE2b-256 under a key drawn at random once in the process) of
// several pieces, each with its length, so that no two lists of pieces are mixed up. For what must
// not be guessed from the result, as passwords in a cache. The same within one process only. Any
// thread.
#define HASH_MAC_BYTES 32
struct hash_piece {
	const void *data;
	size_t len;
};
void hash_mac(const struct hash_piece *pieces, size_t count, uint8_t ret_mac[HASH_MAC_BYTES]);

// A password as text "$keyed$<hex>" by hash_mac: fast, and of use only in this process's memory
// (for a password that came by the command line in the clear). Any thread.
#define HASH_KEYED_TEXT (7 + 2 * HASH_MAC_BYTES + 1)
void hash_keyed_password(const void *password, size_t len, char ret_text[HASH_KEYED_TEXT]);

// True when both are equal; time depends on len alone. Any thread.
bool hash_secret_equal(const void *a, const void *b, size_t len);
