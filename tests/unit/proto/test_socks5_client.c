// SPDX-License-Identifier: Apache-2.0
// The SOCKS5 client against scripted servers, with the bytes cut in every size.
#include "proto/socks/socks5_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct socks5_client client;

static void start(enum socks_command command, const char *host, const char *user,
		  const char *password)
{
	struct host h;

	assert_int_equal(host_parse(host, strlen(host), 0, &h), 0);
	assert_int_equal(socks5_client_init(&client, command, &h, slice_from_string(user),
					    slice_from_string(password)),
			 0);
}

// What the client sends now is exactly this; it goes out in pieces of `cut`.
static void expect(const char *bytes, size_t len, size_t cut)
{
	size_t sent = 0;

	while (sent < len) {
		struct slice out = socks5_client_output(&client);
		size_t n = out.len < cut ? out.len : cut;

		assert_int_equal(out.len, len - sent);
		assert_memory_equal(out.data, bytes + sent, out.len);
		socks5_client_sent(&client, n);
		sent += n;
	}
	assert_int_equal(socks5_client_output(&client).len, 0);
}

// The server says this, in pieces of `cut`; all of it is taken.
static void answer(const char *bytes, size_t len, size_t cut)
{
	for (size_t given = 0; given < len;) {
		size_t n = len - given < cut ? len - given : cut;

		assert_int_equal(socks5_client_input(&client, (const uint8_t *)bytes + given, n),
				 n);
		given += n;
	}
}

#define EXPECT(text) expect(text, sizeof(text) - 1, cut)
#define ANSWER(text) answer(text, sizeof(text) - 1, cut)

static void connects(void **state)
{
	for (size_t cut = 1; cut < 30; cut++) {
		char buf[HOST_STRLEN];

		start(SOCKS_CONNECT, "example.com:443", NULL, NULL);
		EXPECT("\5\1\0");
		assert_int_equal(client.state, SOCKS5_CLIENT_GREETING);
		ANSWER("\5\0");
		assert_int_equal(client.state, SOCKS5_CLIENT_REQUEST);
		EXPECT("\5\1\0\3\x0b"
		       "example.com\1\xbb");
		ANSWER("\5\0\0\1\x0a\0\0\1\x12\x34");
		assert_int_equal(client.state, SOCKS5_CLIENT_DONE);
		host_format(&client.bound, buf);
		assert_string_equal(buf, "10.0.0.1:4660");
	}
}

static void authenticates(void **state)
{
	for (size_t cut = 1; cut < 30; cut++) {
		start(SOCKS_CONNECT, "[2001:db8::1]:80", "joe", "secret");
		EXPECT("\5\2\0\2");
		ANSWER("\5\2");
		assert_int_equal(client.state, SOCKS5_CLIENT_AUTH);
		EXPECT("\1\3joe\6secret");
		ANSWER("\1\0");
		EXPECT("\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50");
		ANSWER("\5\0\0\3\4name\0\x50");
		assert_int_equal(client.state, SOCKS5_CLIENT_DONE);
		assert_string_equal(client.bound.name, "name");
	}
	socks5_client_wipe(&client);
	for (size_t i = 0; i < sizeof(client); i++)
		assert_int_equal(((uint8_t *)&client)[i], 0);
}

static void server_may_do_without_the_password(void **state)
{
	size_t cut = 99;

	start(SOCKS_CONNECT, "192.0.2.1:80", "joe", "");
	EXPECT("\5\2\0\2");
	ANSWER("\5\0");
	EXPECT("\5\1\0\1\xc0\0\2\1\0\x50");
}

static void leaves_the_tunnels_bytes(void **state)
{
	static const uint8_t reply[] = "\5\0\0\1\x0a\0\0\1\x12\x34SSH-2.0";
	size_t cut = 99;

	start(SOCKS_CONNECT, "192.0.2.1:22", NULL, NULL);
	EXPECT("\5\1\0");
	ANSWER("\5\0");
	EXPECT("\5\1\0\1\xc0\0\2\1\0\x16");
	assert_int_equal(socks5_client_input(&client, reply, sizeof(reply) - 1), 10);
	assert_int_equal(client.state, SOCKS5_CLIENT_DONE);
	assert_int_equal(socks5_client_input(&client, reply + 10, 7), 0);
}

static void binds(void **state)
{
	static const uint8_t replies[] = "\5\0\0\1\x0a\0\0\1\x12\x34\5\0\0\1\xc0\0\2\1\0\x14tail";
	char buf[HOST_STRLEN];
	size_t cut = 99;

	start(SOCKS_BIND, "192.0.2.1:20", NULL, NULL);
	EXPECT("\5\1\0");
	ANSWER("\5\0");
	EXPECT("\5\2\0\1\xc0\0\2\1\0\x14");
	assert_int_equal(socks5_client_input(&client, replies, sizeof(replies) - 1), 10);
	assert_int_equal(client.state, SOCKS5_CLIENT_BOUND);
	host_format(&client.bound, buf);
	assert_string_equal(buf, "10.0.0.1:4660");
	assert_int_equal(socks5_client_output(&client).len, 0);
	assert_int_equal(socks5_client_input(&client, replies + 10, sizeof(replies) - 11), 10);
	assert_int_equal(client.state, SOCKS5_CLIENT_DONE);
	host_format(&client.bound, buf);
	assert_string_equal(buf, "192.0.2.1:20");
}

static void fails(void **state)
{
	static const struct {
		const char *choice;
		size_t choice_len;
		const char *auth, *reply;
		size_t reply_len;
		int error;
		unsigned code;
	} rows[] = {
		{"HTTP", 4, NULL, NULL, 0, -SOCKS_E_VERSION, 0},
		{"\5\xff", 2, NULL, NULL, 0, -SOCKS_E_NO_ACCEPTABLE, 0},
		{"\5\1", 2, NULL, NULL, 0, -SOCKS_E_METHOD, 0},
		{"\5\2", 2, "\1\1", NULL, 0, -SOCKS_E_AUTHENTICATION, 0},
		{"\5\2", 2, "\2\1", NULL, 0, -SOCKS_E_VERSION, 0},
		{"\5\0", 2, NULL, "\5\5", 2, -SOCKS_E_REFUSED, 5},
		{"\5\0", 2, NULL, "\5\x42", 2, -SOCKS_E_REFUSED, 0x42},
		{"\5\0", 2, NULL, "\4", 1, -SOCKS_E_VERSION, 0},
		{"\5\0", 2, NULL, "\5\0\1", 3, -SOCKS_E_RESERVED, 0},
		{"\5\0", 2, NULL, "\5\0\0\2", 4, -SOCKS_E_ADDRESS_TYPE, 0},
		{"\5\0\5", 3, NULL, NULL, 0, -SOCKS_E_EARLY, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int r;

		start(SOCKS_CONNECT, "192.0.2.1:80", "joe", "x");
		socks5_client_sent(&client, 4);
		r = socks5_client_input(&client, (const uint8_t *)rows[i].choice,
					rows[i].choice_len);
		if (rows[i].auth) {
			socks5_client_sent(&client, 999);
			r = socks5_client_input(&client, (const uint8_t *)rows[i].auth, 2);
		}
		if (rows[i].reply) {
			socks5_client_sent(&client, 999);
			r = socks5_client_input(&client, (const uint8_t *)rows[i].reply,
						rows[i].reply_len);
		}
		if (r != rows[i].error)
			fail_msg("row %zu: %d", i, r);
		assert_int_equal(client.state, SOCKS5_CLIENT_FAILED);
		assert_int_equal(client.error, r);
		assert_int_equal(client.reply, rows[i].code);
		assert_int_equal(socks5_client_output(&client).len, 0);
		assert_int_equal(socks5_client_input(&client, (const uint8_t *)"x", 1), r);
	}
}

static void password_method_must_have_been_offered(void **state)
{
	start(SOCKS_CONNECT, "192.0.2.1:80", NULL, "ignored");
	socks5_client_sent(&client, 3);
	assert_int_equal(socks5_client_input(&client, (const uint8_t *)"\5\2", 2), -SOCKS_E_METHOD);
}

static void odd_names_in_replies(void **state)
{
	size_t cut = 1;

	for (int empty = 0; empty < 2; empty++) {
		start(SOCKS_CONNECT, "192.0.2.1:80", NULL, NULL);
		EXPECT("\5\1\0");
		ANSWER("\5\0");
		EXPECT("\5\1\0\1\xc0\0\2\1\0\x50");
		if (empty)
			ANSWER("\5\0\0\3\0\0\0");
		else
			ANSWER("\5\0\0\3\3a b\0\0");
		assert_int_equal(client.state, SOCKS5_CLIENT_DONE);
		assert_int_equal(client.bound.kind, HOST_NONE);
	}
}

static void limits(void **state)
{
	char longest[256];
	struct host h, none = {0};

	memset(longest, 'u', sizeof(longest));
	assert_int_equal(host_parse("192.0.2.1:80", 12, 0, &h), 0);
	assert_int_equal(
		socks5_client_init(&client, SOCKS_CONNECT, &h, slice_make(longest, 256), SLICE("")),
		-EINVAL);
	assert_int_equal(socks5_client_init(&client, SOCKS_CONNECT, &h, SLICE("u"),
					    slice_make(longest, 256)),
			 -EINVAL);
	assert_int_equal(socks5_client_init(&client, SOCKS_CONNECT, &none, SLICE(""), SLICE("")),
			 -EINVAL);
	assert_int_equal(socks5_client_init(&client, SOCKS_CONNECT, &h, slice_make(longest, 255),
					    slice_make(longest, 255)),
			 0);
	socks5_client_sent(&client, 4);
	assert_int_equal(socks5_client_input(&client, (const uint8_t *)"\5\2", 2), 2);
	assert_int_equal(socks5_client_output(&client).len, SOCKS5_AUTH_MAX);
}

static void states_have_names(void **state)
{
	assert_string_equal(socks5_client_state_name(SOCKS5_CLIENT_GREETING), "greeting");
	assert_string_equal(socks5_client_state_name(SOCKS5_CLIENT_FAILED), "failed");
	assert_string_equal(socks5_client_state_name(99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects),
		cmocka_unit_test(authenticates),
		cmocka_unit_test(server_may_do_without_the_password),
		cmocka_unit_test(leaves_the_tunnels_bytes),
		cmocka_unit_test(binds),
		cmocka_unit_test(fails),
		cmocka_unit_test(password_method_must_have_been_offered),
		cmocka_unit_test(odd_names_in_replies),
		cmocka_unit_test(limits),
		cmocka_unit_test(states_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
