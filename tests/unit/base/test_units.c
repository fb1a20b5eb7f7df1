// SPDX-License-Identifier: Apache-2.0
// Durations, sizes and rates: what parses, what does not, and back.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/units.h"

typedef int parse_fn(const char *s, size_t len, uint64_t *ret);

struct row {
	const char *text;
	int error;
	uint64_t value;
};

static void check(parse_fn *parse, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 12345;
		int r = parse(rows[i].text, strlen(rows[i].text), &value);
		if (r != rows[i].error || value != (r ? 12345 : rows[i].value))
			fail_msg("\"%s\": %d, %llu", rows[i].text, r, (unsigned long long)value);
	}
}

#define CHECK(parse, rows) check(parse, rows, sizeof(rows) / sizeof(rows[0]))

static void durations(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"1ns", 0, 1},
		{"15us", 0, 15000},
		{"15\xc2\xb5s", 0, 15000},
		{"15\xce\xbcs", 0, 15000},
		{"250ms", 0, 250000000},
		{"10s", 0, 10000000000},
		{"1.5s", 0, 1500000000},
		{"0.0000000019s", 0, 1},
		{"10 s", 0, 10000000000},
		{"1h30m", 0, 5400000000000},
		{"1d2h3m4s5ms6us7ns", 0, 93784005006007},
		{"213503d", 0, 18446659200000000000u},
		{"", -EINVAL, 0},
		{"10", -EINVAL, 0},
		{"00", 0, 0},
		{"s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"+1s", -EINVAL, 0},
		{" 1s", -EINVAL, 0},
		{"1s ", -EINVAL, 0},
		{"1 s 2", -EINVAL, 0},
		{"1.s", -EINVAL, 0},
		{".5s", -EINVAL, 0},
		{"1,5s", -EINVAL, 0},
		{"1m1h", -EINVAL, 0},
		{"1s1s", -EINVAL, 0},
		{"1h30", -EINVAL, 0},
		{"1h0", -EINVAL, 0},
		{"1S", -EINVAL, 0},
		{"1sec", -EINVAL, 0},
		{"0x10s", -EINVAL, 0},
		{"1e3s", -EINVAL, 0},
		{"213504d", -ERANGE, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"213503d86399s", -ERANGE, 0},
	};
	CHECK(units_parse_duration, rows);
}

static void sizes(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"4096B", 0, 4096},
		{"64KiB", 0, 65536},
		{"64kiB", 0, 65536},
		{"64k", 0, 65536},
		{"64K", 0, 65536},
		{"64kB", 0, 64000},
		{"64 KB", 0, 64000},
		{"1.5MB", 0, 1500000},
		{"1.5MiB", 0, 1572864},
		{"2GiB", 0, 2147483648},
		{"1TB", 0, 1000000000000},
		{"18446744073709551615", 0, UINT64_MAX},
		{"1.9", 0, 1},
		{"", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"64kb", -EINVAL, 0},
		{"64Kbit", -EINVAL, 0},
		{"64kiBs", -EINVAL, 0},
		{"64PB", -EINVAL, 0},
		{"64 ", -EINVAL, 0},
		{"64  kB", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"64iB", -EINVAL, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"16777216TiB", -ERANGE, 0},
	};
	CHECK(units_parse_size, rows);
}

static void rates(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"100Mbit/s", 0, 12500000},
		{"100Mbps", 0, 12500000},
		{"1.5Gbps", 0, 187500000},
		{"8bit/s", 0, 1},
		{"1bit/s", 0, 1}, // not 0, which would mean no limit
		{"0.001bit/s", 0, 1},
		{"0bit/s", 0, 0},
		{"10MB/s", 0, 10000000},
		{"512KiB/s", 0, 524288},
		{"512 KiB/s", 0, 524288},
		{"7B/s", 0, 7},
		{"10kbit/s", 0, 1250},
		{"10Kbit/s", 0, 1250},
		{"1Tbit/s", 0, 125000000000},
		{"", -EINVAL, 0},
		{"100", -EINVAL, 0},
		{"100M", -EINVAL, 0},
		{"100Mbit", -EINVAL, 0},
		{"100MB", -EINVAL, 0},
		{"100M/s", -EINVAL, 0},
		{"100/s", -EINVAL, 0},
		{"100Mibit/s", -EINVAL, 0},
		{"100MBit/s", -EINVAL, 0},
		{"100mbit/s", -EINVAL, 0},
		{"Mbit/s", -EINVAL, 0},
		{"100Mbit/h", -EINVAL, 0},
		{"100Mbit/s ", -EINVAL, 0},
		{"99999999999Gbit/s", -ERANGE, 0},
	};
	CHECK(units_parse_rate, rows);
}

static void formats(void **state)
{
	char text[UNITS_TEXT];
	assert_string_equal(units_format_duration(0, text), "0s");
	assert_string_equal(units_format_duration(90000000000, text), "1m30s");
	assert_string_equal(units_format_duration(1800000, text), "1ms800us");
	assert_string_equal(units_format_duration(UINT64_MAX, text),
			    "213503d23h34m33s709ms551us615ns");
	assert_string_equal(units_format_size(0, text), "0B");
	assert_string_equal(units_format_size(65536, text), "64KiB");
	assert_string_equal(units_format_size(64000, text), "64kB");
	assert_string_equal(units_format_size(1234, text), "1234B");
	assert_string_equal(units_format_size(UINT64_MAX, text), "18446744073709551615B");
	assert_string_equal(units_format_rate(0, text), "0bit/s");
	assert_string_equal(units_format_rate(12500000, text), "100Mbit/s");
	assert_string_equal(units_format_rate(524288, text), "512KiB/s");
	assert_string_equal(units_format_rate(7, text), "7B/s");
}

static void back_and_forth(void **state)
{
	struct rng r;
	char text[UNITS_TEXT];
	rng_init(&r, 9);
	for (int i = 0; i < 30000; i++) {
		uint64_t value = rng_next(&r) >> rng_below(&r, 64), back = 0;
		if (i % 3 == 0)
			value = value >> 40 << rng_below(&r, 40);
		if (i % 3 == 1)
			value = (value >> 44) * 125000000;
		units_format_duration(value, text);
		assert_int_equal(units_parse_duration(text, strlen(text), &back), 0);
		assert_int_equal(back, value);
		units_format_size(value, text);
		assert_int_equal(units_parse_size(text, strlen(text), &back), 0);
		assert_int_equal(back, value);
		units_format_rate(value, text);
		assert_int_equal(units_parse_rate(text, strlen(text), &back), 0);
		assert_int_equal(back, value);
	}
}

// Bytes of the alphabet in any order, without a NUL behind them: an error or a value, no more.
static void any_text(void **state)
{
	static const char alphabet[] = "0123456789.  kKMGTiBbitps/mshdun\xc2\xb5-";
	struct rng r;
	rng_init(&r, 11);
	for (int i = 0; i < 100000; i++) {
		char *text = test_malloc(12);
		size_t len = (size_t)rng_below(&r, 13);
		uint64_t value;
		for (size_t k = 0; k < len; k++)
			text[k] = alphabet[rng_below(&r, sizeof(alphabet) - 1)];
		// The end of the memory is the end of the text.
		char *at = text + 12 - len;
		memmove(at, text, len);
		int a = units_parse_duration(at, len, &value);
		int b = units_parse_size(at, len, &value);
		int c = units_parse_rate(at, len, &value);
		assert_true(a == 0 || a == -EINVAL || a == -ERANGE);
		assert_true(b == 0 || b == -EINVAL || b == -ERANGE);
		assert_true(c == 0 || c == -EINVAL || c == -ERANGE);
		test_free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),      cmocka_unit_test(sizes),
		cmocka_unit_test(rates),          cmocka_unit_test(formats),
		cmocka_unit_test(back_and_forth), cmocka_unit_test(any_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
