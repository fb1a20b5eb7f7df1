// SPDX-License-Identifier: Apache-2.0
// Builds PROXY protocol headers.
#include "proto/proxyproto/proxyproto.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_set(const struct endpoint *ep)
{
	return ep && endpoint_is_set(ep);
}

// The 16 bytes of an address among IPv6 ones.
static void wide(const struct endpoint *ep, uint8_t ip[static 16])
{
	if (ep->family == AF_INET6) {
		memcpy(ip, ep->ip, 16);
		return;
	}
	memset(ip, 0, 10);
	ip[10] = ip[11] = 0xff;
	memcpy(ip + 12, ep->ip, 4);
}

size_t proxyproto_build_v1(char buf[static PROXYPROTO_V1_BUILD_MAX], const struct endpoint *source,
			   const struct endpoint *destination)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	bool v4;

	if (!is_set(source) || !is_set(destination))
		return (size_t)snprintf(buf, PROXYPROTO_V1_BUILD_MAX, "PROXY UNKNOWN\r\n");
	v4 = source->family == AF_INET && destination->family == AF_INET;
	if (v4) {
		inet_ntop(AF_INET, source->ip, from, sizeof(from));
		inet_ntop(AF_INET, destination->ip, to, sizeof(to));
	} else {
		wide(source, ip);
		inet_ntop(AF_INET6, ip, from, sizeof(from));
		wide(destination, ip);
		inet_ntop(AF_INET6, ip, to, sizeof(to));
	}
	return (size_t)snprintf(buf, PROXYPROTO_V1_BUILD_MAX, "PROXY %s %s %s %u %u\r\n",
				v4 ? "TCP4" : "TCP6", from, to, source->port, destination->port);
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

size_t proxyproto_build_v2(uint8_t buf[static PROXYPROTO_V2_BUILD_MAX],
			   const struct endpoint *source, const struct endpoint *destination,
			   enum proxyproto_transport transport)
{
	uint8_t *a = buf + 16;
	size_t size = 0;

	memcpy(buf, "\r\n\r\n\0\r\nQUIT\n", 12);
	buf[12] = is_set(source) || is_set(destination) ? 0x21 : 0x20;
	buf[13] = 0;
	if (is_set(source) && is_set(destination)) {
		if (source->family == AF_INET && destination->family == AF_INET) {
			buf[13] = (uint8_t)(0x10 | transport);
			memcpy(a, source->ip, 4);
			memcpy(a + 4, destination->ip, 4);
			size = 12;
		} else {
			buf[13] = (uint8_t)(0x20 | transport);
			wide(source, a);
			wide(destination, a + 16);
			size = 36;
		}
		put16(a + size - 4, source->port);
		put16(a + size - 2, destination->port);
	}
	put16(buf + 14, size);
	return 16 + size;
}
