// SPDX-License-Identifier: Apache-2.0
// Greets a SOCKS5 server, authenticates, and asks for one connection.
#include "proto/socks/socks5_client.h"

#include "proto/socks/socks_wire.h"

#include <errno.h>
#include <string.h>

const char *socks5_client_state_name(enum socks5_client_state state)
{
	static const char *const names[] = {"greeting", "auth", "request",
					    "bound",    "done", "failed"};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static const uint8_t GREETING_NONE[] = {5, 1, SOCKS5_METHOD_NONE};
static const uint8_t GREETING_BOTH[] = {5, 2, SOCKS5_METHOD_NONE, SOCKS5_METHOD_PASSWORD};

// The one setter of the state; what has to be sent in it follows from it.
static void enter(struct socks5_client *c, enum socks5_client_state state)
{
	c->state = state;
	c->in_len = 0;
	c->out_sent = 0;
	if (state == SOCKS5_CLIENT_GREETING)
		c->out_len = c->password_offered ? sizeof(GREETING_BOTH) : sizeof(GREETING_NONE);
	else if (state == SOCKS5_CLIENT_AUTH)
		c->out_len = c->auth_len;
	else if (state == SOCKS5_CLIENT_REQUEST)
		c->out_len = c->request_len;
	else
		c->out_len = 0;
}

int socks5_client_init(struct socks5_client *c, enum socks_command command,
		       const struct host *destination, struct slice user, struct slice password)
{
	if (user.len > 255 || password.len > 255 || destination->kind == HOST_NONE)
		return -EINVAL;
	memset(c, 0, sizeof(*c));
	c->command = (uint8_t)command;
	c->request[0] = 5;
	c->request[1] = (uint8_t)command;
	c->request_len = (uint16_t)(3 + socks_build_host(c->request + 3, destination));
	if (user.len > 0) {
		c->password_offered = true;
		c->auth[0] = 1;
		c->auth[1] = (uint8_t)user.len;
		memcpy(c->auth + 2, user.data, user.len);
		c->auth[2 + user.len] = (uint8_t)password.len;
		if (password.len > 0)
			memcpy(c->auth + 3 + user.len, password.data, password.len);
		c->auth_len = (uint16_t)(3 + user.len + password.len);
	}
	enter(c, SOCKS5_CLIENT_GREETING);
	return 0;
}

struct slice socks5_client_output(const struct socks5_client *c)
{
	const uint8_t *out = c->request;

	if (c->state == SOCKS5_CLIENT_GREETING)
		out = c->password_offered ? GREETING_BOTH : GREETING_NONE;
	else if (c->state == SOCKS5_CLIENT_AUTH)
		out = c->auth;
	return slice_make((const char *)out + c->out_sent, (size_t)(c->out_len - c->out_sent));
}

void socks5_client_sent(struct socks5_client *c, size_t n)
{
	size_t left = (size_t)(c->out_len - c->out_sent);

	c->out_sent = (uint16_t)(c->out_sent + (n < left ? n : left));
}

// Each handler looks at c->in: 1 handled and to be dropped, 0 more is needed, or -SOCKS_E_x.
static int on_choice(struct socks5_client *c)
{
	if (c->in[0] != 5)
		return -SOCKS_E_VERSION;
	if (c->in_len < 2)
		return 0;
	if (c->in[1] == SOCKS5_METHOD_NONE) {
		enter(c, SOCKS5_CLIENT_REQUEST);
	} else if (c->in[1] == SOCKS5_METHOD_PASSWORD && c->password_offered) {
		enter(c, SOCKS5_CLIENT_AUTH);
	} else {
		return c->in[1] == SOCKS5_METHOD_NO_ACCEPTABLE ? -SOCKS_E_NO_ACCEPTABLE
							       : -SOCKS_E_METHOD;
	}
	return 1;
}

static int on_auth_reply(struct socks5_client *c)
{
	// Some servers put 5 here instead of 1, and RFC 1929 gives the byte no other meaning.
	if (c->in[0] != 1 && c->in[0] != 5)
		return -SOCKS_E_VERSION;
	if (c->in_len < 2)
		return 0;
	if (c->in[1] != 0)
		return -SOCKS_E_AUTHENTICATION;
	enter(c, SOCKS5_CLIENT_REQUEST);
	return 1;
}

static int on_reply(struct socks5_client *c)
{
	struct socks_address a;
	size_t need;
	int r;

	if (c->in[0] != 5)
		return -SOCKS_E_VERSION;
	if (c->in_len < 2)
		return 0;
	c->reply = c->in[1];
	// Nothing follows that matters, and some servers close without it.
	if (c->reply != SOCKS5_REPLY_SUCCEEDED)
		return -SOCKS_E_REFUSED;
	if (c->in_len > 2 && c->in[2] != 0)
		return -SOCKS_E_RESERVED;
	if (c->in_len < 4)
		return 0;
	// An empty name is what a server may send that has nothing to say.
	if (c->in[3] == SOCKS_ADDRESS_NAME && c->in_len >= 5 && c->in[4] == 0) {
		if (c->in_len < 7)
			return 0;
		memset(&c->bound, 0, sizeof(c->bound));
	} else {
		r = socks_parse_address(c->in + 3, c->in_len - 3u, &a, &need);
		if (r <= 0)
			return r;
		socks_address_to_host(&a, &c->bound);
	}
	if (c->command == SOCKS_BIND && c->state == SOCKS5_CLIENT_REQUEST)
		enter(c, SOCKS5_CLIENT_BOUND);
	else
		enter(c, SOCKS5_CLIENT_DONE);
	return 1;
}

int socks5_client_input(struct socks5_client *c, const uint8_t *data, size_t len)
{
	size_t used = 0;

	if (c->state == SOCKS5_CLIENT_FAILED)
		return c->error;
	// Byte by byte, so that not one is taken that belongs to the tunnel; messages are short.
	while (used < len && c->state != SOCKS5_CLIENT_DONE) {
		int r = -SOCKS_E_EARLY;

		if (c->out_sent == c->out_len) {
			c->in[c->in_len++] = data[used++];
			if (c->state == SOCKS5_CLIENT_GREETING)
				r = on_choice(c);
			else if (c->state == SOCKS5_CLIENT_AUTH)
				r = on_auth_reply(c);
			else
				r = on_reply(c);
		}
		if (r < 0) {
			enter(c, SOCKS5_CLIENT_FAILED);
			c->error = r;
			return r;
		}
		if (r > 0 && c->state == SOCKS5_CLIENT_BOUND)
			break;
	}
	return (int)used;
}

void socks5_client_wipe(struct socks5_client *c)
{
	explicit_bzero(c, sizeof(*c));
}
