// SPDX-License-Identifier: Apache-2.0
// ClientHellos, whole and in pieces, of every record size, and wrong in each of their parts.
#include "proto/tlshello/tlshello.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the ones that it needs
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define LIMIT TLSHELLO_LIMIT_DEFAULT

struct buffer {
	uint8_t data[400 * 1024];
	size_t len;
};

static struct buffer message, wire;

static void put(struct buffer *b, const void *data, size_t len)
{
	assert_true(b->len + len <= sizeof(b->data));
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void put_number(struct buffer *b, size_t value, int bytes)
{
	while (bytes-- > 0) {
		uint8_t byte = (uint8_t)(value >> 8 * bytes);

		put(b, &byte, 1);
	}
}

#define PUT(b, text) put(b, text, sizeof(text) - 1)

// A message up to its extensions. The lengths before them are set by hello_end.
static void hello_begin(unsigned version)
{
	uint8_t random[32] = {0};

	message.len = 0;
	PUT(&message, "\1\0\0\0");
	put_number(&message, version, 2);
	put(&message, random, sizeof(random));
	PUT(&message, "\0\0\4\x13\1\x13\2\1\0\0\0");
}

#define EXTENSIONS_AT 49

static void hello_extension(unsigned type, const char *body, size_t len)
{
	put_number(&message, type, 2);
	put_number(&message, len, 2);
	put(&message, body, len);
}

#define EXTENSION(type, body) hello_extension(type, body, sizeof(body) - 1)

static void hello_end(void)
{
	size_t len = message.len - 4, extensions = message.len - EXTENSIONS_AT;

	for (int i = 0; i < 3; i++)
		message.data[1 + i] = (uint8_t)(len >> (16 - 8 * i));
	message.data[EXTENSIONS_AT - 2] = (uint8_t)(extensions >> 8);
	message.data[EXTENSIONS_AT - 1] = (uint8_t)extensions;
}

// The message in records of at most `size` bytes.
static void records(size_t size)
{
	wire.len = 0;
	for (size_t at = 0; at < message.len; at += size) {
		size_t n = message.len - at < size ? message.len - at : size;

		PUT(&wire, "\x16\3\1");
		put_number(&wire, n, 2);
		put(&wire, message.data + at, n);
	}
}

static void usual_hello(void)
{
	hello_begin(0x0303);
	EXTENSION(0x2a2a, "");
	EXTENSION(0, "\0\x0e\0\0\x0b"
		     "Example.com");
	EXTENSION(16, "\0\x12\2\x3a\x3a\2h2\x08http/1.1\2qq");
	EXTENSION(43, "\x08\x1a\x1a\3\4\3\3\x7f\x1c");
	EXTENSION(51, "0123456789");
	hello_end();
}

static void check_usual(const struct tlshello *t)
{
	struct slice p;
	size_t pos = 0;

	assert_true(t->has_sni);
	assert_int_equal(t->sni_error, 0);
	assert_string_equal(t->sni, "example.com");
	assert_int_equal(t->sni_len, 11);
	assert_true(t->has_alpn);
	assert_true(tlshello_next_alpn(t, &pos, &p));
	assert_true(slice_equal(p, SLICE("h2")));
	assert_true(tlshello_next_alpn(t, &pos, &p));
	assert_true(slice_equal(p, SLICE("http/1.1")));
	assert_true(tlshello_next_alpn(t, &pos, &p));
	assert_false(tlshello_next_alpn(t, &pos, &p));
	assert_true(tlshello_offers(t, SLICE("qq")));
	assert_false(tlshello_offers(t, SLICE("http/1.")));
	assert_int_equal(t->versions, TLSHELLO_TLS12 | TLSHELLO_TLS13);
	assert_string_equal(tlshello_version_name(t), "TLSv1.3");
	assert_int_equal(t->legacy_version, 0x0303);
	assert_false(t->ech);
	assert_false(t->early_data);
}

// Feeds the wire in segments of `cut` and returns the first answer that is not "more".
static int feed(struct tlshello *t, size_t cut, size_t limit)
{
	tlshello_init(t, limit);
	for (size_t n = 0; n < wire.len;) {
		size_t missing = tlshello_missing(t);
		uint8_t *copy;
		int r;

		assert_true(missing > 0);
		n = wire.len - n < cut ? wire.len : n + cut;
		copy = malloc(n ? n : 1); // exact, for the address sanitizer
		assert_non_null(copy);
		memcpy(copy, wire.data, n);
		r = tlshello_feed(t, copy, n);
		free(copy);
		if (r != 0) {
			assert_int_equal(tlshello_feed(t, wire.data, wire.len), r);
			return r;
		}
	}
	return 0;
}

static void whole_and_in_pieces(void **state)
{
	struct tlshello t;

	usual_hello();
	for (size_t size = 1; size <= message.len; size++) {
		records(size);
		for (size_t cut = 1; cut <= 8; cut++) {
			assert_int_equal(feed(&t, cut, LIMIT), 1);
			check_usual(&t);
		}
		assert_int_equal(feed(&t, wire.len, LIMIT), 1);
		check_usual(&t);
	}
}

static void needs_every_byte_and_no_more(void **state)
{
	struct tlshello t;

	usual_hello();
	records(16384);
	tlshello_init(&t, LIMIT);
	for (size_t n = 0; n < wire.len; n++) {
		assert_int_equal(tlshello_feed(&t, wire.data, n), 0);
		assert_in_range(tlshello_missing(&t), 1, wire.len - n);
		// From the header of the message on it is exact.
		if (n >= 9)
			assert_int_equal(tlshello_missing(&t), wire.len - n);
	}
	put(&wire, "\x17\3\3 what comes behind is not looked at", 30);
	assert_int_equal(tlshello_feed(&t, wire.data, wire.len), 1);
}

static void without_records(void **state)
{
	struct tlshello t;

	usual_hello();
	for (size_t cut = 1; cut < message.len; cut++) {
		int r = 0;

		tlshello_init(&t, LIMIT);
		for (size_t at = 0; at < message.len; at += cut) {
			size_t n = message.len - at < cut ? message.len - at : cut;

			assert_int_equal(r, 0);
			assert_in_range(tlshello_missing(&t), 1, message.len - at);
			r = tlshello_feed_message(&t, message.data + at, n);
		}
		assert_int_equal(r, 1);
		check_usual(&t);
	}
}

static void versions_without_the_extension(void **state)
{
	static const struct {
		unsigned legacy, versions;
		const char *name;
	} rows[] = {
		{0x0300, TLSHELLO_SSL3, "SSLv3"},
		{0x0301, TLSHELLO_TLS10, "TLSv1.0"},
		{0x0302, TLSHELLO_TLS10 | TLSHELLO_TLS11, "TLSv1.1"},
		{0x0303, TLSHELLO_TLS10 | TLSHELLO_TLS11 | TLSHELLO_TLS12, "TLSv1.2"},
		{0x0304, TLSHELLO_TLS10 | TLSHELLO_TLS11 | TLSHELLO_TLS12, "TLSv1.2"},
		{0x03ff, TLSHELLO_TLS10 | TLSHELLO_TLS11 | TLSHELLO_TLS12, "TLSv1.2"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tlshello t;

		// No block of extensions at all, and an empty one.
		hello_begin(rows[i].legacy);
		message.len -= 2;
		message.data[3] = (uint8_t)(message.len - 4);
		records(16384);
		assert_int_equal(feed(&t, 999, LIMIT), 1);
		assert_int_equal(t.versions, rows[i].versions);
		assert_string_equal(tlshello_version_name(&t), rows[i].name);
		assert_false(t.has_sni);
		assert_false(t.has_alpn);
		hello_begin(rows[i].legacy);
		hello_end();
		records(16384);
		assert_int_equal(feed(&t, 999, LIMIT), 1);
		assert_int_equal(t.versions, rows[i].versions);
	}
}

static void ech_and_early_data(void **state)
{
	struct tlshello t;

	hello_begin(0x0303);
	EXTENSION(0xfe0d, "\0whatever");
	EXTENSION(42, "");
	hello_end();
	records(16384);
	assert_int_equal(feed(&t, 1, LIMIT), 1);
	assert_true(t.ech);
	assert_true(t.early_data);
}

static void names(void **state)
{
	static const struct {
		const char *body;
		size_t len;
		int result, error;
		const char *sni;
	} rows[] = {
#define B(text) text, sizeof(text) - 1
		{B("\0\4\0\0\1a"), 1, 0, "a"},
		{B("\0\5\0\0\2A."), 1, 0, "a"},
		{B("\0\x0c\0\0\x09"
		   "127.0.0.1"),
		 1, -EDOM, ""},
		{B("\0\6\0\0\3::1"), 1, -EILSEQ, ""},
		{B("\0\6\0\0\3a\0b"), 1, -EILSEQ, ""},
		{B("\0\6\0\0\3a b"), 1, -EILSEQ, ""},
		{B("\0\7\0\0\4a..b"), 1, -EINVAL, ""},
		{B("\0\x8\1\0\1x\0\0\1a"), 1, 0, "a"}, // another type of name first
		{B("\0\4\1\0\1x"), 1, 0, ""},
		{B("\0\0"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B(""), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\3\0\0\0"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\4\0\0\2a"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\5\0\0\1a"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\3\0\0\1a"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\5\0\0\1a\0"), -TLSHELLO_E_SERVER_NAME, 0, ""},
		{B("\0\x8\0\0\1a\0\0\1b"), -TLSHELLO_E_SERVER_NAME, 0, ""},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tlshello t;
		int r;

		hello_begin(0x0303);
		hello_extension(0, rows[i].body, rows[i].len);
		hello_end();
		records(16384);
		r = feed(&t, 1, LIMIT);
		if (r != rows[i].result)
			fail_msg("row %zu: %d", i, r);
		if (r < 0)
			continue;
		assert_int_equal(t.sni_error, rows[i].error);
		assert_string_equal(t.sni, rows[i].sni);
		assert_int_equal(t.sni_len, strlen(rows[i].sni));
	}
}

static void long_names(void **state)
{
	char body[5 + 600] = {0};
	struct tlshello t;

	for (size_t len = 253; len < 600; len++) {
		int r;

		body[0] = (char)((len + 3) >> 8);
		body[1] = (char)(len + 3);
		body[3] = (char)(len >> 8);
		body[4] = (char)len;
		memset(body + 5, 'x', len);
		for (size_t i = 60; i < len; i += 60)
			body[5 + i] = '.';
		hello_begin(0x0303);
		hello_extension(0, body, 5 + len);
		hello_end();
		records(100);
		r = feed(&t, 77, LIMIT);
		assert_int_equal(r, len + 5 > TLSHELLO_EXTENSION_MAX ? -TLSHELLO_E_SERVER_NAME : 1);
		if (r > 0)
			assert_int_equal(t.sni_error, len > 253 ? -ENAMETOOLONG : 0);
	}
}

static void malformed_alpn_and_versions(void **state)
{
	static const struct {
		unsigned type;
		const char *body;
		size_t len;
		int result;
	} rows[] = {
		{16, B("\0\3\2h2"), 1},
		{16, B("\0\3\2\x0a\x0a"), 1},
		{16, B("\0\2\1x"), 1},
		{16, B(""), -TLSHELLO_E_ALPN},
		{16, B("\0\0"), -TLSHELLO_E_ALPN},
		{16, B("\0\1\0"), -TLSHELLO_E_ALPN},
		{16, B("\0\4\2h2\0"), -TLSHELLO_E_ALPN},
		{16, B("\0\3\3h2"), -TLSHELLO_E_ALPN},
		{16, B("\0\2\2h2"), -TLSHELLO_E_ALPN},
		{16, B("\0\4\2h2"), -TLSHELLO_E_ALPN},
		{43, B("\2\3\4"), 1},
		{43, B("\2\x2a\x2a"), 1},
		{43, B(""), -TLSHELLO_E_SUPPORTED_VERSIONS},
		{43, B("\0"), -TLSHELLO_E_SUPPORTED_VERSIONS},
		{43, B("\1\3"), -TLSHELLO_E_SUPPORTED_VERSIONS},
		{43, B("\3\3\4\3"), -TLSHELLO_E_SUPPORTED_VERSIONS},
		{43, B("\4\3\4"), -TLSHELLO_E_SUPPORTED_VERSIONS},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tlshello t;
		int r;

		hello_begin(0x0303);
		hello_extension(rows[i].type, rows[i].body, rows[i].len);
		hello_end();
		records(16384);
		r = feed(&t, 3, LIMIT);
		if (r != rows[i].result)
			fail_msg("row %zu: %d (%s)", i, r, tlshello_error_name(r));
	}
}

static void duplicates(void **state)
{
	static const unsigned types[] = {0, 16, 43, 42, 0xfe0d};
	static const char *const bodies[] = {"\0\4\0\0\1a", "\0\3\2h2", "\2\3\4", "", "x"};
	static const size_t lens[] = {6, 5, 3, 0, 1};

	for (size_t i = 0; i < COUNT(types); i++) {
		struct tlshello t;

		hello_begin(0x0303);
		hello_extension(types[i], bodies[i], lens[i]);
		hello_extension(51, "x", 1);
		hello_extension(types[i], bodies[i], lens[i]);
		hello_end();
		records(16384);
		assert_int_equal(feed(&t, 1, LIMIT), -TLSHELLO_E_DUPLICATE);
	}
}

// One byte of the usual hello on the wire is set to something wrong.
static void wrong_bytes(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int result;
	} rows[] = {
		{0, 0x17, -TLSHELLO_E_RECORD_TYPE},   {0, 0x15, -TLSHELLO_E_RECORD_TYPE},
		{1, 2, -TLSHELLO_E_RECORD_VERSION},   {2, 5, -TLSHELLO_E_RECORD_VERSION},
		{3, 0x41, -TLSHELLO_E_RECORD_LENGTH}, {5, 2, -TLSHELLO_E_NOT_CLIENT_HELLO},
		{6, 1, -TLSHELLO_E_TOO_LARGE}, // a message of more than 64 KiB
		{8, 20, -TLSHELLO_E_LENGTH},   // the message ends within the random
		{8, 37, -TLSHELLO_E_LENGTH},   // within the suites
		{9, 2, -TLSHELLO_E_VERSION},          {43, 33, -TLSHELLO_E_SESSION_ID},
		{44, 0xff, -TLSHELLO_E_LENGTH}, // suites
		{45, 3, -TLSHELLO_E_CIPHER_SUITES},   {45, 0, -TLSHELLO_E_CIPHER_SUITES},
		{50, 0, -TLSHELLO_E_COMPRESSION},     {50, 0xff, -TLSHELLO_E_LENGTH},
		{52, 0xff, -TLSHELLO_E_EXTENSIONS},   {53, 0, -TLSHELLO_E_EXTENSIONS},
		{56, 0xff, -TLSHELLO_E_LENGTH}, // the first extension
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t cut = 1; cut <= wire.len; cut += 7) {
			struct tlshello t;
			int r;

			usual_hello();
			records(16384);
			wire.data[rows[i].at] = rows[i].value;
			r = feed(&t, cut, LIMIT);
			if (r != rows[i].result)
				fail_msg("row %zu, cut %zu: %d (%s)", i, cut, r,
					 tlshello_error_name(r));
		}
	}
}

static void wrong_records_between(void **state)
{
	static const struct {
		const char *header;
		int result;
	} rows[] = {
		{"\x14\3\1\0\1", -TLSHELLO_E_RECORD_TYPE},
		{"\x15\3\1\0\2", -TLSHELLO_E_RECORD_TYPE},
		{"\x16\3\1\0\0", -TLSHELLO_E_RECORD_LENGTH},
		{"\x16\3\1\x40\1", -TLSHELLO_E_RECORD_LENGTH},
		{"\x16\4\1\0\1", -TLSHELLO_E_RECORD_VERSION},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tlshello t;

		usual_hello();
		records(20);
		memcpy(wire.data + 50, rows[i].header, 5);
		assert_int_equal(feed(&t, 1, LIMIT), rows[i].result);
		assert_int_equal(feed(&t, 60, LIMIT), rows[i].result);
	}
}

static void size_limits(void **state)
{
	static char padding[65000];
	struct tlshello t;

	hello_begin(0x0303);
	hello_extension(21, padding, 60000);
	hello_end();
	records(16384);
	assert_int_equal(feed(&t, 1000, LIMIT), 1);
	assert_int_equal(feed(&t, 1000, wire.len), 1);
	assert_int_equal(feed(&t, 1000, wire.len - 1), -TLSHELLO_E_TOO_LARGE);
	// It is told as soon as the length is known.
	tlshello_init(&t, 16384);
	assert_int_equal(tlshello_feed(&t, wire.data, 9), -TLSHELLO_E_TOO_LARGE);
	tlshello_init(&t, 16384);
	assert_int_equal(tlshello_feed_message(&t, message.data, 4), -TLSHELLO_E_TOO_LARGE);
	// Records of one byte count with their headers.
	records(1);
	assert_true(wire.len > LIMIT);
	assert_int_equal(feed(&t, 10000, LIMIT), -TLSHELLO_E_TOO_LARGE);
	usual_hello();
	records(1);
	assert_int_equal(feed(&t, 1, wire.len), 1);
	assert_int_equal(feed(&t, wire.len, wire.len), 1);
	assert_int_equal(feed(&t, 1, wire.len - 1), -TLSHELLO_E_TOO_LARGE);
	assert_int_equal(feed(&t, wire.len, wire.len - 1), -TLSHELLO_E_TOO_LARGE);
	tlshello_init(&t, 0);
	assert_int_equal(tlshello_feed(&t, NULL, 0), -TLSHELLO_E_TOO_LARGE);
}

static void errors_have_names(void **state)
{
	for (int e = 0; e < TLSHELLO_E_COUNT; e++) {
		assert_string_not_equal(tlshello_error_name(-e), "?");
		assert_string_not_equal(tlshello_error_text(e), "?");
	}
	assert_string_equal(tlshello_error_name(-1000), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_in_pieces),
		cmocka_unit_test(needs_every_byte_and_no_more),
		cmocka_unit_test(without_records),
		cmocka_unit_test(versions_without_the_extension),
		cmocka_unit_test(ech_and_early_data),
		cmocka_unit_test(names),
		cmocka_unit_test(long_names),
		cmocka_unit_test(malformed_alpn_and_versions),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(wrong_bytes),
		cmocka_unit_test(wrong_records_between),
		cmocka_unit_test(size_limits),
		cmocka_unit_test(errors_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
