// SPDX-License-Identifier: Apache-2.0
// The head parser: what it takes, what it refuses and with which fault, however the bytes are cut.
#include "proto/http1/parser.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
// after the ones that it needs
#include <cmocka.h>

static const struct http1_limits limits = {200, 600};

static void request_is_parsed(void **state)
{
	static const char text[] =
		"GET http://example.com:8080/a?b HTTP/1.1\r\n"
		"Host: other\r\nX-One:  1 \t\r\nConnection: close, foo\r\n\r\nrest";
	struct http_field fields[8];
	struct http_head head;
	struct http1_parser parser;
	http_head_init(&head, fields, 8);
	http1_parser_init_request(&parser, &head, &limits);
	assert_int_equal(http1_parser_feed(&parser, text, sizeof(text) - 1), sizeof(text) - 1 - 4);
	assert_int_equal(head.method, HTTP_METHOD_GET);
	assert_true(slice_equal(head.authority, SLICE("example.com:8080")));
	assert_true(slice_equal(head.path, SLICE("/a?b")));
	assert_true(slice_equal(fields[1].value, SLICE("1")));
	assert_int_equal(fields[0].id, HTTP_FIELD_HOST);
	assert_true(http_head_connection_lists(&head, SLICE("FOO")));
	assert_false(parser.framing.keep_alive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(request_is_parsed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
