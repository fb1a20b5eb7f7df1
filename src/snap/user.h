// SPDX-License-Identifier: Apache-2.0
// Users of the snapshot: name, password hash, groups, limits.
#pragma once

#include <stdint.h>

#include "snap/settings.h"

enum snap_hash_kind {
	SNAP_HASH_KEYED, // in memory only: a fast keyed hash of a password given on the command
			 // line
	SNAP_HASH_YESCRYPT,
	SNAP_HASH_BCRYPT,
	SNAP_HASH_SHA512CRYPT,
	SNAP_HASH_ARGON2ID,
};

#define SNAP_USER_NAME_MAX 255 // bytes; what SOCKS5 (RFC 1929) can carry

struct snap_user {
	uint64_t id;               // of (scope, name): the same in every snapshot that has the user
	uint64_t credential_id;    // changes when the stored hash changes; for caches of successes
	const char *name;          // NUL-terminated, printable, no ':' nor blank
	const char *hash;          // NUL-terminated crypt(3), argon2 or hash_keyed_password text
	uint64_t scope;            // 0, or the id of the one listener that the user belongs to
	const uint64_t *groups;    // bitset of group indices, snap->group_words words
	struct snap_limits limits; // what holds: the user's own, else limits.per_user
	uint32_t index;            // in snap->users
	uint16_t name_len;
	uint8_t hash_kind; // enum snap_hash_kind
};
