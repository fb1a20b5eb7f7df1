// SPDX-License-Identifier: Apache-2.0
// Destinations by address or name: what is accepted as a name, and in which one form.
#include "base/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *host_error_text(int error)
{
	switch (error) {
	case 0:
		return "fine";
	case -EILSEQ:
		return "a character that a host name cannot have";
	case -ENAMETOOLONG:
		return "too long (63 bytes a label, 253 in all)";
	case -EDOM:
		return "a number that is not a dotted-quad address";
	default:
		return "not host:port, with [] around an IPv6 address";
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

// Whether inet_aton(3) and its kin may take the name for an address: by its last label, as in the
// URL standard's "ends in a number" check.
static bool ends_in_number(const char *name, size_t len)
{
	const char *dot = memrchr(name, '.', len);
	const char *label = dot ? dot + 1 : name;
	size_t n = len - (size_t)(label - name), i = 0;

	if (n >= 2 && label[0] == '0' && label[1] == 'x') {
		for (i = 2; i < n && is_hex(label[i]); i++)
			;
		return i == n;
	}
	while (i < n && is_digit(label[i]))
		i++;
	return i == n;
}

int host_normalise_name(const char *name, size_t len, char buf[static HOST_NAME_MAX_LEN + 1])
{
	size_t label = 0;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0)
		return -EINVAL;
	if (len > HOST_NAME_MAX_LEN)
		return -ENAMETOOLONG;
	if (name[0] == '-')
		return -EILSEQ;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (c == '.') {
			if (label == 0)
				return -EINVAL;
			label = 0;
			buf[i] = c;
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		else if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_')
			return -EILSEQ;
		if (++label > HOST_LABEL_MAX_LEN)
			return -ENAMETOOLONG;
		buf[i] = c;
	}
	if (label == 0)
		return -EINVAL;
	buf[len] = '\0';
	return ends_in_number(buf, len) ? -EDOM : (int)len;
}

struct host host_from_endpoint(const struct endpoint *ep)
{
	struct host h;

	memset(&h, 0, sizeof(h));
	h.kind = HOST_ADDRESS;
	h.port = ep->port;
	h.address = *ep;
	return h;
}

int host_from_name(const char *name, size_t len, uint16_t port, struct host *ret_host)
{
	char buf[HOST_NAME_MAX_LEN + 1];
	const char *ip = name;
	size_t ip_len = len;
	struct endpoint ep;
	int r;

	if (len >= 2 && name[0] == '[' && name[len - 1] == ']') {
		ip++;
		ip_len -= 2;
		if (!memchr(ip, ':', ip_len))
			return -EINVAL;
	} else if (len > 0 && name[len - 1] == '.') {
		ip_len--;
	}
	if (endpoint_parse_ip(ip, ip_len, &ep) == 0) {
		// The dot is a name's; an IPv6 address has none.
		if (ip == name && ip_len < len && memchr(ip, ':', ip_len))
			return -EINVAL;
		ep.port = port;
		*ret_host = host_from_endpoint(&ep);
		return 0;
	}
	if (ip != name)
		return -EINVAL;
	r = host_normalise_name(name, len, buf);
	if (r < 0)
		return r;
	memset(ret_host, 0, sizeof(*ret_host));
	ret_host->kind = HOST_NAME;
	ret_host->name_len = (uint8_t)r;
	ret_host->port = port;
	memcpy(ret_host->name, buf, (size_t)r);
	return 0;
}

int host_parse(const char *text, size_t len, uint16_t default_port, struct host *ret_host)
{
	const char *end;
	size_t name, rest;
	uint16_t port = default_port;
	int r;

	if (len == 0)
		return -EINVAL;
	if (text[0] == '[') {
		end = memchr(text, ']', len);
		if (!end)
			return -EINVAL;
		name = (size_t)(end - text) + 1;
	} else {
		end = memchr(text, ':', len);
		name = end ? (size_t)(end - text) : len;
	}
	rest = len - name;
	if (rest > 0) {
		if (text[name] != ':')
			return -EINVAL;
		if (rest > 1) {
			r = endpoint_parse_port(text + name + 1, rest - 1, &port);
			if (r < 0)
				return r;
		}
	}
	if (port == 0)
		return -EINVAL;
	return host_from_name(text, name, port, ret_host);
}

bool host_equal(const struct host *a, const struct host *b)
{
	if (a->kind != b->kind || a->port != b->port)
		return false;
	if (a->kind == HOST_ADDRESS)
		return endpoint_equal(&a->address, &b->address);
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

size_t host_format_name(const struct host *host, char buf[static HOST_STRLEN])
{
	if (host->kind == HOST_ADDRESS)
		return endpoint_format_ip(&host->address, buf);
	if (host->kind != HOST_NAME) {
		memcpy(buf, "-", 2);
		return 1;
	}
	memcpy(buf, host->name, host->name_len);
	buf[host->name_len] = '\0';
	return host->name_len;
}

size_t host_format(const struct host *host, char buf[static HOST_STRLEN])
{
	size_t len;

	if (host->kind == HOST_ADDRESS)
		return endpoint_format(&host->address, buf);
	len = host_format_name(host, buf);
	if (host->kind == HOST_NAME)
		len += (size_t)snprintf(buf + len, HOST_STRLEN - len, ":%u", host->port);
	return len;
}
