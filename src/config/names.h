// SPDX-License-Identifier: Apache-2.0
// What names of things may look like, for the configuration and for users files. Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// NULL when it is a user name, else what was expected: "a user name of ..." (a static text).
const char *config_user_name_check(const char *name, size_t len);

// UTF-8 without control characters.
bool config_text_is_printable(const char *text, size_t len);

// Of listeners, routes, parents, rules and groups: 1 to 64 letters, digits, '.', '_' and '-'.
bool config_name_is_valid(const char *name, size_t len);
