// SPDX-License-Identifier: Apache-2.0
// Recognition: each protocol from as few bytes as can tell, and never two answers for one client.
#include "proto/detect/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define PROXY (PROTOCOL_BIT(PROTOCOL_PROXY1) | PROTOCOL_BIT(PROTOCOL_PROXY2))
#define UNDECIDED PROTOCOL_COUNT

// The answer for `len` bytes, and that every prefix agrees: undecided, or the same.
static enum protocol whole_and_prefixes(const uint8_t *data, size_t len, unsigned accept,
					size_t *ret_decided_at)
{
	enum protocol first = UNDECIDED;

	for (size_t n = 0; n <= len; n++) {
		enum protocol p = UNDECIDED;
		size_t missing = detect(n ? data : NULL, n, accept, &p);

		if (first != UNDECIDED) {
			assert_int_equal(missing, 0);
			assert_int_equal(p, first);
			continue;
		}
		if (missing == 0) {
			first = p;
			*ret_decided_at = n;
		}
	}
	return first;
}

static void recognises(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		enum protocol protocol;
		size_t at; // decided with so many bytes
	} rows[] = {
#define T(text) text, sizeof(text) - 1
		{T("\x05\x01\x00"), PROTOCOL_SOCKS5, 1},
		{T("\x04\x01\x00\x50\x01\x02\x03\x04\x00"), PROTOCOL_SOCKS4, 1},
		{T("\x06"), PROTOCOL_RAW, 1},
		{T("GET / HTTP/1.1\r\n"), PROTOCOL_HTTP1, 4},
		{T("CONNECT example.com:443 HTTP/1.1\r\n"), PROTOCOL_HTTP1, 8},
		{T("POST / HTTP/1.1"), PROTOCOL_HTTP1, 5},
		{T("PUT / HTTP/1.1"), PROTOCOL_HTTP1, 4},
		{T("PATCH / HTTP/1.1"), PROTOCOL_HTTP1, 6},
		{T("PROPFIND / HTTP/1.1"), PROTOCOL_HTTP1, 9},
		{T("\r\nGET / HTTP/1.1"), PROTOCOL_HTTP1, 6},
		{T("\r\n\r\nGET / HTTP/1.1"), PROTOCOL_HTTP1, 8},
		{T("\r\n\r\n\r\nGET / HTTP/1.1"), PROTOCOL_RAW, 5},
		{T("\rGET / HTTP/1.1"), PROTOCOL_RAW, 2},
		{T("\nGET / HTTP/1.1"), PROTOCOL_RAW, 1},
		{T("FROB /x HTTP/1.1\r\n"), PROTOCOL_HTTP1, 15},
		{T("FROB-2 * HTTP/1.0"), PROTOCOL_HTTP1, 16},
		{T("PRI * HTTP/1.1\r\n"), PROTOCOL_HTTP1, 13},
		{T("GETTY /x HTTP/1.1"), PROTOCOL_HTTP1, 16},
		{T("GET\t/ HTTP/1.1"), PROTOCOL_RAW, 4},
		{T("get / HTTP/1.1"), PROTOCOL_RAW, 1},
		{T("SET key value\r\n"), PROTOCOL_RAW, 9},
		{T("EHLO example.com\r\n"), PROTOCOL_RAW, 17},
		{T("QUIT\r\n"), PROTOCOL_RAW, 5},
		{T("SSH-2.0-OpenSSH_9.2\r\n"), PROTOCOL_RAW, 6},
		{T("FROB  /x HTTP/1.1"), PROTOCOL_RAW, 6},
		{T("FROB /x HTTP/2.0"), PROTOCOL_RAW, 14},
		{T("-FROB /x HTTP/1.1"), PROTOCOL_RAW, 1},
		{T("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), PROTOCOL_HTTP2, 24},
		{T("PRI * HTTP/2.0\r\n\r\nSX"), PROTOCOL_RAW, 20},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), PROTOCOL_PROXY1, 6},
		{T("\r\n\r\n\0\r\nQUIT\n\x21"), PROTOCOL_PROXY2, 12},
		{T("\r\n\r\n\0\r\nQUIT\r"), PROTOCOL_RAW, 12},
		{T("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"), PROTOCOL_TLS, 6},
		{T("\x16\x03\x03\x40\x00\x01"), PROTOCOL_TLS, 6},
		{T("\x16\x03\x00\x00\x01\x01"), PROTOCOL_TLS, 6},
		{T("\x16\x03\x03\x40\x01\x01"), PROTOCOL_RAW, 5},
		{T("\x16\x03\x03\x41"), PROTOCOL_RAW, 4},
		{T("\x16\x03\x03\x00\x00\x01"), PROTOCOL_RAW, 5},
		{T("\x16\x03\x05"), PROTOCOL_RAW, 3},
		{T("\x16\x02"), PROTOCOL_RAW, 2},
		{T("\x16\x03\x01\x00\x05\x02"), PROTOCOL_RAW, 6},
		{T("\x15\x03\x01"), PROTOCOL_RAW, 1},
		{T("\x80\x2e\x01\x00\x02"), PROTOCOL_RAW, 1}, // SSL 2
		{T("\x00"), PROTOCOL_RAW, 1},
		{T("\xff"), PROTOCOL_RAW, 1},
		{T("PRO"), UNDECIDED, 0},
		{T("FROB /x"), UNDECIDED, 0},
		{T("\r\n\r\n"), UNDECIDED, 0},
		{T(""), UNDECIDED, 0},
#undef T
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t at = 0;
		enum protocol p = whole_and_prefixes((const uint8_t *)rows[i].data, rows[i].len,
						     DETECT_ALL, &at);

		if (p != rows[i].protocol || at != rows[i].at)
			fail_msg("row %zu, %s: %s at %zu", i, rows[i].data, protocol_name(p), at);
	}
}

static void only_what_is_accepted(void **state)
{
	static const struct {
		const char *data;
		unsigned accept;
		enum protocol protocol;
		size_t at;
	} rows[] = {
		{"", 0, PROTOCOL_RAW, 0},
		{"", PROTOCOL_BIT(PROTOCOL_RAW), PROTOCOL_RAW, 0},
		{"GET /", PROTOCOL_BIT(PROTOCOL_SOCKS5), PROTOCOL_RAW, 1},
		{"\x05", PROTOCOL_BIT(PROTOCOL_HTTP1), PROTOCOL_RAW, 1},
		{"\x04", PROTOCOL_BIT(PROTOCOL_SOCKS5), PROTOCOL_RAW, 1},
		// Not from a trusted peer: a method, but the line shows that it is none.
		{"PROXY TCP4 1.2.3.4 ", DETECT_ALL & ~PROXY, PROTOCOL_RAW, 12},
		{"PROXY /x HTTP/1.1", DETECT_ALL & ~PROXY, PROTOCOL_HTTP1, 16},
		{"PROXY /x HTTP/1.1", DETECT_ALL, PROTOCOL_PROXY1, 6},
		{"GET /", PROXY, PROTOCOL_RAW, 1},
		{"PRI * HTTP/2.0\r\n", PROTOCOL_BIT(PROTOCOL_HTTP1), PROTOCOL_RAW, 12},
		{"POST", PROXY, PROTOCOL_RAW, 2},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t at = 0;
		enum protocol p = whole_and_prefixes((const uint8_t *)rows[i].data,
						     strlen(rows[i].data), rows[i].accept, &at);

		if (p != rows[i].protocol || at != rows[i].at)
			fail_msg("row %zu: %s at %zu", i, protocol_name(p), at);
	}
}

static void says_how_much_is_missing(void **state)
{
	static const struct {
		const char *data;
		unsigned accept;
		size_t missing;
	} rows[] = {
		{"", DETECT_ALL, 1},
		{"", PROTOCOL_BIT(PROTOCOL_TLS), 6},
		{"", PROTOCOL_BIT(PROTOCOL_HTTP1), 4},
		{"\r", PROTOCOL_BIT(PROTOCOL_HTTP1), 5},
		{"CONNEC", PROTOCOL_BIT(PROTOCOL_HTTP1), 2},
		{"FROB", PROTOCOL_BIT(PROTOCOL_HTTP1), 10},
		{"FROB ", PROTOCOL_BIT(PROTOCOL_HTTP1), 9},
		{"FROB /", PROTOCOL_BIT(PROTOCOL_HTTP1), 8},
		{"FROB / HTT", PROTOCOL_BIT(PROTOCOL_HTTP1), 4},
		{"\r\n\r\n", PROTOCOL_BIT(PROTOCOL_PROXY2), 8},
		{"P", PROTOCOL_BIT(PROTOCOL_HTTP2), 23},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		enum protocol p;
		size_t missing = detect((const uint8_t *)rows[i].data, strlen(rows[i].data),
					rows[i].accept, &p);

		if (missing != rows[i].missing)
			fail_msg("row %zu: %zu", i, missing);
	}
}

static void unknown_methods_are_bounded(void **state)
{
	static uint8_t line[DETECT_LINE_MAX + 64];
	size_t at = 0;

	memset(line, 'A', sizeof(line));
	assert_int_equal(whole_and_prefixes(line, 64, DETECT_ALL, &at), PROTOCOL_RAW);
	assert_int_equal(at, 33);
	// The longest line that is waited for.
	line[4] = ' ';
	memcpy(line + DETECT_LINE_MAX - 8, " HTTP/1.", 8);
	assert_int_equal(whole_and_prefixes(line, DETECT_LINE_MAX, DETECT_ALL, &at),
			 PROTOCOL_HTTP1);
	assert_int_equal(at, DETECT_LINE_MAX);
	// One more.
	line[DETECT_LINE_MAX - 8] = 'A';
	memcpy(line + DETECT_LINE_MAX - 7, " HTTP/1.", 8);
	assert_int_equal(whole_and_prefixes(line, DETECT_LINE_MAX + 1, DETECT_ALL, &at),
			 PROTOCOL_RAW);
	assert_true(at <= DETECT_LINE_MAX);
}

static void names(void **state)
{
	assert_string_equal(protocol_name(PROTOCOL_SOCKS4), "socks4");
	assert_string_equal(protocol_name(PROTOCOL_RAW), "tcp");
	assert_string_equal(protocol_name(PROTOCOL_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recognises),
		cmocka_unit_test(only_what_is_accepted),
		cmocka_unit_test(says_how_much_is_missing),
		cmocka_unit_test(unknown_methods_are_bounded),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
