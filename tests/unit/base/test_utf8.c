// SPDX-License-Identifier: Apache-2.0
// Tests of the UTF-8 decoder: each code point round, and what RFC 3629 forbids.
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t encode(uint32_t c, uint8_t out[4])
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)((0xf00 >> n) | c);
	return n;
}

static void every_code_point(void **state)
{
	uint8_t bytes[4];
	uint32_t code;

	for (uint32_t c = 0; c < 0x120000; c++) {
		size_t n = encode(c, bytes);
		if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
			assert_int_equal(utf8_decode(bytes, n, &code), 0);
			continue;
		}
		assert_int_equal(utf8_decode(bytes, n, &code), n);
		assert_int_equal(code, c);
		if (n > 1) {
			assert_int_equal(utf8_decode(bytes, n - 1, &code), 0);
			assert_int_equal(utf8_decode(bytes + 1, n - 1, &code), 0);
		}
	}
}

static void forbidden_forms(void **state)
{
	static const char *const bad[] = {"\xc0\x80..",       "\xc1\xbf..",       "\xe0\x9f\xbf.",
					  "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xff...",
					  "\xc3\x28..",       "\xe2\x28\xa1."};
	uint32_t code = 7;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(utf8_decode((const uint8_t *)bad[i], 4, &code), 0);
	assert_int_equal(code, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(forbidden_forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
