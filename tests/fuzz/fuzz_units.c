// SPDX-License-Identifier: Apache-2.0
// Durations, sizes and rates from any text: an error or a value, which formats and parses back.
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "check.h"
#include "fuzz_target.h"

typedef int parse_fn(const char *s, size_t len, uint64_t *ret);
typedef char *format_fn(uint64_t value, char *ret_text);

static void try(parse_fn *parse, format_fn *format, const char *text, size_t len)
{
	char back[UNITS_TEXT];
	uint64_t value = 77, again;
	int r = parse(text, len, &value);
	CHECK(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r) {
		CHECK(value == 77);
		return;
	}
	CHECK(format(value, back) == back && strlen(back) < UNITS_TEXT);
	CHECK(parse(back, strlen(back), &again) == 0 && again == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(units_parse_duration, units_format_duration, (const char *)data, size);
	try(units_parse_size, units_format_size, (const char *)data, size);
	try(units_parse_rate, units_format_rate, (const char *)data, size);
	return 0;
}
