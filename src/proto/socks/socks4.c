// SPDX-License-Identifier: Apache-2.0
// SOCKS4 and 4a: the request and its reply.
#include "proto/socks/socks.h"

#include "proto/socks/socks_wire.h"

#include <string.h>

#define FIELD_MAX 255

/*
 * A field that ends in a NUL. Returns its length with the NUL, 0 for more, -1 for too long. Looks
 * only at the first 256 bytes, so the answer cannot change when more come.
 */
static int parse_field(const uint8_t *data, size_t len, struct slice *ret_field)
{
	size_t look = len < FIELD_MAX + 1 ? len : FIELD_MAX + 1;
	const uint8_t *end = look ? memchr(data, 0, look) : NULL;

	if (!end)
		return len > FIELD_MAX ? -1 : 0;
	*ret_field = slice_make((const char *)data, (size_t)(end - data));
	return (int)(end - data) + 1;
}

int socks4_parse_request(const uint8_t *data, size_t len, struct socks_request *ret_request,
			 size_t *ret_need)
{
	struct socks_request q = {.version = 4};
	struct socks_address a = {0};
	size_t need, used = 8;
	int r;

	if (!ret_need)
		ret_need = &need;
	if (len > 0 && data[0] != 4)
		return -SOCKS_E_VERSION;
	if (len > 1 && data[1] != SOCKS_CONNECT && data[1] != SOCKS_BIND)
		return -SOCKS_E_COMMAND;
	*ret_need = 9;
	if (len < 9)
		return 0;
	q.command = data[1];
	a.port = (uint16_t)(data[2] << 8 | data[3]);
	a.address = endpoint_v4_bytes(data + 4, a.port);
	*ret_need = len + 1;
	r = parse_field(data + used, len - used, &q.user_id);
	if (r <= 0)
		return r == 0 ? 0 : -SOCKS_E_USER_ID;
	used += (size_t)r;
	// 4a: 0.0.0.x with x not 0 says that a name follows.
	if (data[4] == 0 && data[5] == 0 && data[6] == 0 && data[7] != 0) {
		r = parse_field(data + used, len - used, &a.name);
		if (r <= 0)
			return r == 0 ? 0 : -SOCKS_E_NAME;
		if (r == 1)
			return -SOCKS_E_NAME;
		used += (size_t)r;
		a.named = q.named = true;
		q.name = a.name;
	}
	q.host_error = socks_address_to_host(&a, &q.host);
	*ret_request = q;
	return (int)used;
}

size_t socks4_build_reply(uint8_t buf[static SOCKS4_REPLY_LEN], enum socks4_reply reply,
			  const struct endpoint *bound)
{
	memset(buf, 0, SOCKS4_REPLY_LEN);
	buf[1] = (uint8_t)reply;
	if (bound && endpoint_is_set(bound)) {
		buf[2] = (uint8_t)(bound->port >> 8);
		buf[3] = (uint8_t)bound->port;
		if (bound->family == AF_INET)
			memcpy(buf + 4, bound->ip, 4);
	}
	return SOCKS4_REPLY_LEN;
}
