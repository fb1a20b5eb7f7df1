// SPDX-License-Identifier: Apache-2.0
// PROXY protocol headers of both versions: taken strictly, and built so that they are taken.
#include "proto/proxyproto/proxyproto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define T(text) text, sizeof(text) - 1
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct row {
	const char *data;
	size_t len;
	int result;
	enum proxyproto_kind kind;
	const char *source, *destination;
};

static void check_prefixes(const struct row *row)
{
	bool answered = false;

	for (size_t n = 0; n <= row->len; n++) {
		uint8_t *copy = malloc(n ? n : 1); // exact, for the address sanitizer
		struct proxyproto h;
		size_t need = 0;
		int r;

		assert_non_null(copy);
		memcpy(copy, row->data, n);
		r = proxyproto_parse(copy, n, &h, &need);
		free(copy);
		if (r == 0) {
			assert_false(answered);
			assert_in_range(need, n + 1, PROXYPROTO_MAX);
			if (row->result > 0)
				assert_true(need <= (size_t)row->result);
			continue;
		}
		answered = true;
		if (r != row->result)
			fail_msg("%s: %d at %zu, not %d", row->data, r, n, row->result);
	}
}

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char buf[ENDPOINT_STRLEN];
		struct proxyproto h;
		int r = proxyproto_parse((const uint8_t *)rows[i].data, rows[i].len, &h, NULL);

		if (r != rows[i].result)
			fail_msg("row %zu, %s: %d (%s)", i, rows[i].data, r,
				 r < 0 ? proxyproto_error_name(r) : "");
		check_prefixes(&rows[i]);
		if (r <= 0)
			continue;
		assert_int_equal(h.kind, rows[i].kind);
		endpoint_format(&h.source, buf);
		assert_string_equal(buf, rows[i].source ? rows[i].source : "-");
		endpoint_format(&h.destination, buf);
		assert_string_equal(buf, rows[i].destination ? rows[i].destination : "-");
	}
}

static void version_1(void **state)
{
	static const struct row rows[] = {
		{T("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET"), 45, PROXYPROTO_PROXIED,
		 "192.0.2.1:56324", "198.51.100.2:443"},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n"), 36, PROXYPROTO_PROXIED, "1.2.3.4:0",
		 "5.6.7.8:65535"},
		{T("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), 32, PROXYPROTO_PROXIED, "[2001:db8::1]:1",
		 "[::1]:2"},
		{T("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), 35, PROXYPROTO_PROXIED, "1.2.3.4:1",
		 "[::1]:2"},
		{T("PROXY UNKNOWN\r\n"), 15, PROXYPROTO_UNKNOWN, NULL, NULL},
		{T("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), 35, PROXYPROTO_UNKNOWN, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL,
		 NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL,
		 NULL},
		{T("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL,
		 NULL},
		{T("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL,
		 NULL},
		{T("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY UNKNOWNX\r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY \r\n"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP4 ::1 ::1 1 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY TCP6 fe80::1%1 ::1 1 2\r\n"), -PROXYPROTO_E_ADDRESS, 0, NULL, NULL},
		{T("PROXY\tTCP4"), -PROXYPROTO_E_SIGNATURE, 0, NULL, NULL},
		{T("PROXY TCP4\t1"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("PROXY TCP4\0001"), -PROXYPROTO_E_LINE_FORMAT, 0, NULL, NULL},
		{T("proxy "), -PROXYPROTO_E_SIGNATURE, 0, NULL, NULL},
		{T("GET / HTTP/1.1"), -PROXYPROTO_E_SIGNATURE, 0, NULL, NULL},
	};

	check(rows, COUNT(rows));
}

static void version_1_line_length(void **state)
{
	char line[120] = "PROXY UNKNOWN ";
	struct row row = {.data = line, .len = 107, .result = 107, .kind = PROXYPROTO_UNKNOWN};

	memset(line + 14, 'x', sizeof(line) - 14);
	memcpy(line + 105, "\r\n", 2);
	check(&row, 1);
	memcpy(line + 105, "x\r\n", 3);
	row.len = 108;
	row.result = -PROXYPROTO_E_LINE_LENGTH;
	check(&row, 1);
}

static void version_2(void **state)
{
	static const struct row rows[] = {
		{T(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbbx"), 28,
		 PROXYPROTO_PROXIED, "192.0.2.1:56324", "198.51.100.2:443"},
		{T(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"), 28,
		 PROXYPROTO_PROXIED, "192.0.2.1:56324", "198.51.100.2:443"},
		{T(SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
			     "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4\0\1\0\2"),
		 52, PROXYPROTO_PROXIED, "[2001:db8::1]:1", "1.2.3.4:2"},
		{T(SIGNATURE "\x20\0\0\0"), 16, PROXYPROTO_LOCAL, NULL, NULL},
		{T(SIGNATURE "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"), 28,
		 PROXYPROTO_LOCAL, NULL, NULL},
		{T(SIGNATURE "\x20\x11\0\2ab"), 18, PROXYPROTO_LOCAL, NULL, NULL},
		{T(SIGNATURE "\x21\0\0\0"), 16, PROXYPROTO_UNKNOWN, NULL, NULL},
		{T(SIGNATURE "\x21\x10\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"), 28,
		 PROXYPROTO_UNKNOWN, NULL, NULL},
		// TLVs: one of two bytes, one empty.
		{T(SIGNATURE "\x21\x11\0\x14\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb\1\0\2h2\4\0\0"),
		 36, PROXYPROTO_PROXIED, "192.0.2.1:56324", "198.51.100.2:443"},
		{T(SIGNATURE "\x21\x11\0\x0e\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb\1\0"),
		 -PROXYPROTO_E_TLV, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x11\0\x11\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb\1\0\3h2"),
		 -PROXYPROTO_E_TLV, 0, NULL, NULL},
		{T(SIGNATURE "\x21\0\0\5\3\0\2ab"), -PROXYPROTO_E_TLV, 0, NULL, NULL},
		{T(SIGNATURE "\x21\0\0\7\3\0\4abcd"), -PROXYPROTO_E_CHECKSUM, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x11\0\x0b"), -PROXYPROTO_E_TOO_SHORT, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x21\0\x23"), -PROXYPROTO_E_TOO_SHORT, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x31\0\xd7"), -PROXYPROTO_E_TOO_SHORT, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x11\x0f\xf1"), -PROXYPROTO_E_TOO_LONG, 0, NULL, NULL},
		{T(SIGNATURE "\x11"), -PROXYPROTO_E_VERSION, 0, NULL, NULL},
		{T(SIGNATURE "\x31"), -PROXYPROTO_E_VERSION, 0, NULL, NULL},
		{T(SIGNATURE "\x22"), -PROXYPROTO_E_COMMAND, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x41"), -PROXYPROTO_E_FAMILY, 0, NULL, NULL},
		{T(SIGNATURE "\x21\x13"), -PROXYPROTO_E_FAMILY, 0, NULL, NULL},
		{T("\r\n\r\n\0\r\nQUIT\r"), -PROXYPROTO_E_SIGNATURE, 0, NULL, NULL},
	};

	check(rows, COUNT(rows));
}

static void unix_addresses_are_unknown(void **state)
{
	char data[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/sock";
	struct row row = {.data = data, .len = sizeof(data), .result = sizeof(data)};

	row.kind = PROXYPROTO_UNKNOWN;
	check(&row, 1);
}

static void checksum(void **state)
{
	static uint8_t data[] =
		SIGNATURE "\x21\x11\0\x13\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb\3\0\4crc!";
	size_t len = sizeof(data) - 1;
	struct proxyproto h;
	uint32_t crc = UINT32_MAX;

	memset(data + len - 4, 0, 4);
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		data[len - 4 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_int_equal(proxyproto_parse(data, len, &h, NULL), len);
	for (size_t i = 16; i < len - 7; i++) {
		data[i] ^= 0x10;
		assert_int_equal(proxyproto_parse(data, len, &h, NULL), -PROXYPROTO_E_CHECKSUM);
		data[i] ^= 0x10;
	}
	data[len - 1] ^= 1;
	assert_int_equal(proxyproto_parse(data, len, &h, NULL), -PROXYPROTO_E_CHECKSUM);
}

// The checksum comes from another implementation, one that has e3069283 for "123456789".
static void checksum_made_elsewhere(void **state)
{
	static const uint8_t data[] = SIGNATURE "\x21\x11\0\x13\x7f\0\0\1\x7f\0\0\1\x30\x39\0\x50"
						"\3\0\4\xd6\x41\x75\xaf";
	struct proxyproto h;

	assert_int_equal(proxyproto_parse(data, sizeof(data) - 1, &h, NULL), sizeof(data) - 1);
}

static void tlvs_in_order(void **state)
{
	static const uint8_t data[] = SIGNATURE "\x21\0\0\x13\1\0\2h2\2\0\1a\4\0\0\xee\0\4wxyz";
	struct slice tlvs, value;
	struct proxyproto h;
	uint8_t type;

	assert_int_equal(proxyproto_parse(data, sizeof(data) - 1, &h, NULL), sizeof(data) - 1);
	tlvs = h.tlvs;
	assert_true(proxyproto_next_tlv(&tlvs, &type, &value));
	assert_int_equal(type, PROXYPROTO_TLV_ALPN);
	assert_true(slice_equal(value, SLICE("h2")));
	assert_true(proxyproto_next_tlv(&tlvs, &type, &value));
	assert_true(slice_equal(value, SLICE("a")));
	assert_true(proxyproto_next_tlv(&tlvs, &type, &value));
	assert_int_equal(value.len, 0);
	assert_true(proxyproto_next_tlv(&tlvs, &type, &value));
	assert_int_equal(type, 0xee);
	assert_false(proxyproto_next_tlv(&tlvs, &type, &value));
}

static void builds_what_it_parses(void **state)
{
	static const struct {
		const char *source, *destination, *line;
		size_t v2;
	} rows[] = {
		{"192.0.2.1:56324", "198.51.100.2:443",
		 "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 28},
		{"[2001:db8::1]:1", "[::1]:65535", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", 52},
		{"192.0.2.1:1", "[::1]:2", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", 52},
		{"[fffe:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535",
		 "[fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		 "PROXY TCP6 fffe:ffff:ffff:ffff:ffff:ffff:ffff:fffe "
		 "fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		 52},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char line[PROXYPROTO_V1_BUILD_MAX];
		uint8_t header[PROXYPROTO_V2_BUILD_MAX];
		struct endpoint source, destination;
		struct proxyproto h;
		size_t len;

		assert_int_equal(endpoint_parse(rows[i].source, strlen(rows[i].source), 0, &source),
				 0);
		assert_int_equal(endpoint_parse(rows[i].destination, strlen(rows[i].destination), 0,
						&destination),
				 0);
		len = proxyproto_build_v1(line, &source, &destination);
		assert_string_equal(line, rows[i].line);
		assert_int_equal(len, strlen(line));
		assert_int_equal(proxyproto_parse((uint8_t *)line, len, &h, NULL), len);
		assert_true(endpoint_equal(&h.source, &source));
		assert_true(endpoint_equal(&h.destination, &destination));
		len = proxyproto_build_v2(header, &source, &destination, PROXYPROTO_DATAGRAM);
		assert_int_equal(len, rows[i].v2);
		assert_int_equal(proxyproto_parse(header, len, &h, NULL), len);
		assert_true(endpoint_equal(&h.source, &source));
		assert_true(endpoint_equal(&h.destination, &destination));
		assert_int_equal(h.transport, PROXYPROTO_DATAGRAM);
		assert_int_equal(h.version, 2);
	}
}

static void builds_without_addresses(void **state)
{
	char line[PROXYPROTO_V1_BUILD_MAX];
	uint8_t header[PROXYPROTO_V2_BUILD_MAX];
	struct endpoint ep = endpoint_v4(1, 1), unset = {0};
	struct proxyproto h;

	assert_int_equal(proxyproto_build_v1(line, &ep, &unset), 15);
	assert_string_equal(line, "PROXY UNKNOWN\r\n");
	assert_int_equal(proxyproto_build_v2(header, NULL, &unset, PROXYPROTO_STREAM), 16);
	assert_int_equal(proxyproto_parse(header, 16, &h, NULL), 16);
	assert_int_equal(h.kind, PROXYPROTO_LOCAL);
	assert_int_equal(proxyproto_build_v2(header, &ep, NULL, PROXYPROTO_STREAM), 16);
	assert_int_equal(proxyproto_parse(header, 16, &h, NULL), 16);
	assert_int_equal(h.kind, PROXYPROTO_UNKNOWN);
}

static void errors_have_names(void **state)
{
	for (int e = 0; e < PROXYPROTO_E_COUNT; e++) {
		assert_string_not_equal(proxyproto_error_name(-e), "?");
		assert_string_not_equal(proxyproto_error_text(e), "?");
	}
	assert_string_equal(proxyproto_error_name(-1000), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1),
		cmocka_unit_test(version_1_line_length),
		cmocka_unit_test(version_2),
		cmocka_unit_test(unix_addresses_are_unknown),
		cmocka_unit_test(checksum),
		cmocka_unit_test(checksum_made_elsewhere),
		cmocka_unit_test(tlvs_in_order),
		cmocka_unit_test(builds_what_it_parses),
		cmocka_unit_test(builds_without_addresses),
		cmocka_unit_test(errors_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
