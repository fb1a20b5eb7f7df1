// SPDX-License-Identifier: Apache-2.0
// Tests of log lines as a sink sees them: fields, escaping, levels, limits, truncation.
#include "obs/log.h"

#include "base/addr.h"
#include "obs/access.h"
#include "obs/metrics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct {
	int64_t wall;
	uint64_t now;
	enum log_output output;
	unsigned lines;
	size_t len;
	char line[LOG_LINE_MAX + 1];
} seen;

static void sink(void *ctx, enum log_output output, const char *line, size_t len)
{
	assert_ptr_equal(ctx, &seen);
	assert_true(len > 0 && len <= LOG_LINE_MAX);
	seen.output = output;
	seen.lines++;
	seen.len = len;
	memcpy(seen.line, line, len);
	seen.line[len] = '\0';
	// Whatever is logged: one line, printable.
	assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
	for (size_t i = 0; i + 1 < len; i++)
		assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
}

static void test_clock(void *ctx, int64_t *ret_wall, uint64_t *ret_now)
{
	*ret_wall = seen.wall;
	*ret_now = seen.now;
}

static int setup(void **state)
{
	memset(&seen, 0, sizeof seen);
	seen.wall = INT64_C(1795266597123456789);
	seen.now = 1000000000;
	log_set_level_all(LOG_LEVEL_INFO);
	log_set_sink(sink, test_clock, &seen);
	log_set_format(LOG_OUTPUT_MAIN, LOG_FORMAT_TEXT);
	log_set_format(LOG_OUTPUT_ACCESS, LOG_FORMAT_TEXT);
	log_thread_name("");
	return 0;
}

static int teardown(void **state)
{
	log_set_sink(NULL, NULL, NULL);
	return 0;
}

static json_t *line_json(void)
{
	json_error_t error;
	json_t *o =
		json_loadb(seen.line, seen.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!o)
		fail_msg("%s in %s", error.text, seen.line);
	return o;
}

static const char *json_text(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	assert_true(json_is_string(v));
	return json_string_value(v);
}

static void all_fields(struct endpoint *ep, const char *peer)
{
	log_info(LOG_DNS, "name does not exist", LOG_STR("name", peer), LOG_STR("absent", NULL),
		 LOG_STRN("part", "abcdef", 3), LOG_SLICE("slice", SLICE("xyz")),
		 LOG_HEX("bytes", "\x01\xff", 2), LOG_INT("ttl", -5), LOG_UINT("big", UINT64_MAX),
		 LOG_ID("id", 0xabc), LOG_BOOL("cached", 3), LOG_SECONDS("took", 1500000),
		 LOG_ERRNO("error", -ECONNREFUSED), LOG_ERRNO("other", 99999),
		 LOG_ENDPOINT("client", ep), LOG_ENDPOINT("none", NULL), LOG_END,
		 LOG_STR("after", "the end"));
}

static void a_text_line(void **state)
{
	struct endpoint ep;

	assert_int_equal(endpoint_parse("[2001:db8::1]:80", 16, 0, &ep), 0);
	log_thread_name("worker-0");
	all_fields(&ep, "a\nb\x1b[31m");
	assert_string_equal(
		seen.line,
		"2026-11-21T13:09:57.123456Z info dns: name does not exist thread=worker-0 "
		"name=\"a\\nb\\x1b[31m\" part=abc slice=xyz bytes=\"01ff\" ttl=-5 "
		"big=18446744073709551615 id=0000000000000abc cached=true took=0.0015 "
		"error=\"Connection refused\" error_code=ECONNREFUSED other=\"unknown error\" "
		"other_code=99999 client=[2001:db8::1]:80\n");
}

static void a_json_line(void **state)
{
	struct endpoint ep;
	const char peer[] = "\",\"level\":\"error\"}\n{\x1b[31m\xff";

	assert_int_equal(endpoint_parse("192.0.2.1:80", 12, 0, &ep), 0);
	log_set_format(LOG_OUTPUT_MAIN, LOG_FORMAT_JSON);
	all_fields(&ep, peer);
	json_t *o = line_json();
	assert_string_equal(json_text(o, "time"), "2026-11-21T13:09:57.123456Z");
	assert_string_equal(json_text(o, "level"), "info");
	assert_string_equal(json_text(o, "module"), "dns");
	assert_string_equal(json_text(o, "message"), "name does not exist");
	assert_string_equal(json_text(o, "name"), "\",\"level\":\"error\"}\n{\x1b[31m\xef\xbf\xbd");
	assert_null(json_object_get(o, "absent"));
	assert_null(json_object_get(o, "after"));
	assert_string_equal(json_text(o, "id"), "0000000000000abc");
	// Larger than many readers' integers: a string.
	assert_string_equal(json_text(o, "big"), "18446744073709551615");
	assert_true(json_is_true(json_object_get(o, "cached")));
	assert_int_equal(json_integer_value(json_object_get(o, "ttl")), -5);
	assert_string_equal(json_text(o, "error_code"), "ECONNREFUSED");
	assert_string_equal(json_text(o, "client"), "192.0.2.1:80");
	json_decref(o);
}

static void every_byte_stays_inside_its_value(void **state)
{
	char all[256];

	for (unsigned i = 0; i < 256; i++)
		all[i] = (char)i;
	for (unsigned format = 0; format < 2; format++) {
		log_set_format(LOG_OUTPUT_MAIN, format);
		// Each byte alone, each between plain ones, and all in a row; the sink checks.
		for (unsigned i = 0; i < 256; i++) {
			char between[] = {'a', (char)i, 'b'};
			log_each(LOG_LEVEL_INFO, LOG_HTTP, "m", LOG_STRN("k", all + i, 1),
				 LOG_STRN("l", between, 3), LOG_END);
			if (format == LOG_FORMAT_JSON)
				json_decref(line_json());
		}
		log_each(LOG_LEVEL_INFO, LOG_HTTP, "m", LOG_STRN("k", all, 256), LOG_END);
		if (format == LOG_FORMAT_JSON)
			json_decref(line_json());
	}
	assert_int_equal(seen.lines, 514);
}

static void what_does_not_fit_is_left_out_and_said(void **state)
{
	char big[10000];
	memset(big, '\n', sizeof big);

	for (unsigned format = 0; format < 2; format++) {
		log_set_format(LOG_OUTPUT_MAIN, format);
		log_each(LOG_LEVEL_INFO, LOG_HTTP, "m", LOG_STRN("a", big, sizeof big),
			 LOG_STRN("b", big, sizeof big), LOG_STRN("c", big, sizeof big),
			 LOG_STRN("d", big, sizeof big), LOG_STRN("e", big, sizeof big),
			 LOG_STRN("f", big, sizeof big), LOG_STRN("g", big, sizeof big),
			 LOG_STRN("h", big, sizeof big), LOG_INT("last", 1), LOG_END);
		assert_non_null(strstr(seen.line, "truncated"));
		assert_non_null(strstr(seen.line, "last")); // small ones still fit
		assert_null(strstr(seen.line, format ? "\"h\":" : " h="));
		if (format == LOG_FORMAT_JSON)
			json_decref(line_json());
	}
}

static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

static void levels_by_module(void **state)
{
	log_debug(LOG_DNS, "no", LOG_INT("x", evaluate()), LOG_END);
	assert_int_equal(seen.lines, 0);
	assert_int_equal(evaluated, 0);
	log_set_level(LOG_DNS, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level(LOG_DNS), LOG_LEVEL_DEBUG);
	log_debug(LOG_DNS, "yes", LOG_END);
	log_debug(LOG_HTTP, "no", LOG_END);
	assert_int_equal(seen.lines, 1);
	log_set_level_all(LOG_LEVEL_ERROR);
	log_warn(LOG_DNS, "no", LOG_END);
	log_error(LOG_DNS, "yes", LOG_END);
	assert_int_equal(seen.lines, 2);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud"), -1);
	assert_int_equal(log_module_parse("dns"), LOG_DNS);
	assert_int_equal(log_module_parse(""), -1);
	assert_string_equal(log_level_name(99), "invalid");
}

static void storm(int n)
{
	for (int i = 0; i < n; i++)
		log_info(LOG_LISTENER, "cannot accept", LOG_INT("i", i), LOG_END);
}

static void a_call_site_is_limited_and_says_so(void **state)
{
	struct log_stats before, after;

	log_stats_read(&before);
	storm(100);
	assert_int_equal(seen.lines, 20);
	log_info(LOG_LISTENER, "another site", LOG_END);
	assert_int_equal(seen.lines, 21);
	seen.now += 1000000000;
	storm(1);
	assert_non_null(strstr(seen.line, " suppressed=80 i=0\n"));
	storm(1);
	assert_null(strstr(seen.line, "suppressed"));
	log_stats_read(&after);
	assert_int_equal(after.suppressed - before.suppressed, 80);
	assert_int_equal(after.lines[LOG_LEVEL_INFO] - before.lines[LOG_LEVEL_INFO], 23);
	for (int i = 0; i < 100; i++)
		log_each(LOG_LEVEL_ERROR, LOG_CONFIG, "a list", LOG_INT("i", i), LOG_END);
	assert_int_equal(seen.lines, 123);
}

static void errno_survives(void **state)
{
	errno = EXDEV;
	log_error(LOG_WORKER, "m", LOG_ERRNO("error", EIO), LOG_END);
	assert_int_equal(errno, EXDEV);
}

static void times(void **state)
{
	static const struct {
		int64_t wall;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{-1, "1969-12-31T23:59:59.999999Z"},
		{INT64_C(951782400000001000), "2000-02-29T00:00:00.000001Z"},
		{INT64_C(951868799999999999), "2000-02-29T23:59:59.999999Z"},
		{INT64_C(4107542399000000000), "2100-02-28T23:59:59.000000Z"},
		{INT64_C(4107542400000000000), "2100-03-01T00:00:00.000000Z"},
		{INT64_C(1735689599000000000), "2024-12-31T23:59:59.000000Z"},
		{INT64_MIN, "1677-09-21T00:12:43.145224Z"},
		{INT64_MAX, "2262-04-11T23:47:16.854775Z"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		seen.wall = cases[i].wall;
		log_each(LOG_LEVEL_INFO, LOG_MAIN, "m", LOG_END);
		seen.line[27] = '\0';
		assert_string_equal(seen.line, cases[i].text);
	}
}

static void an_access_line(void **state)
{
	struct endpoint client, address;
	assert_int_equal(endpoint_parse("192.0.2.1:50000", 15, 0, &client), 0);
	assert_int_equal(endpoint_parse("[2001:db8::2]:443", 17, 0, &address), 0);
	struct access_record r = {
		.wall = seen.wall,
		.session = 0x1f,
		.request = 2,
		.client = &client,
		.listener = SLICE("main"),
		.protocol = METRIC_PROTOCOL_CONNECT,
		.user = SLICE("al\"ice\n"),
		.method = SLICE("CONNECT"),
		.host = SLICE("example.com"),
		.port = 443,
		.address = &address,
		.rule = SLICE("staff"),
		.status = 200,
		.has_status = true,
		.bytes_up = 1,
		.bytes_down = UINT64_MAX,
		.bytes_spliced = 3,
		.bytes_copied = 4,
		.queue = 1000,
		.auth = ACCESS_NONE,
		.resolve = 2999,
		.connect = 1000000,
		.first_byte = ACCESS_NONE,
		.total = 5000000000,
		.reason = CLOSE_UPSTREAM_EOF,
	};

	assert_true(access_wants());
	access_write(&r);
	assert_int_equal(seen.output, LOG_OUTPUT_ACCESS);
	assert_string_equal(
		seen.line,
		"2026-11-21T13:09:57.123456Z session=000000000000001f request=2 "
		"client=192.0.2.1:50000 protocol=connect status=200 reason=upstream_eof bytes_up=1 "
		"bytes_down=18446744073709551615 bytes_spliced=3 bytes_copied=4 queue_us=1 "
		"resolve_us=2 connect_us=1000 total_us=5000000 address=[2001:db8::2]:443 port=443 "
		"user=\"al\\\"ice\\n\" method=CONNECT host=example.com listener=main rule=staff\n");
	log_set_format(LOG_OUTPUT_ACCESS, LOG_FORMAT_JSON);
	r.bytes_down = 7;
	access_write(&r);
	json_t *o = line_json();
	assert_string_equal(json_text(o, "user"), "al\"ice\n");
	assert_int_equal(json_integer_value(json_object_get(o, "bytes_down")), 7);
	json_decref(o);
	// Nothing known at all is a line as well.
	access_write(&(struct access_record){0});
	json_decref(line_json());
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_text_line),
		LOG_TEST(a_json_line),
		LOG_TEST(every_byte_stays_inside_its_value),
		LOG_TEST(what_does_not_fit_is_left_out_and_said),
		LOG_TEST(levels_by_module),
		LOG_TEST(a_call_site_is_limited_and_says_so),
		LOG_TEST(errno_survives),
		LOG_TEST(times),
		LOG_TEST(an_access_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
