// SPDX-License-Identifier: Apache-2.0
// The header before each datagram of a SOCKS5 UDP association (RFC 1928, 7).
#pragma once

#include "base/addr.h"
#include "base/host.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pure; any thread; cheap enough for every packet. Errors are those of proto/socks/socks.h. */

// With a name of 255 bytes; with an address it is 10 or 22.
#define SOCKS_UDP_HEADER_MAX (4 + 1 + 255 + 2)
#define SOCKS_UDP_HEADER_V4 10
#define SOCKS_UDP_HEADER_V6 22

struct socks_udp_header {
	uint8_t fragment; // not 0: a fragment, which the caller drops and counts
	bool named;
	uint16_t port;
	struct endpoint address; // with the port; all zero if named
	struct slice name; // unchecked, 1 to 255 bytes within the datagram: host_from_name() it
};

// `data` is one whole datagram. Returns the header's length (the payload, maybe empty, follows), or
// -SOCKS_E_RESERVED, _ADDRESS_TYPE, _NAME, _TRUNCATED.
int socks_udp_parse(const uint8_t *data, size_t len, struct socks_udp_header *ret_header);

// Several datagrams that lie one behind the other (what UDP_GRO gives), each but the last of `segment`
// bytes: the length, from the datagram at `at` on, of those that begin with the very `header` bytes that
// this one begins with. `at` is a multiple of segment below len; segment > 0; 0 < header <= the length of
// the datagram at `at`.
size_t socks_udp_run(const uint8_t *data, size_t len, size_t segment, size_t at, size_t header);

// The length that socks_udp_build will write for an address: leave so much room before the payload.
static inline size_t socks_udp_header_len(const struct endpoint *ep)
{
	return ep->family == AF_INET6 ? SOCKS_UDP_HEADER_V6 : SOCKS_UDP_HEADER_V4;
}
// Writes the header for a datagram from (or, as a client, to) `ep`; returns its length.
size_t socks_udp_build(uint8_t buf[static SOCKS_UDP_HEADER_V6], const struct endpoint *ep);
// The same for a host that may be a name.
size_t socks_udp_build_host(uint8_t buf[static SOCKS_UDP_HEADER_MAX], const struct host *host);
