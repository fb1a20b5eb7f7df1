// SPDX-License-Identifier: Apache-2.0
// The address field that SOCKS5 requests, replies and datagrams share (RFC 1928, 5); for this room.
#pragma once

#include "base/host.h"
#include "base/slice.h"
#include "proto/socks/socks.h"

enum socks_address_type {
	SOCKS_ADDRESS_IPV4 = 1,
	SOCKS_ADDRESS_NAME = 3,
	SOCKS_ADDRESS_IPV6 = 4,
};

struct socks_address {
	struct endpoint address; // AF_UNSPEC if named
	uint16_t port;
	bool named;
	struct slice name; // as it stands; 1 to 255 bytes
};

// Parses from the type byte on: > 0 consumed, 0 more (`*ret_need`), or -SOCKS_E_x.
int socks_parse_address(const uint8_t *data, size_t len, struct socks_address *ret_address,
			size_t *ret_need);
// Writes type, address and port (7 or 19 bytes); AF_UNSPEC and NULL are 0.0.0.0:0.
size_t socks_build_address(uint8_t *buf, const struct endpoint *ep);
// The same for a host, which may be a name (up to 258 bytes).
size_t socks_build_host(uint8_t *buf, const struct host *host);
// To a request's or reply's host; returns 0 or base/host.h's error, with only the port in `*ret`.
int socks_address_to_host(const struct socks_address *address, struct host *ret_host);
