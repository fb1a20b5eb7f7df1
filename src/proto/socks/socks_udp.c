// SPDX-License-Identifier: Apache-2.0
// Parses and builds the header of SOCKS5 datagrams.
#include "proto/socks/socks_udp.h"

#include "proto/socks/socks_wire.h"

#include <string.h>

int socks_udp_parse(const uint8_t *data, size_t len, struct socks_udp_header *ret_header)
{
	struct socks_address a;
	size_t need;
	int r;

	if (len < 4)
		return -SOCKS_E_TRUNCATED;
	if (data[0] != 0 || data[1] != 0)
		return -SOCKS_E_RESERVED;
	r = socks_parse_address(data + 3, len - 3, &a, &need);
	if (r <= 0)
		return r == 0 ? -SOCKS_E_TRUNCATED : r;
	*ret_header = (struct socks_udp_header){
		.fragment = data[2],
		.named = a.named,
		.port = a.port,
		.address = a.address,
		.name = a.name,
	};
	return 3 + r;
}

size_t socks_udp_run(const uint8_t *data, size_t len, size_t segment, size_t at, size_t header)
{
	size_t end = at + segment;

	while (end < len && header <= len - end && memcmp(data + at, data + end, header) == 0)
		end += segment;
	return (end < len ? end : len) - at;
}

size_t socks_udp_build(uint8_t buf[static SOCKS_UDP_HEADER_V6], const struct endpoint *ep)
{
	memset(buf, 0, 3);
	return 3 + socks_build_address(buf + 3, ep);
}

size_t socks_udp_build_host(uint8_t buf[static SOCKS_UDP_HEADER_MAX], const struct host *host)
{
	memset(buf, 0, 3);
	return 3 + socks_build_host(buf + 3, host);
}
