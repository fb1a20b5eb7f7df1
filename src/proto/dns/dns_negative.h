// SPDX-License-Identifier: Apache-2.0
// How long a negative DNS answer may be cached: the SOA record in its authority section.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The seconds that RFC 2308, 5 gives to the NXDOMAIN or NODATA reply in `message` (the lesser of the
// SOA's TTL and its MINIMUM field): 0..2^31-1. -ENODATA: there is no SOA; -EBADMSG: the message
// cannot be read. Pure; any thread.
int64_t dns_negative_ttl(const uint8_t *message, size_t len);
