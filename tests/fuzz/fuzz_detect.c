// SPDX-License-Identifier: Apache-2.0
// Recognition: one byte of accepted protocols, then the client's bytes. An answer never changes when
// more bytes come, is never one that is not accepted, and what is missing is at least one byte.
#include "fuzz_target.h"

#include "check.h"
#include "proto/detect/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum protocol protocol, whole;
	unsigned accept;
	size_t missing;

	if (size == 0)
		return 0;
	accept = data[0];
	data++;
	size--;
	missing = detect(data, size, accept, &whole);
	if (missing == 0)
		CHECK(whole == PROTOCOL_RAW || (accept & PROTOCOL_BIT(whole)));
	// All short prefixes, and some long ones.
	for (size_t n = 0; n < size; n += n < 64 ? 1 : 1 + n / 8) {
		size_t before = detect(data, n, accept, &protocol);

		if (before > 0) {
			// What was recognised took as many bytes as were said to be missing.
			CHECK(missing > 0 || whole == PROTOCOL_RAW || size - n >= before);
			continue;
		}
		CHECK(missing == 0);
		CHECK(protocol == whole);
	}
	return 0;
}
