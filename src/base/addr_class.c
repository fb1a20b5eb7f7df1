// SPDX-License-Identifier: Apache-2.0
// What kind of address an endpoint has, seen through every form in which IPv6 carries IPv4.
#include "base/addr.h"

#include <string.h>

struct block {
	uint8_t ip[16];
	uint8_t prefix;
	uint8_t class;
};

static const struct block V4[] = {
	{{0}, 8, ENDPOINT_UNSPECIFIED},
	{{127}, 8, ENDPOINT_LOOPBACK},
	{{169, 254}, 16, ENDPOINT_LINK_LOCAL},
	{{224}, 4, ENDPOINT_MULTICAST},
	{{255, 255, 255, 255}, 32, ENDPOINT_BROADCAST},
	{{10}, 8, ENDPOINT_PRIVATE},
	{{172, 16}, 12, ENDPOINT_PRIVATE},
	{{192, 168}, 16, ENDPOINT_PRIVATE},
	{{100, 64}, 10, ENDPOINT_PRIVATE},
	{{169, 254, 169, 254}, 32, ENDPOINT_METADATA}, // nearly all clouds
	{{169, 254, 170, 2}, 32, ENDPOINT_METADATA},   // AWS: container credentials
	{{169, 254, 170, 23}, 32, ENDPOINT_METADATA},  // AWS: pod identity
	{{169, 254, 0, 23}, 32, ENDPOINT_METADATA},    // Tencent Cloud
	{{100, 100, 100, 200}, 32, ENDPOINT_METADATA}, // Alibaba Cloud
	{{192, 0, 0, 192}, 32, ENDPOINT_METADATA},     // Oracle Cloud, classic
	{{168, 63, 129, 16}, 32, ENDPOINT_METADATA},   // Azure: wire server
};

static const struct block V6[] = {
	{{0}, 128, ENDPOINT_UNSPECIFIED},
	{{[15] = 1}, 128, ENDPOINT_LOOPBACK},
	{{0xfe, 0x80}, 10, ENDPOINT_LINK_LOCAL},
	{{0xff}, 8, ENDPOINT_MULTICAST},
	{{0xfc}, 7, ENDPOINT_PRIVATE},
	{{0xfe, 0xc0}, 10, ENDPOINT_PRIVATE},
	{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, ENDPOINT_METADATA}, // AWS
	{{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}, 128, ENDPOINT_METADATA}, // AWS: pod identity
	{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, ENDPOINT_METADATA}, // Google
	{{0xfd, 0x00, 0x00, 0xc1, [8] = 0xa9, 0xfe, 0xa9, 0xfe, 0xa9, 0xfe, 0xa9, 0xfe},
	 128,
	 ENDPOINT_METADATA}, // Oracle Cloud
};

static bool in_block(const struct block *b, const uint8_t *ip)
{
	size_t whole = b->prefix / 8;
	unsigned bits = b->prefix % 8;

	if (memcmp(b->ip, ip, whole) != 0)
		return false;
	return bits == 0 || (uint8_t)(ip[whole] & (0xff00u >> bits)) == b->ip[whole];
}

static unsigned classes(const struct block *table, size_t count, const uint8_t *ip)
{
	unsigned class = 0;

	for (size_t i = 0; i < count; i++)
		if (in_block(&table[i], ip))
			class |= table[i].class;
	return class;
}

// Where the IPv4 address is in an address that begins with a prefix.
struct carrier {
	uint8_t ip[16];
	uint8_t prefix;
	uint8_t at[4];
	uint8_t xor ; // Teredo writes the client's address with all bits inverted
	bool guess;   // one of several places, or none: 0.0.0.0/8 there is taken for "not here"
};

static const struct carrier CARRIERS[] = {
	{{0}, 96, {12, 13, 14, 15}, 0, true},                         // v4-compatible
	{{[10] = 0xff, [11] = 0xff}, 96, {12, 13, 14, 15}, 0, false}, // v4-mapped
	{{[8] = 0xff, [9] = 0xff}, 96, {12, 13, 14, 15}, 0, false},   // SIIT
	{{0, 0x64, 0xff, 0x9b}, 96, {12, 13, 14, 15}, 0, false},      // NAT64
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {12, 13, 14, 15}, 0, true}, // NAT64, local, /96
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {9, 10, 11, 12}, 0, true},  // the same, /64
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {7, 9, 10, 11}, 0, true},   // the same, /56
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {6, 7, 9, 10}, 0, true},    // the same, /48
	{{0x20, 0x02}, 16, {2, 3, 4, 5}, 0, false},                   // 6to4
	{{0x20, 0x01, 0, 0}, 32, {4, 5, 6, 7}, 0, true},              // Teredo server
	{{0x20, 0x01, 0, 0}, 32, {12, 13, 14, 15}, 0xff, false},      // Teredo client
};

size_t endpoint_embedded(const struct endpoint *ep,
			 struct endpoint ret_v4[static ENDPOINT_EMBEDDED_MAX])
{
	const uint8_t *ip = ep->ip;
	size_t n = 0;

	if (ep->family != AF_INET6)
		return 0;
	for (size_t i = 0; i < sizeof(CARRIERS) / sizeof(CARRIERS[0]); i++) {
		const struct carrier *c = &CARRIERS[i];
		struct block b = {.prefix = c->prefix};
		uint8_t v4[4];

		memcpy(b.ip, c->ip, sizeof(b.ip));
		if (!in_block(&b, ip) || n == ENDPOINT_EMBEDDED_MAX)
			continue;
		for (size_t k = 0; k < 4; k++)
			v4[k] = ip[c->at[k]] ^ c->xor ;
		if (c->guess && v4[0] == 0)
			continue;
		ret_v4[n++] = endpoint_v4_bytes(v4, ep->port);
	}
	// ISATAP (RFC 5214): an interface identifier of [02]00:5efe:a.b.c.d under any prefix.
	if (n < ENDPOINT_EMBEDDED_MAX && (ip[8] & 0xfd) == 0 && ip[9] == 0 && ip[10] == 0x5e &&
	    ip[11] == 0xfe)
		ret_v4[n++] = endpoint_v4_bytes(ip + 12, ep->port);
	return n;
}

unsigned endpoint_classify(const struct endpoint *ep)
{
	struct endpoint v4[ENDPOINT_EMBEDDED_MAX];
	unsigned class;
	size_t n;

	if (ep->family == AF_INET)
		return classes(V4, sizeof(V4) / sizeof(V4[0]), ep->ip);
	if (ep->family != AF_INET6)
		return 0;
	class = classes(V6, sizeof(V6) / sizeof(V6[0]), ep->ip);
	n = endpoint_embedded(ep, v4);
	for (size_t i = 0; i < n; i++)
		class |= classes(V4, sizeof(V4) / sizeof(V4[0]), v4[i].ip);
	return class;
}
