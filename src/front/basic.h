// SPDX-License-Identifier: Apache-2.0
// Basic credentials (RFC 7617).
#pragma once

#include <stddef.h>

#include "base/slice.h"

enum { BASIC_MAX = 512 };

// Holds a secret: wipe it.
struct basic {
	char text[BASIC_MAX];
	const char *user, *password; // into text
	size_t user_len, password_len;
};

// `credentials`: the field's value, "Basic dXNlcjpwYXNz". -EINVAL: another scheme, not Base64, no colon,
// or too long; `*ret_basic` then holds nothing.
int basic_parse(struct slice credentials, struct basic *ret_basic);
void basic_wipe(struct basic *basic);
