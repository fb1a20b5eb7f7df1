// SPDX-License-Identifier: Apache-2.0
// Decodes UTF-8 one character at a time, strictly.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The code point at p (of `left` bytes, at least 1) and its length, by the table of RFC 3629 section 4;
// 0 when no valid character begins there: a stray or missing continuation, an overlong form, a
// surrogate, above U+10FFFF. Pure; any thread.
size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *ret_code);
