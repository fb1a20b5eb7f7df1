// SPDX-License-Identifier: Apache-2.0
// Durations, sizes and rates as people write them: parse and format.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Parsing. The text is s[0..len), no spaces except one between number and unit. A number may have a
// decimal part ("1.5h"). Each returns 0, -EINVAL (not of the form), or -ERANGE (too large), and
// writes the result only on 0. The fraction of a nanosecond or byte is cut off. Pure; any thread.

// "250ms", "1h30m", "1.5s", "0": ns, us (or µs), ms, s, m, h, d; parts in falling order of unit,
// each once. A bare number other than 0 is -EINVAL: the unit must be there.
int units_parse_duration(const char *s, size_t len, uint64_t *ret_ns);

// "4096", "64KiB", "1.5MB": none or B; k (or K), M, G, T each with B (1000) or iB (1024); a bare
// letter ("64k") counts 1024 as in most tools.
int units_parse_size(const char *s, size_t len, uint64_t *ret_bytes);

// "100Mbit/s", "1.5Gbps", "10MB/s", "512KiB/s", "0" (no limit): to bytes per second, at least 1
// unless the number is 0. bit/s or bps count 1000 a step; B/s and iB/s as for sizes. Case matters
// only for b (bit) and B (byte).
int units_parse_rate(const char *s, size_t len, uint64_t *ret_Bps);

// What each form looks like, for an error message ("expected ...").
#define UNITS_DURATION_FORM "a duration such as 500ms, 10s, 1h30m or 0"
#define UNITS_SIZE_FORM "a size such as 4096, 64KiB or 1.5MB"
#define UNITS_RATE_FORM "a rate such as 100Mbit/s, 10MB/s, 512KiB/s, or 0 for no limit"

// Formatting: exact, in the largest unit that needs no fraction ("90s" is "1m30s", 65536 "64KiB");
// what was formatted parses to the same value. ret_text is always NUL-terminated. Returns ret_text.
#define UNITS_TEXT 48
char *units_format_duration(uint64_t ns, char ret_text[UNITS_TEXT]);
char *units_format_size(uint64_t bytes, char ret_text[UNITS_TEXT]);
char *units_format_rate(uint64_t Bps, char ret_text[UNITS_TEXT]);
