// SPDX-License-Identifier: Apache-2.0
// Errors, reply codes, and the address field of SOCKS5.
#include "proto/socks/socks.h"

#include "proto/socks/socks_wire.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name, *text;
} ERRORS[] = {
	{"ok", "no error"},
#define SOCKS_ERROR(name, text, help) {text, help},
#include "proto/socks/socks_errors.def"
#undef SOCKS_ERROR
};

const char *socks_error_name(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < SOCKS_E_COUNT ? ERRORS[i].name : "?";
}

const char *socks_error_text(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < SOCKS_E_COUNT ? ERRORS[i].text : "?";
}

const char *socks_command_name(unsigned command)
{
	switch (command) {
	case SOCKS_CONNECT:
		return "connect";
	case SOCKS_BIND:
		return "bind";
	case SOCKS_UDP_ASSOCIATE:
		return "udp-associate";
	default:
		return "?";
	}
}

const char *socks5_reply_text(unsigned reply)
{
	switch (reply) {
#define SOCKS5_REPLY(name, code, error, text)                                                      \
	case code:                                                                                 \
		return text;
#include "proto/socks/socks_replies.def"
#undef SOCKS5_REPLY
	default:
		return "?";
	}
}

int socks5_errno_of_reply(unsigned reply)
{
	switch (reply) {
#define SOCKS5_REPLY(name, code, error, text)                                                      \
	case code:                                                                                 \
		return -(error);
#include "proto/socks/socks_replies.def"
#undef SOCKS5_REPLY
	default:
		return -EPROTO;
	}
}

enum socks5_reply socks5_reply_of_errno(int error)
{
	switch (error < 0 ? -error : error) {
	case 0:
		return SOCKS5_REPLY_SUCCEEDED;
	case EACCES:
	case EPERM:
		return SOCKS5_REPLY_NOT_ALLOWED;
	case ENETUNREACH:
	case ENETDOWN:
		return SOCKS5_REPLY_NETWORK_UNREACHABLE;
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENOENT:
	case ENODATA:
	case ENXIO:
		return SOCKS5_REPLY_HOST_UNREACHABLE;
	case ECONNREFUSED:
		return SOCKS5_REPLY_REFUSED;
	case ETIMEDOUT:
	case ETIME:
		return SOCKS5_REPLY_TTL_EXPIRED;
	case EOPNOTSUPP:
		return SOCKS5_REPLY_COMMAND;
	case EAFNOSUPPORT:
		return SOCKS5_REPLY_ADDRESS_TYPE;
	default:
		return SOCKS5_REPLY_FAILURE;
	}
}

enum socks4_reply socks4_reply_of_errno(int error)
{
	return error == 0 ? SOCKS4_REPLY_GRANTED : SOCKS4_REPLY_REJECTED;
}

enum socks5_reply socks5_reply_of_error(int error)
{
	switch (error < 0 ? -error : error) {
	case SOCKS_OK:
		return SOCKS5_REPLY_SUCCEEDED;
	case SOCKS_E_COMMAND:
		return SOCKS5_REPLY_COMMAND;
	case SOCKS_E_ADDRESS_TYPE:
		return SOCKS5_REPLY_ADDRESS_TYPE;
	default:
		return SOCKS5_REPLY_FAILURE;
	}
}

enum socks4_reply socks4_reply_of_error(int error)
{
	return error == 0 ? SOCKS4_REPLY_GRANTED : SOCKS4_REPLY_REJECTED;
}

int socks_parse_address(const uint8_t *data, size_t len, struct socks_address *ret_address,
			size_t *ret_need)
{
	struct socks_address a = {0};
	size_t size, start = 1;

	*ret_need = 2;
	if (len < 1)
		return 0;
	switch (data[0]) {
	case SOCKS_ADDRESS_IPV4:
		size = 4;
		break;
	case SOCKS_ADDRESS_IPV6:
		size = 16;
		break;
	case SOCKS_ADDRESS_NAME:
		if (len < 2)
			return 0;
		size = data[1];
		start = 2;
		if (size == 0)
			return -SOCKS_E_NAME;
		break;
	default:
		return -SOCKS_E_ADDRESS_TYPE;
	}
	*ret_need = start + size + 2;
	if (len < start + size + 2)
		return 0;
	data += start;
	a.port = (uint16_t)(data[size] << 8 | data[size + 1]);
	if (start == 2) {
		a.named = true;
		a.name = slice_make((const char *)data, size);
	} else {
		a.address =
			size == 4 ? endpoint_v4_bytes(data, a.port) : endpoint_v6(data, a.port, 0);
	}
	*ret_address = a;
	return (int)(start + size + 2);
}

size_t socks_build_address(uint8_t *buf, const struct endpoint *ep)
{
	size_t size = ep && ep->family == AF_INET6 ? 16 : 4;

	buf[0] = size == 16 ? SOCKS_ADDRESS_IPV6 : SOCKS_ADDRESS_IPV4;
	if (ep && endpoint_is_set(ep)) {
		memcpy(buf + 1, ep->ip, size);
		buf[1 + size] = (uint8_t)(ep->port >> 8);
		buf[2 + size] = (uint8_t)ep->port;
	} else {
		memset(buf + 1, 0, size + 2);
	}
	return 1 + size + 2;
}

size_t socks_build_host(uint8_t *buf, const struct host *host)
{
	size_t len = host->name_len;

	if (host->kind != HOST_NAME)
		return socks_build_address(buf, host->kind == HOST_ADDRESS ? &host->address : NULL);
	buf[0] = SOCKS_ADDRESS_NAME;
	buf[1] = (uint8_t)len;
	memcpy(buf + 2, host->name, len);
	buf[2 + len] = (uint8_t)(host->port >> 8);
	buf[3 + len] = (uint8_t)host->port;
	return 4 + len;
}

int socks_address_to_host(const struct socks_address *address, struct host *ret_host)
{
	int r;

	if (!address->named) {
		*ret_host = host_from_endpoint(&address->address);
		return 0;
	}
	r = host_from_name(address->name.data, address->name.len, address->port, ret_host);
	if (r < 0) {
		memset(ret_host, 0, sizeof(*ret_host));
		ret_host->port = address->port;
	}
	return r;
}
