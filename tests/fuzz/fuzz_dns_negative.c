// SPDX-License-Identifier: Apache-2.0
// Negative DNS answers: the TTL is in its range, and a cut message never gives another one.
#include "fuzz_target.h"

#include <errno.h>

#include "check.h"
#include "proto/dns/dns_negative.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t ttl = dns_negative_ttl(data, size);

	CHECK(ttl == -EBADMSG || ttl == -ENODATA || (ttl >= 0 && ttl <= INT32_MAX));
	for (size_t cut = size > 64 ? size - 64 : 0; cut < size; cut++) {
		int64_t part = dns_negative_ttl(data, cut);
		CHECK(part == ttl || part == -EBADMSG);
	}
	return 0;
}
