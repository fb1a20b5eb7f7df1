// SPDX-License-Identifier: Apache-2.0
// The TTL of negative answers, from messages made by hand.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/dns/dns_negative.h"

// NXDOMAIN for "a.b" with an SOA of "b": TTL at 35, MINIMUM in the last four bytes.
static const uint8_t reply[] = {
	0,    1,   0x81, 0x83, 0,  1,    0,  0, 0, 1, 0, 0, // header
	1,    'a', 1,    'b',  0,  0,    1,  0, 1,          // question
	0xc0, 14,  0,    6,    0,  1,                       // SOA of "b"
	0,    0,   0,    100,                               // TTL
	0,    27,                                           // RDLENGTH
	2,    'n', 's',  0xc0, 14, 0xc0, 14,                // MNAME, RNAME
	0,    0,   0,    1,    0,  0,    0,  2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 7,
};

static void test_lesser(void **state)
{
	uint8_t copy[sizeof(reply)];

	memcpy(copy, reply, sizeof(reply));
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), 7);
	copy[30] = 3; // the TTL below the minimum
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), 3);
	copy[27] = 0x80; // RFC 2181, 8
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), 0);
}

static void test_without(void **state)
{
	uint8_t copy[sizeof(reply)];

	memcpy(copy, reply, sizeof(reply));
	copy[9] = 0; // no record
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), -ENODATA);
	copy[7] = 1; // it is in the answer section: not what it is looked for
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), -ENODATA);
	memcpy(copy, reply, sizeof(reply));
	copy[24] = 2; // NS
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), -ENODATA);
}

static void test_cut(void **state)
{
	for (size_t len = 0; len < sizeof(reply); len++) {
		uint8_t *copy = malloc(len ? len : 1);
		memcpy(copy, reply, len);
		assert_int_equal(dns_negative_ttl(copy, len), -EBADMSG);
		free(copy);
	}
}

static void test_bad_names(void **state)
{
	uint8_t copy[sizeof(reply)];

	memcpy(copy, reply, sizeof(reply));
	copy[12] = 0x40; // a label type that does not exist
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), -EBADMSG);
	copy[12] = 63; // beyond the end
	assert_int_equal(dns_negative_ttl(copy, sizeof(copy)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lesser),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bad_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
