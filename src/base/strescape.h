// SPDX-License-Identifier: Apache-2.0
// Makes bytes that a peer wrote safe for a log line or a JSON string, in bounded space.
#pragma once

#include <stddef.h>

// Both write at most cap - 1 bytes and a NUL (nothing when cap is 0), return the number of bytes
// before the NUL, and never cut inside an escape. What does not fit is left out, and the output
// then ends in "..." (as far as cap allows). Neither adds the surrounding quotes. Pure; any thread.

// For text logs: printable ASCII stays; `"` and `\` get a backslash; newline, return and tab become
// \n \r \t; every other byte \xNN. The output is printable ASCII, so a peer can neither start a
// line nor reach the terminal. Reversible.
size_t strescape_text(char *ret_out, size_t cap, const void *bytes, size_t len);

// For the inside of a JSON string (RFC 8259 section 7): valid UTF-8 stays, except controls (C0,
// DEL, C1), line separators and invisible or direction-changing characters, which become \uNNNN;
// each byte that is not valid UTF-8 becomes \ufffd.
size_t strescape_json(char *ret_out, size_t cap, const void *bytes, size_t len);
