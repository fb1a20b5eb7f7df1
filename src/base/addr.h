// SPDX-License-Identifier: Apache-2.0
// An IP address with a port as a small value, address blocks, and what kind of address one is.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * Everything here is pure (no allocation, no global, no system call but where said) and may be
 * called on any thread. Values are copied by assignment.
 */

/*
 * An address and port. Every byte is defined, unused ones are zero, and each address has one
 * representation only: so two endpoints are the same exactly when memcmp says so, and the 24 bytes
 * may be hashed as they are.
 *
 * An IPv4 address is always family AF_INET: the v4-mapped form ::ffff:a.b.c.d never appears in an
 * endpoint that these functions made. The all-zero value is "no endpoint" (family AF_UNSPEC).
 */
struct endpoint {
	uint8_t ip[16]; // network order; AF_INET uses ip[0..3] and zeroes the rest
	uint32_t scope; // interface index of a link-local IPv6 address, else 0
	uint16_t port;  // host order
	uint8_t family; // AF_UNSPEC, AF_INET or AF_INET6
	uint8_t zero;   // always 0
};
_Static_assert(sizeof(struct endpoint) == 24, "struct endpoint has no padding");

// Room for "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535" and a NUL.
#define ENDPOINT_STRLEN 72

struct endpoint endpoint_v4(uint32_t ip_host_order, uint16_t port);
// `ip` is 16 bytes in network order; a v4-mapped address becomes AF_INET.
struct endpoint endpoint_v6(const uint8_t *ip, uint16_t port, uint32_t scope);
// `ip` is 4 bytes in network order.
struct endpoint endpoint_v4_bytes(const uint8_t *ip, uint16_t port);

// -EAFNOSUPPORT: neither AF_INET nor AF_INET6. -EINVAL: `len` is too short for the family.
int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret_ep);
// Fills all of `*ret_sa` and returns the length for bind(2) and so on; 0 for AF_UNSPEC.
socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ret_sa);
// The same for an AF_INET6 (dual-stack) socket: IPv4 goes out in its v4-mapped form.
socklen_t endpoint_to_sockaddr6(const struct endpoint *ep, struct sockaddr_storage *ret_sa);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
// The same, without looking at the ports.
bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b);
// Total order (family, address, scope, port), for sorting; <0, 0, >0.
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);

static inline bool endpoint_is_set(const struct endpoint *ep)
{
	return ep->family != AF_UNSPEC;
}

enum endpoint_parse_flags {
	ENDPOINT_PARSE_PORT_OPTIONAL =
		1 << 0, // "192.0.2.1", "2001:db8::1" and "[2001:db8::1]" too; port 0
	ENDPOINT_PARSE_WILDCARD = 1 << 1, // ":8080": all addresses, given as [::]:8080
	ENDPOINT_PARSE_ZONE = 1 << 2, // "[fe80::1%2]:80" and "%eth0" (if_nametoindex(3) is called)
};

/*
 * "192.0.2.1:80", "[2001:db8::1]:80". Dotted quads are strict (four decimal numbers without leading
 * zeros); a port is 1 to 5 decimal digits, at most 65535 (0 is fine: "any port"). A host name is
 * not an endpoint; see base/host.h.
 * -EINVAL: anything else. -ENODEV: no such interface (ENDPOINT_PARSE_ZONE).
 */
int endpoint_parse(const char *text, size_t len, unsigned flags, struct endpoint *ret_ep);
// An address alone, without brackets, zone and port. -EINVAL.
int endpoint_parse_ip(const char *text, size_t len, struct endpoint *ret_ep);
// A port alone: 1 to 5 decimal digits, at most 65535. -EINVAL.
int endpoint_parse_port(const char *text, size_t len, uint16_t *ret_port);

// Write "192.0.2.1:80" or "[2001:db8::1]:80" ("-" for AF_UNSPEC) and return its length.
size_t endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN]);
// Only the address: "192.0.2.1", "2001:db8::1", "fe80::1%2".
size_t endpoint_format_ip(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN]);

/*
 * What an address is. An IPv6 address that carries an IPv4 address reaches (or may reach) that
 * address through a translator or tunnel, so it has the classes of what it carries as well:
 * v4-mapped ::ffff:0:0/96 (always normalised), v4-compatible ::/96, SIIT ::ffff:0:0:0/96, NAT64
 * 64:ff9b::/96 and 64:ff9b:1::/48 (RFC 6052, RFC 8215; at each place where the address may be),
 * 6to4 2002::/16, Teredo 2001::/32 (server and client), ISATAP.
 */
enum endpoint_class {
	ENDPOINT_UNSPECIFIED = 1 << 0, // ::, 0.0.0.0/8 (Linux connects 0.0.0.0 to itself)
	ENDPOINT_LOOPBACK = 1 << 1,    // ::1, 127.0.0.0/8
	ENDPOINT_LINK_LOCAL = 1 << 2,  // fe80::/10, 169.254.0.0/16
	ENDPOINT_MULTICAST = 1 << 3,   // ff00::/8, 224.0.0.0/4
	ENDPOINT_BROADCAST = 1 << 4,   // 255.255.255.255
	ENDPOINT_PRIVATE = 1 << 5,     // fc00::/7, fec0::/10, RFC 1918, 100.64.0.0/10
	ENDPOINT_METADATA = 1 << 6,    // the instance metadata services of the clouds, see addr.c
};

unsigned endpoint_classify(const struct endpoint *ep);

static inline bool endpoint_is_unspecified(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_UNSPECIFIED) != 0;
}
static inline bool endpoint_is_loopback(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_LOOPBACK) != 0;
}
static inline bool endpoint_is_link_local(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_LINK_LOCAL) != 0;
}
static inline bool endpoint_is_multicast(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_MULTICAST) != 0;
}
static inline bool endpoint_is_private(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_PRIVATE) != 0;
}
static inline bool endpoint_is_metadata(const struct endpoint *ep)
{
	return (endpoint_classify(ep) & ENDPOINT_METADATA) != 0;
}

/*
 * The IPv4 addresses that an IPv6 address carries, as above, with its port: 0 to
 * ENDPOINT_EMBEDDED_MAX of them, the count is returned. For rules on IPv4 blocks that must not be
 * walked around.
 */
#define ENDPOINT_EMBEDDED_MAX 4
size_t endpoint_embedded(const struct endpoint *ep,
			 struct endpoint ret_v4[static ENDPOINT_EMBEDDED_MAX]);

/*
 * A block of addresses, always with its host bits zero and no undefined byte (memcmp-comparable).
 * A v4-mapped block of /96 or longer is an IPv4 block.
 */
struct cidr {
	uint8_t ip[16];  // as in struct endpoint
	uint8_t family;  // AF_INET or AF_INET6
	uint8_t prefix;  // 0..32 or 0..128
	uint8_t zero[2]; // always 0
};

#define CIDR_STRLEN 56

enum cidr_parse_flags {
	CIDR_STRICT = 1 << 0, // host bits that are set are an error, else they are cleared
};

/*
 * "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a block of one. No brackets.
 * -EINVAL: not an address or prefix. -ERANGE: prefix too long for the family, or a v4-mapped block
 * shorter than /96. -EDOM: host bits are set (CIDR_STRICT only).
 */
int cidr_parse(const char *text, size_t len, unsigned flags, struct cidr *ret_cidr);
// The block of the first `prefix` bits of `ep`; a longer prefix than the family has means all bits.
struct cidr cidr_of(const struct endpoint *ep, unsigned prefix);
// Whether `ep` lies in the block; never across families (see endpoint_embedded).
bool cidr_match(const struct cidr *cidr, const struct endpoint *ep);
bool cidr_equal(const struct cidr *a, const struct cidr *b);
size_t cidr_format(const struct cidr *cidr, char buf[static CIDR_STRLEN]);
