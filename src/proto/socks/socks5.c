// SPDX-License-Identifier: Apache-2.0
// SOCKS5 as a server sees it: greeting, user name and password, request.
#include "proto/socks/socks.h"

#include "proto/socks/socks_wire.h"

#include <string.h>

int socks5_parse_greeting(const uint8_t *data, size_t len, struct socks5_greeting *ret_greeting,
			  size_t *ret_need)
{
	size_t need;

	if (!ret_need)
		ret_need = &need;
	if (len > 0 && data[0] != 5)
		return -SOCKS_E_VERSION;
	if (len > 1 && data[1] == 0)
		return -SOCKS_E_NO_METHODS;
	*ret_need = len > 1 ? 2u + data[1] : 3;
	if (len < *ret_need)
		return 0;
	ret_greeting->methods = slice_make((const char *)data + 2, data[1]);
	return 2 + data[1];
}

bool socks5_greeting_offers(const struct socks5_greeting *greeting, enum socks5_method method)
{
	return memchr(greeting->methods.data, (int)method, greeting->methods.len) != NULL;
}

size_t socks5_build_choice(uint8_t buf[static SOCKS5_CHOICE_LEN], enum socks5_method method)
{
	buf[0] = 5;
	buf[1] = (uint8_t)method;
	return SOCKS5_CHOICE_LEN;
}

int socks5_parse_auth(const uint8_t *data, size_t len, struct socks5_auth *ret_auth,
		      size_t *ret_need)
{
	struct socks5_auth a;
	size_t need, user, password;

	if (!ret_need)
		ret_need = &need;
	if (len > 0 && data[0] != 1)
		return -SOCKS_E_VERSION;
	*ret_need = 3;
	if (len < 2)
		return 0;
	user = data[1];
	*ret_need = 2 + user + 1;
	if (len < *ret_need)
		return 0;
	password = data[2 + user];
	*ret_need += password;
	if (len < *ret_need)
		return 0;
	a.user = slice_make((const char *)data + 2, user);
	a.password = slice_make((const char *)data + 3 + user, password);
	// crypt(3) and friends would take a NUL for the end, and what follows it for nothing.
	if (memchr(a.user.data, 0, user) || memchr(a.password.data, 0, password))
		return -SOCKS_E_CREDENTIALS;
	*ret_auth = a;
	return (int)(3 + user + password);
}

size_t socks5_build_auth_reply(uint8_t buf[static SOCKS5_AUTH_REPLY_LEN], bool accepted)
{
	buf[0] = 1;
	buf[1] = accepted ? 0 : 1;
	return SOCKS5_AUTH_REPLY_LEN;
}

int socks5_parse_request(const uint8_t *data, size_t len, struct socks_request *ret_request,
			 size_t *ret_need)
{
	struct socks_request q = {.version = 5};
	struct socks_address a;
	size_t need;
	int r;

	if (!ret_need)
		ret_need = &need;
	if (len > 0 && data[0] != 5)
		return -SOCKS_E_VERSION;
	if (len > 1 && (data[1] < SOCKS_CONNECT || data[1] > SOCKS_UDP_ASSOCIATE))
		return -SOCKS_E_COMMAND;
	if (len > 2 && data[2] != 0)
		return -SOCKS_E_RESERVED;
	if (len < 4) {
		*ret_need = 8; // the shortest: a name of one byte
		return 0;
	}
	r = socks_parse_address(data + 3, len - 3, &a, ret_need);
	*ret_need += 3;
	if (r <= 0)
		return r;
	q.command = data[1];
	q.named = a.named;
	q.name = a.name;
	q.host_error = socks_address_to_host(&a, &q.host);
	*ret_request = q;
	return 3 + r;
}

size_t socks5_build_reply(uint8_t buf[static SOCKS5_REPLY_MAX], enum socks5_reply reply,
			  const struct endpoint *bound)
{
	buf[0] = 5;
	buf[1] = (uint8_t)reply;
	buf[2] = 0;
	return 3 + socks_build_address(buf + 3, bound);
}
