// SPDX-License-Identifier: Apache-2.0
// Endpoints and address blocks: conversion, text, comparison.
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct endpoint endpoint_v4_bytes(const uint8_t *ip, uint16_t port)
{
	struct endpoint ep = {.family = AF_INET, .port = port};

	memcpy(ep.ip, ip, 4);
	return ep;
}

struct endpoint endpoint_v4(uint32_t ip_host_order, uint16_t port)
{
	uint32_t be = htonl(ip_host_order);

	return endpoint_v4_bytes((const uint8_t *)&be, port);
}

struct endpoint endpoint_v6(const uint8_t *ip, uint16_t port, uint32_t scope)
{
	struct endpoint ep = {.family = AF_INET6, .port = port};

	if (memcmp(ip, MAPPED, sizeof(MAPPED)) == 0)
		return endpoint_v4_bytes(ip + 12, port);
	memcpy(ep.ip, ip, 16);
	// A scope on any other address is ignored by the kernel, and would make one address two.
	if ((ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) || (ip[0] == 0xff && (ip[1] & 0x0f) <= 2))
		ep.scope = scope;
	return ep;
}

int endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret_ep)
{
	if (len < (socklen_t)sizeof(sa_family_t))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		if (len < (socklen_t)sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		*ret_ep = endpoint_v4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port));
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		if (len < (socklen_t)sizeof(in6))
			return -EINVAL;
		memcpy(&in6, sa, sizeof(in6));
		*ret_ep =
			endpoint_v6(in6.sin6_addr.s6_addr, ntohs(in6.sin6_port), in6.sin6_scope_id);
		return 0;
	}
	return -EAFNOSUPPORT;
}

socklen_t endpoint_to_sockaddr6(const struct endpoint *ep, struct sockaddr_storage *ret_sa)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(ep->port)};

	memset(ret_sa, 0, sizeof(*ret_sa));
	if (ep->family == AF_INET) {
		memcpy(in6.sin6_addr.s6_addr, MAPPED, sizeof(MAPPED));
		memcpy(in6.sin6_addr.s6_addr + 12, ep->ip, 4);
	} else if (ep->family == AF_INET6) {
		memcpy(in6.sin6_addr.s6_addr, ep->ip, 16);
		in6.sin6_scope_id = ep->scope;
	} else {
		return 0;
	}
	memcpy(ret_sa, &in6, sizeof(in6));
	return sizeof(in6);
}

socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ret_sa)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(ep->port)};

	if (ep->family != AF_INET)
		return endpoint_to_sockaddr6(ep, ret_sa);
	memset(ret_sa, 0, sizeof(*ret_sa));
	memcpy(&in.sin_addr, ep->ip, 4);
	memcpy(ret_sa, &in, sizeof(in));
	return sizeof(in);
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
}

int endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
	int c;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	c = memcmp(a->ip, b->ip, 16);
	if (c != 0)
		return c;
	if (a->scope != b->scope)
		return a->scope < b->scope ? -1 : 1;
	return (int)a->port - (int)b->port;
}

int endpoint_parse_port(const char *text, size_t len, uint16_t *ret_port)
{
	uint32_t port = 0;

	if (len < 1 || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	if (port > 65535)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

// Own code, not inet_pton(3), only because the text has a length instead of a NUL.
static int parse_v4(const char *text, size_t len, uint8_t ip[static 4])
{
	size_t i = 0;

	for (int part = 0; part < 4; part++) {
		unsigned value = 0;
		size_t start = i;

		if (part > 0) {
			if (i >= len || text[i] != '.')
				return -EINVAL;
			start = ++i;
		}
		while (i < len && text[i] >= '0' && text[i] <= '9' && i - start < 3)
			value = value * 10 + (unsigned)(text[i++] - '0');
		if (i == start || value > 255 || (i - start > 1 && text[start] == '0'))
			return -EINVAL;
		ip[part] = (uint8_t)value;
	}
	return i == len ? 0 : -EINVAL;
}

static int parse_v6(const char *text, size_t len, uint8_t ip[static 16])
{
	char buf[INET6_ADDRSTRLEN];

	if (len < 2 || len >= sizeof(buf) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return inet_pton(AF_INET6, buf, ip) == 1 ? 0 : -EINVAL;
}

int endpoint_parse_ip(const char *text, size_t len, struct endpoint *ret_ep)
{
	uint8_t ip[16];

	if (parse_v4(text, len, ip) == 0) {
		*ret_ep = endpoint_v4_bytes(ip, 0);
		return 0;
	}
	if (parse_v6(text, len, ip) == 0) {
		*ret_ep = endpoint_v6(ip, 0, 0);
		return 0;
	}
	return -EINVAL;
}

static int parse_zone(const char *text, size_t len, uint32_t *ret_scope)
{
	char name[IF_NAMESIZE];
	uint64_t n = 0;
	size_t i;

	if (len == 0)
		return -EINVAL;
	for (i = 0; i < len && i < 10 && text[i] >= '0' && text[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	if (i == len && n > 0 && n <= UINT32_MAX) {
		*ret_scope = (uint32_t)n;
		return 0;
	}
	if (len >= sizeof(name) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(name, text, len);
	name[len] = '\0';
	*ret_scope = if_nametoindex(name);
	return *ret_scope ? 0 : -ENODEV;
}

// The inside of brackets, or a bare IPv6 address: with a zone if `flags` allow one.
static int parse_v6_zone(const char *text, size_t len, unsigned flags, struct endpoint *ret_ep)
{
	const char *percent = memchr(text, '%', len);
	uint32_t scope = 0;
	uint8_t ip[16];
	int r;

	if (percent) {
		size_t at = (size_t)(percent - text);

		if (!(flags & ENDPOINT_PARSE_ZONE))
			return -EINVAL;
		r = parse_zone(percent + 1, len - at - 1, &scope);
		if (r < 0)
			return r;
		len = at;
	}
	r = parse_v6(text, len, ip);
	if (r < 0)
		return r;
	*ret_ep = endpoint_v6(ip, 0, scope);
	return 0;
}

int endpoint_parse(const char *text, size_t len, unsigned flags, struct endpoint *ret_ep)
{
	struct endpoint ep = {0};
	const char *colon, *close;
	uint8_t ip[4];
	size_t host;
	int r;

	if (len > 0 && text[0] == '[') {
		close = memchr(text, ']', len);
		if (!close)
			return -EINVAL;
		r = parse_v6_zone(text + 1, (size_t)(close - text) - 1, flags, &ep);
		if (r < 0)
			return r;
		host = (size_t)(close - text) + 1;
	} else {
		colon = memchr(text, ':', len);
		host = colon ? (size_t)(colon - text) : len;
		if (colon && memchr(colon + 1, ':', len - host - 1)) {
			// More than one colon: a bare IPv6 address, which cannot have a port.
			if (!(flags & ENDPOINT_PARSE_PORT_OPTIONAL))
				return -EINVAL;
			return parse_v6_zone(text, len, flags, ret_ep);
		}
		if (colon && host == 0 && (flags & ENDPOINT_PARSE_WILDCARD)) {
			ep.family = AF_INET6;
		} else {
			r = parse_v4(text, host, ip);
			if (r < 0)
				return r;
			ep = endpoint_v4_bytes(ip, 0);
		}
	}
	if (host == len) {
		if (!(flags & ENDPOINT_PARSE_PORT_OPTIONAL))
			return -EINVAL;
	} else {
		if (text[host] != ':')
			return -EINVAL;
		r = endpoint_parse_port(text + host + 1, len - host - 1, &ep.port);
		if (r < 0)
			return r;
	}
	*ret_ep = ep;
	return 0;
}

size_t endpoint_format_ip(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN])
{
	size_t len;

	if ((ep->family != AF_INET && ep->family != AF_INET6) ||
	    !inet_ntop(ep->family, ep->ip, buf, ENDPOINT_STRLEN)) {
		buf[0] = '-';
		buf[1] = '\0';
		return 1;
	}
	len = strlen(buf);
	if (ep->scope)
		len += (size_t)snprintf(buf + len, ENDPOINT_STRLEN - len, "%%%u", ep->scope);
	return len;
}

size_t endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_STRLEN])
{
	char ip[ENDPOINT_STRLEN];
	size_t len = endpoint_format_ip(ep, ip);

	if (!endpoint_is_set(ep)) {
		memcpy(buf, ip, len + 1);
		return len;
	}
	return (size_t)snprintf(buf, ENDPOINT_STRLEN,
				ep->family == AF_INET6 ? "[%.60s]:%u" : "%.60s:%u", ip, ep->port);
}

// Clears what lies behind the prefix; whether there was anything.
static bool mask(uint8_t *ip, size_t size, unsigned prefix)
{
	uint8_t lost = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned bits = prefix >= (i + 1) * 8 ? 8
				: prefix > i * 8      ? prefix - (unsigned)i * 8
						      : 0;
		uint8_t keep = (uint8_t)(0xff00u >> bits);

		lost |= ip[i] & (uint8_t)~keep;
		ip[i] &= keep;
	}
	return lost != 0;
}

struct cidr cidr_of(const struct endpoint *ep, unsigned prefix)
{
	struct cidr c = {.family = ep->family};
	unsigned max = ep->family == AF_INET ? 32 : 128;

	memcpy(c.ip, ep->ip, sizeof(c.ip));
	c.prefix = (uint8_t)(prefix > max ? max : prefix);
	mask(c.ip, max / 8, c.prefix);
	return c;
}

int cidr_parse(const char *text, size_t len, unsigned flags, struct cidr *ret_cidr)
{
	const char *slash = memchr(text, '/', len);
	size_t host = slash ? (size_t)(slash - text) : len;
	struct cidr c = {0};
	struct endpoint ep;
	unsigned max, prefix;
	uint16_t number;
	int r;

	r = endpoint_parse_ip(text, host, &ep);
	if (r < 0)
		return r;
	max = memchr(text, ':', host) ? 128 : 32;
	prefix = max;
	if (slash) {
		// Digits only, no leading zero: the shape of a prefix is that of a short port.
		if (len - host - 1 > 3 || (len - host - 1 > 1 && slash[1] == '0'))
			return -EINVAL;
		r = endpoint_parse_port(slash + 1, len - host - 1, &number);
		if (r < 0)
			return r;
		prefix = number;
	}
	if (prefix > max)
		return -ERANGE;
	if (max == 128 && ep.family == AF_INET) {
		if (prefix < 96)
			return -ERANGE;
		prefix -= 96;
		max = 32;
	}
	c.family = ep.family;
	c.prefix = (uint8_t)prefix;
	memcpy(c.ip, ep.ip, sizeof(c.ip));
	if (mask(c.ip, max / 8, prefix) && (flags & CIDR_STRICT))
		return -EDOM;
	*ret_cidr = c;
	return 0;
}

bool cidr_match(const struct cidr *cidr, const struct endpoint *ep)
{
	size_t whole = cidr->prefix / 8;
	unsigned bits = cidr->prefix % 8;

	if (cidr->family != ep->family || memcmp(cidr->ip, ep->ip, whole) != 0)
		return false;
	return bits == 0 || (uint8_t)(ep->ip[whole] & (0xff00u >> bits)) == cidr->ip[whole];
}

bool cidr_equal(const struct cidr *a, const struct cidr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

size_t cidr_format(const struct cidr *cidr, char buf[static CIDR_STRLEN])
{
	struct endpoint ep = {.family = cidr->family};
	char ip[ENDPOINT_STRLEN];

	memcpy(ep.ip, cidr->ip, sizeof(ep.ip));
	endpoint_format_ip(&ep, ip);
	return (size_t)snprintf(buf, CIDR_STRLEN, "%.48s/%u", ip, cidr->prefix);
}
