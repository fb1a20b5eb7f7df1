// SPDX-License-Identifier: Apache-2.0
// Escaping any bytes into any room: terminated, bounded, printable, and a JSON string that parses.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/strescape.h"
#include "check.h"
#include "fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 100000)
		return 0;
	size_t cap = data[0];
	char *out = malloc(cap ? cap : 1); // exact, so that the sanitizer sees a byte too many
	char *quoted = malloc(cap + 3);
	CHECK(out && quoted);
	data++;
	size--;
	size_t n = strescape_text(out, cap, data, size);
	CHECK(cap ? n < cap && out[n] == 0 : n == 0);
	for (size_t i = 0; i < n; i++)
		CHECK(out[i] >= 0x20 && out[i] < 0x7f);
	n = strescape_json(out, cap, data, size);
	CHECK(cap ? n < cap && out[n] == 0 : n == 0);
	if (cap) {
		quoted[0] = '"';
		memcpy(quoted + 1, out, n);
		quoted[n + 1] = '"';
		json_t *parsed = json_loadb(quoted, n + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		CHECK(parsed && json_is_string(parsed));
		json_decref(parsed);
	}
	free(out);
	free(quoted);
	return 0;
}
