// SPDX-License-Identifier: Apache-2.0
// The responses that the proxy makes itself.
#include "proto/http1/reply.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// after the ones that it needs
#include <cmocka.h>

static void expect(struct http1_reply reply, const char *expected)
{
	char out[1024];
	ssize_t len = http1_reply_write(out, sizeof(out), &reply);
	assert_true(len > 0);
	out[len] = '\0';
	assert_string_equal(out, expected);
	for (size_t capacity = 0; capacity < (size_t)len; capacity++)
		assert_int_equal(http1_reply_write(out, capacity, &reply), -ENOBUFS);
}

static void replies(void **state)
{
	const struct http_field challenge[] = {{.name = SLICE_LITERAL("Proxy-Authenticate"),
						.value = SLICE_LITERAL("Basic realm=\"sluice\"")}};
	expect(
		(struct http1_reply){
			.status = 407, .fields = challenge, .field_count = 1, .date = SLICE("now")},
		"HTTP/1.1 407 Proxy Authentication Required\r\nDate: now\r\n"
		"Proxy-Authenticate: Basic realm=\"sluice\"\r\nContent-Type: text/plain; "
		"charset=utf-8\r\n"
		"Content-Length: 34\r\n\r\n407 Proxy Authentication Required\n");
	expect((struct http1_reply){.status = 502, .close = true, .text = SLICE("no route")},
	       "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; "
	       "charset=utf-8\r\nContent-Length: 9\r\n"
	       "Connection: close\r\n\r\nno route\n");
	expect((struct http1_reply){.status = 200,
				    .keep_alive = true,
				    .content_type = SLICE("application/json"),
				    .text = SLICE("{}")},
	       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
	       "Connection: keep-alive\r\n\r\n{}");
	expect((struct http1_reply){.status = 200, .content_type = SLICE("text/html")},
	       "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n");
	expect((struct http1_reply){.status = 403,
				    .method = HTTP_METHOD_HEAD,
				    .text = SLICE("no\n")},
	       "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; "
	       "charset=utf-8\r\nContent-Length: 3\r\n\r\n");
	expect((struct http1_reply){.status = 204, .text = SLICE("x")},
	       "HTTP/1.1 204 No Content\r\n\r\n");
}

static void bad_replies_are_refused(void **state)
{
	char out[256];
	const struct http_field bad[] = {
		{.name = SLICE_LITERAL("A"), .value = SLICE_LITERAL("b\r\nC: d")}};
	assert_int_equal(http1_reply_write(out, sizeof(out), &(struct http1_reply){.status = 101}),
			 -EINVAL);
	assert_int_equal(http1_reply_write(out, sizeof(out), &(struct http1_reply){.status = 600}),
			 -EINVAL);
	assert_int_equal(http1_reply_write(out, sizeof(out),
					   &(struct http1_reply){
						   .status = 400, .fields = bad, .field_count = 1}),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(bad_replies_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
