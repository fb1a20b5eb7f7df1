// SPDX-License-Identifier: Apache-2.0
// Is a text a password hash that can be checked here, and of which kind? Pure; any thread.
#pragma once

#include <stddef.h>

#include "snap/user.h"

// The kind in *ret_kind and NULL, or what is wrong with it (a static text for an error message that
// never quotes the hash). Costs that would stall the helper thread are refused: bcrypt above 16,
// argon2id above 1 GiB or 64 passes, sha512crypt above 10,000,000 rounds.
const char *hash_text_check(const char *text, size_t len, enum snap_hash_kind *ret_kind);
