// SPDX-License-Identifier: Apache-2.0
// SOCKS4, 4a and 5 as a server and a relay see them, at every cut.
#include "proto/socks/socks.h"
#include "proto/socks/socks_udp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define T(text) text, sizeof(text) - 1

typedef int parse(const uint8_t *data, size_t len, struct socks_request *ret, size_t *ret_need);

struct row {
	const char *data;
	size_t len;
	int result;       // bytes consumed, or -SOCKS_E_x
	unsigned command; // of a success
	const char *host;
	const char *user_id;
};

// Every prefix needs more, up to where the answer comes; what it needs is true and bounded.
static void check_prefixes(parse *p, const struct row *row, size_t max)
{
	bool answered = false;

	for (size_t n = 0; n <= row->len; n++) {
		uint8_t *copy = malloc(n ? n : 1); // exact, for the address sanitizer
		struct socks_request q;
		size_t need = 0;
		int r;

		assert_non_null(copy);
		memcpy(copy, row->data, n);
		r = p(copy, n, &q, &need);
		free(copy);
		if (r == 0) {
			assert_false(answered);
			assert_in_range(need, n + 1, max);
			if (row->result > 0)
				assert_true(need <= (size_t)row->result);
			continue;
		}
		answered = true;
		if (r != row->result)
			fail_msg("%d at %zu, not %d", r, n, row->result);
		if (r > 0)
			assert_true(n >= (size_t)r);
	}
}

static void check(parse *p, const struct row *rows, size_t count, size_t max)
{
	for (size_t i = 0; i < count; i++) {
		char host[HOST_STRLEN];
		struct socks_request q;
		int r = p((const uint8_t *)rows[i].data, rows[i].len, &q, NULL);

		if (r != rows[i].result)
			fail_msg("row %zu: %d (%s)", i, r, r < 0 ? socks_error_name(r) : "");
		check_prefixes(p, &rows[i], max);
		if (r <= 0)
			continue;
		assert_int_equal(q.command, rows[i].command);
		host_format(&q.host, host);
		assert_string_equal(host, rows[i].host);
		if (rows[i].user_id)
			assert_true(slice_equal(q.user_id, slice_from_string(rows[i].user_id)));
	}
}

static void socks4_requests(void **state)
{
	static const struct row rows[] = {
		{T("\4\1\0\x50\x0a\1\2\3\0"), 9, SOCKS_CONNECT, "10.1.2.3:80", ""},
		{T("\4\1\0\x50\x0a\1\2\3joe\0rest"), 12, SOCKS_CONNECT, "10.1.2.3:80", "joe"},
		{T("\4\2\0\0\xff\xff\xff\xff\0"), 9, SOCKS_BIND, "255.255.255.255:0", ""},
		{T("\4\1\1\xbb\0\0\0\1joe\0Example.com\0x"), 24, SOCKS_CONNECT, "example.com:443",
		 "joe"},
		{T("\4\1\1\xbb\0\0\0\xff\0::1\0"), 13, SOCKS_CONNECT, "[::1]:443", ""},
		{T("\4\1\0\x50\0\0\0\0\0"), 9, SOCKS_CONNECT, "0.0.0.0:80", ""},
		{T("\4\1\0\x50\0\0\1\0\0"), 9, SOCKS_CONNECT, "0.0.1.0:80", ""},
		{T("\4\1\0\x50\0\0\0\1\0a b\0"), 13, SOCKS_CONNECT, "-", ""}, // see bad_names
		{T("\4\1\0\x50\0\0\0\1\0\0"), -SOCKS_E_NAME, 0, NULL, NULL},
		{T("\4\3"), -SOCKS_E_COMMAND, 0, NULL, NULL},
		{T("\4\0"), -SOCKS_E_COMMAND, 0, NULL, NULL},
		{T("\5"), -SOCKS_E_VERSION, 0, NULL, NULL},
		{T("\4\1\0\x50\x0a\1\2\3joe"), 0, 0, NULL, NULL},
	};

	check(socks4_parse_request, rows, COUNT(rows), SOCKS4_REQUEST_MAX);
}

static void socks4_limits(void **state)
{
	uint8_t data[SOCKS4_REQUEST_MAX + 1] = {4, 1, 0, 80, 0, 0, 0, 1};
	struct socks_request q;
	struct row row = {.data = (const char *)data, .len = 8 + 256};

	memset(data + 8, 'u', 255);
	memset(data + 8 + 256, 'n', 255);
	assert_int_equal(socks4_parse_request(data, SOCKS4_REQUEST_MAX, &q, NULL),
			 SOCKS4_REQUEST_MAX);
	assert_int_equal(q.user_id.len, 255);
	assert_int_equal(q.name.len, 255);
	assert_int_equal(q.host_error, -ENAMETOOLONG);
	data[8 + 255] = 'u';
	row.result = -SOCKS_E_USER_ID;
	check_prefixes(socks4_parse_request, &row, SOCKS4_REQUEST_MAX);
	data[8 + 255] = 0;
	data[8 + 256 + 255] = 'n';
	row.len = SOCKS4_REQUEST_MAX + 1;
	row.result = -SOCKS_E_NAME;
	check_prefixes(socks4_parse_request, &row, SOCKS4_REQUEST_MAX);
}

static void socks5_requests(void **state)
{
	static const struct row rows[] = {
		{T("\5\1\0\1\x0a\1\2\3\0\x50"), 10, SOCKS_CONNECT, "10.1.2.3:80", NULL},
		{T("\5\2\0\1\0\0\0\0\0\0rest"), 10, SOCKS_BIND, "0.0.0.0:0", NULL},
		{T("\5\3\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"), 22, SOCKS_UDP_ASSOCIATE,
		 "[2001:db8::1]:443", NULL},
		{T("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\1\xbb"), 22, SOCKS_CONNECT,
		 "127.0.0.1:443", NULL},
		{T("\5\1\0\3\x0b"
		   "Example.com\1\xbb"),
		 18, SOCKS_CONNECT, "example.com:443", NULL},
		{T("\5\1\0\3\x09"
		   "127.0.0.1\0\x50"),
		 16, SOCKS_CONNECT, "127.0.0.1:80", NULL},
		{T("\5\1\0\3\1a\0\1"), 8, SOCKS_CONNECT, "a:1", NULL},
		{T("\5\1\0\3\0\0\x50"), -SOCKS_E_NAME, 0, NULL, NULL},
		{T("\5\1\0\2"), -SOCKS_E_ADDRESS_TYPE, 0, NULL, NULL},
		{T("\5\1\0\0"), -SOCKS_E_ADDRESS_TYPE, 0, NULL, NULL},
		{T("\5\1\1"), -SOCKS_E_RESERVED, 0, NULL, NULL},
		{T("\5\4"), -SOCKS_E_COMMAND, 0, NULL, NULL},
		{T("\5\0"), -SOCKS_E_COMMAND, 0, NULL, NULL},
		{T("\4"), -SOCKS_E_VERSION, 0, NULL, NULL},
		{T("\5\1\0\3\5exam"), 0, 0, NULL, NULL},
	};

	check(socks5_parse_request, rows, COUNT(rows), SOCKS5_REQUEST_MAX);
}

static void bad_names_are_told_apart_from_bad_framing(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		int error;
		const char *name;
	} rows[] = {
		{T("\5\1\0\3\5"
		   "127.1\0\x50"),
		 -EDOM, "127.1"},
		{T("\5\1\0\3\3a b\0\x50"), -EILSEQ, "a b"},
		{T("\5\1\0\3\4a..b\0\x50"), -EINVAL, "a..b"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct socks_request q;

		assert_int_equal(
			socks5_parse_request((const uint8_t *)rows[i].data, rows[i].len, &q, NULL),
			rows[i].len);
		assert_int_equal(q.host_error, rows[i].error);
		assert_int_equal(q.host.kind, HOST_NONE);
		assert_int_equal(q.host.port, 80);
		assert_true(q.named);
		assert_true(slice_equal(q.name, slice_from_string(rows[i].name)));
	}
}

static void greetings(void **state)
{
	uint8_t data[SOCKS5_GREETING_MAX] = {5, 255};
	struct socks5_greeting g;
	size_t need;

	assert_int_equal(socks5_parse_greeting(NULL, 0, &g, &need), 0);
	assert_int_equal(need, 3);
	assert_int_equal(socks5_parse_greeting((const uint8_t *)"\5\2\0", 3, &g, &need), 0);
	assert_int_equal(need, 4);
	assert_int_equal(socks5_parse_greeting((const uint8_t *)"\5\2\1\2\5", 5, &g, &need), 4);
	assert_true(socks5_greeting_offers(&g, SOCKS5_METHOD_PASSWORD));
	assert_true(socks5_greeting_offers(&g, SOCKS5_METHOD_GSSAPI));
	assert_false(socks5_greeting_offers(&g, SOCKS5_METHOD_NONE));
	assert_int_equal(socks5_parse_greeting((const uint8_t *)"\5\0", 2, &g, NULL),
			 -SOCKS_E_NO_METHODS);
	assert_int_equal(socks5_parse_greeting((const uint8_t *)"\4", 1, &g, NULL),
			 -SOCKS_E_VERSION);
	for (size_t n = 2; n < sizeof(data); n++)
		assert_int_equal(socks5_parse_greeting(data, n, &g, NULL), 0);
	assert_int_equal(socks5_parse_greeting(data, sizeof(data), &g, NULL), 257);
}

static void credentials(void **state)
{
	static const char whole[] = "\1\3joe\6secretX";
	uint8_t longest[SOCKS5_AUTH_MAX];
	struct socks5_auth a;
	size_t need;

	for (size_t n = 0; n < 12; n++) {
		assert_int_equal(socks5_parse_auth((const uint8_t *)whole, n, &a, &need), 0);
		assert_in_range(need, n + 1, 12);
	}
	assert_int_equal(socks5_parse_auth((const uint8_t *)whole, 13, &a, NULL), 12);
	assert_true(slice_equal(a.user, SLICE("joe")));
	assert_true(slice_equal(a.password, SLICE("secret")));
	assert_int_equal(socks5_parse_auth((const uint8_t *)"\1\0\0", 3, &a, NULL), 3);
	assert_int_equal(a.user.len + a.password.len, 0);
	assert_int_equal(socks5_parse_auth((const uint8_t *)"\5", 1, &a, NULL), -SOCKS_E_VERSION);
	assert_int_equal(socks5_parse_auth((const uint8_t *)"\1\3a\0b\1x", 7, &a, NULL),
			 -SOCKS_E_CREDENTIALS);
	assert_int_equal(socks5_parse_auth((const uint8_t *)"\1\1x\3a\0b", 7, &a, NULL),
			 -SOCKS_E_CREDENTIALS);
	memset(longest, 'x', sizeof(longest));
	longest[0] = 1;
	longest[1] = longest[257] = 255;
	assert_int_equal(socks5_parse_auth(longest, sizeof(longest), &a, NULL), sizeof(longest));
	assert_int_equal(a.password.len, 255);
}

static void replies(void **state)
{
	struct endpoint v4 = endpoint_v4(0xc0000201, 0x1234), v6;
	uint8_t buf[SOCKS5_REPLY_MAX];

	assert_int_equal(endpoint_parse("[2001:db8::1]:80", 16, 0, &v6), 0);
	assert_int_equal(socks5_build_reply(buf, SOCKS5_REPLY_SUCCEEDED, &v4), 10);
	assert_memory_equal(buf, "\5\0\0\1\xc0\0\2\1\x12\x34", 10);
	assert_int_equal(socks5_build_reply(buf, SOCKS5_REPLY_REFUSED, NULL), 10);
	assert_memory_equal(buf, "\5\5\0\1\0\0\0\0\0\0", 10);
	assert_int_equal(socks5_build_reply(buf, SOCKS5_REPLY_REFUSED, &(struct endpoint){0}), 10);
	assert_memory_equal(buf, "\5\5\0\1\0\0\0\0\0\0", 10);
	assert_int_equal(socks5_build_reply(buf, SOCKS5_REPLY_SUCCEEDED, &v6), 22);
	assert_memory_equal(buf, "\5\0\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 22);
	assert_int_equal(socks5_build_choice(buf, SOCKS5_METHOD_NO_ACCEPTABLE), 2);
	assert_memory_equal(buf, "\5\xff", 2);
	assert_int_equal(socks5_build_auth_reply(buf, true), 2);
	assert_memory_equal(buf, "\1\0", 2);
	socks5_build_auth_reply(buf, false);
	assert_memory_equal(buf, "\1\1", 2);
	assert_int_equal(socks4_build_reply(buf, SOCKS4_REPLY_GRANTED, &v4), 8);
	assert_memory_equal(buf, "\0\x5a\x12\x34\xc0\0\2\1", 8);
	socks4_build_reply(buf, SOCKS4_REPLY_REJECTED, NULL);
	assert_memory_equal(buf, "\0\x5b\0\0\0\0\0\0", 8);
	socks4_build_reply(buf, SOCKS4_REPLY_GRANTED, &v6);
	assert_memory_equal(buf, "\0\x5a\0\x50\0\0\0\0", 8);
}

static void reply_codes(void **state)
{
	static const struct {
		int error;
		enum socks5_reply reply;
	} rows[] = {
		{0, SOCKS5_REPLY_SUCCEEDED},
		{EACCES, SOCKS5_REPLY_NOT_ALLOWED},
		{ENETUNREACH, SOCKS5_REPLY_NETWORK_UNREACHABLE},
		{EHOSTUNREACH, SOCKS5_REPLY_HOST_UNREACHABLE},
		{ENODATA, SOCKS5_REPLY_HOST_UNREACHABLE},
		{ECONNREFUSED, SOCKS5_REPLY_REFUSED},
		{ETIMEDOUT, SOCKS5_REPLY_TTL_EXPIRED},
		{EOPNOTSUPP, SOCKS5_REPLY_COMMAND},
		{EAFNOSUPPORT, SOCKS5_REPLY_ADDRESS_TYPE},
		{ENOMEM, SOCKS5_REPLY_FAILURE},
		{ECONNRESET, SOCKS5_REPLY_FAILURE},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(socks5_reply_of_errno(rows[i].error), rows[i].reply);
		assert_int_equal(socks5_reply_of_errno(-rows[i].error), rows[i].reply);
		assert_string_not_equal(socks5_reply_text(rows[i].reply), "?");
	}
	// What a parent's reply becomes here goes on to a client as the same code.
	for (unsigned code = 0; code <= 8; code++)
		assert_int_equal(socks5_reply_of_errno(socks5_errno_of_reply(code)), code);
	assert_int_equal(socks5_errno_of_reply(9), -EPROTO);
	assert_string_equal(socks5_reply_text(0xff), "?");
	assert_int_equal(socks4_reply_of_errno(0), SOCKS4_REPLY_GRANTED);
	assert_int_equal(socks4_reply_of_errno(-EACCES), SOCKS4_REPLY_REJECTED);
	assert_int_equal(socks5_reply_of_error(-SOCKS_E_COMMAND), SOCKS5_REPLY_COMMAND);
	assert_int_equal(socks5_reply_of_error(-SOCKS_E_ADDRESS_TYPE), SOCKS5_REPLY_ADDRESS_TYPE);
	assert_int_equal(socks5_reply_of_error(-SOCKS_E_RESERVED), SOCKS5_REPLY_FAILURE);
	assert_int_equal(socks4_reply_of_error(-SOCKS_E_COMMAND), SOCKS4_REPLY_REJECTED);
}

static void datagrams(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		int result;
	} rows[] = {
		{T("\0\0\0\1\x0a\1\2\3\0\x35payload"), 10},
		{T("\0\0\0\1\x0a\1\2\3\0\x35"), 10},
		{T("\0\0\1\1\x0a\1\2\3\0\x35payload"), 10},
		{T("\0\0\0\3\1a\0\x35payload"), 8},
		{T("\0\0\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x35x"), 22},
		{T("\0\1\0\1\x0a\1\2\3\0\x35"), -SOCKS_E_RESERVED},
		{T("\1\0\0\1\x0a\1\2\3\0\x35"), -SOCKS_E_RESERVED},
		{T("\0\0\0\2\x0a\1\2\3\0\x35"), -SOCKS_E_ADDRESS_TYPE},
		{T("\0\0\0\3\0\0\x35"), -SOCKS_E_NAME},
		{T("\0\0\0\1\x0a\1\2\3\0"), -SOCKS_E_TRUNCATED},
		{T("\0\0\0\3\xffgoogle"), -SOCKS_E_TRUNCATED},
		{T("\0\0\0"), -SOCKS_E_TRUNCATED},
		{T(""), -SOCKS_E_TRUNCATED},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const uint8_t *data = (const uint8_t *)rows[i].data;
		uint8_t built[SOCKS_UDP_HEADER_MAX];
		struct socks_udp_header h;
		int r = socks_udp_parse(data, rows[i].len, &h);

		if (r != rows[i].result)
			fail_msg("row %zu: %d", i, r);
		if (r < 0)
			continue;
		assert_int_equal(h.port, 53);
		assert_int_equal(h.fragment, data[2]);
		if (h.named) {
			assert_false(endpoint_is_set(&h.address));
			assert_true(slice_equal(h.name, SLICE("a")));
			continue;
		}
		assert_int_equal(socks_udp_header_len(&h.address), r);
		assert_int_equal(socks_udp_build(built, &h.address), r);
		built[2] = data[2];
		assert_memory_equal(built, data, (size_t)r);
	}
}

static void datagram_to_a_name(void **state)
{
	uint8_t built[SOCKS_UDP_HEADER_MAX];
	struct socks_udp_header h;
	struct host host;

	assert_int_equal(host_parse("example.com:53", 14, 0, &host), 0);
	assert_int_equal(socks_udp_build_host(built, &host), 18);
	assert_int_equal(socks_udp_parse(built, 18, &h), 18);
	assert_true(slice_equal(h.name, SLICE("example.com")));
	assert_int_equal(h.port, 53);
}

static void runs_of_datagrams(void **state)
{
	static const uint8_t data[] = "Ha1Ha2Hb1Ha4Ha";
	const size_t len = sizeof(data) - 1;

	assert_int_equal(socks_udp_run(data, len, 3, 0, 2), 6);
	assert_int_equal(socks_udp_run(data, len, 3, 0, 1), len); // the last one is shorter
	assert_int_equal(socks_udp_run(data, len, 3, 0, 3), 3);
	assert_int_equal(socks_udp_run(data, len, 3, 3, 2), 3);
	assert_int_equal(socks_udp_run(data, len, 3, 6, 2), 3);
	assert_int_equal(socks_udp_run(data, len, 3, 9, 2), 5);
	assert_int_equal(socks_udp_run(data, len, 3, 12, 2), 2);
	assert_int_equal(socks_udp_run(data, len - 1, 3, 9, 2), 3); // too short for the header
	assert_int_equal(socks_udp_run(data, len, 100, 0, 2), len);
	assert_int_equal(socks_udp_run(data, len, len, 0, len), len);
}

static void errors_have_names(void **state)
{
	for (int e = 0; e < SOCKS_E_COUNT; e++) {
		assert_string_not_equal(socks_error_name(-e), "?");
		assert_string_equal(socks_error_name(e), socks_error_name(-e));
		assert_string_not_equal(socks_error_text(-e), "?");
	}
	assert_string_equal(socks_error_name(-1000), "?");
	assert_string_equal(socks_error_text(INT32_MIN), "?");
	assert_string_equal(socks_command_name(SOCKS_BIND), "bind");
	assert_string_equal(socks_command_name(99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socks4_requests),
		cmocka_unit_test(socks4_limits),
		cmocka_unit_test(socks5_requests),
		cmocka_unit_test(bad_names_are_told_apart_from_bad_framing),
		cmocka_unit_test(greetings),
		cmocka_unit_test(credentials),
		cmocka_unit_test(replies),
		cmocka_unit_test(reply_codes),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(datagram_to_a_name),
		cmocka_unit_test(runs_of_datagrams),
		cmocka_unit_test(errors_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
