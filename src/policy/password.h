// SPDX-License-Identifier: Apache-2.0
// Password hashes: making and checking them. Slow on purpose: for helper threads, never for a loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "snap/user.h"

// The most bytes of a password (what SOCKS5 can carry, RFC 1929). bcrypt takes PASSWORD_BCRYPT_MAX.
#define PASSWORD_MAX 255
#define PASSWORD_BCRYPT_MAX 72

// Room for any hash text and a NUL.
#define PASSWORD_HASH_TEXT 384

// All functions: any thread. They allocate (32 KiB for crypt(3), what the hash says for yescrypt
// and argon2id) and wipe every copy of a secret that they make. The caller wipes its own.

// The kind of a hash text: yescrypt ($y$), bcrypt ($2a$ $2b$ $2y$), SHA-512 crypt ($6$), argon2id,
// or keyed (hash_keyed_password). -EINVAL: something else (weaker kinds are not accepted), or
// damaged.
int password_kind(const char *hash);

// 0: the password is the one. -EACCES: it is not; also when it is over-long or contains a NUL byte.
// -EINVAL: not a hash as password_kind knows it. -ENOMEM. The comparison takes constant time.
int password_verify(const char *hash, const char *password, size_t len);

// What to call for a user that does not exist: takes as long as password_verify(hash_of_other, ...)
// and returns -EACCES, or -ENOMEM. Take the hash of another user, the same one each time for the
// same name (say by hash_bytes(name) modulo their number), so that the time tells nothing.
int password_verify_unknown(const char *hash_of_other, const char *password, size_t len);

// Whether password_verify takes long enough to want a helper thread.
bool password_is_slow(const char *hash);

// Makes a hash with a fresh salt at a cost of some 0.1 s. 0; -E2BIG: too long; -EINVAL: empty, has
// a NUL byte, or the kind is not one that can be made (keyed); -ENOMEM; -ENOSYS: the system's
// library lacks it.
int password_hash(enum snap_hash_kind kind, const char *password, size_t len,
		  char ret_text[PASSWORD_HASH_TEXT]);
