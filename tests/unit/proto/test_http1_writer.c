// SPDX-License-Identifier: Apache-2.0
// Heads written anew: what goes on, what is removed, what is made, and what is refused.
#include "../../support/http1_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// after the ones that it needs
#include <cmocka.h>

static struct http_field fields[CHECK_FIELDS];
static struct http_head head;
static struct http1_parser parser;

static void parse_request(const char *input)
{
	http_head_init(&head, fields, CHECK_FIELDS);
	http1_parser_init_request(&parser, &head, &check_limits);
	assert_int_equal(http1_parser_feed(&parser, input, strlen(input)), strlen(input));
}

static void parse_response(const char *input, enum http_method method)
{
	http_head_init(&head, fields, CHECK_FIELDS);
	http1_parser_init_response(&parser, &head, &check_limits, method);
	assert_int_equal(http1_parser_feed(&parser, input, strlen(input)), strlen(input));
}

// What the writer makes of the head; every smaller buffer is refused.
static void expect(const struct http1_write_options *options, const char *expected)
{
	char out[2048];
	ssize_t len = head.is_request ? http1_write_request(out, sizeof(out), &head, options)
				      : http1_write_response(out, sizeof(out), &head, options);
	assert_true(len > 0);
	out[len] = '\0';
	assert_string_equal(out, expected);
	for (size_t capacity = 0; capacity < (size_t)len; capacity++) {
		char *exact = malloc(capacity ? capacity : 1);
		assert_non_null(exact);
		assert_int_equal(head.is_request
					 ? http1_write_request(exact, capacity, &head, options)
					 : http1_write_response(exact, capacity, &head, options),
				 -ENOBUFS);
		free(exact);
	}
}

static void expect_request(const char *input, struct http1_write_options options,
			   const char *expected)
{
	parse_request(input);
	if (options.framing.kind == HTTP1_FRAMING_NONE)
		options.framing = parser.framing;
	expect(&options, expected);
}

static void expect_response(const char *input, enum http_method method,
			    struct http1_write_options options, const char *expected)
{
	parse_response(input, method);
	if (options.framing.kind == HTTP1_FRAMING_NONE)
		options.framing = parser.framing;
	expect(&options, expected);
}

static void targets_take_the_form_asked_for(void **state)
{
	const struct http1_write_options origin = {.target_form = HTTP_TARGET_ORIGIN};
	const struct http1_write_options absolute = {.target_form = HTTP_TARGET_ABSOLUTE};
	const struct http1_write_options authority = {.target_form = HTTP_TARGET_AUTHORITY};
	expect_request("GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n", origin,
		       "GET /p?q HTTP/1.1\r\nHost: b:81\r\n\r\n");
	expect_request("GET http://b:81/p?q HTTP/1.0\r\n\r\n", absolute,
		       "GET http://b:81/p?q HTTP/1.1\r\nHost: b:81\r\n\r\n");
	expect_request("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", origin,
		       "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
	expect_request("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", origin,
		       "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n");
	expect_request("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", absolute,
		       "GET http://b/?q HTTP/1.1\r\nHost: b\r\n\r\n");
	expect_request("GET /p HTTP/1.1\r\nHost: a\r\n\r\n", absolute,
		       "GET http://a/p HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", origin,
		       "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n");
	expect_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", absolute,
		       "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_request("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n", authority,
		       "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
}

static void hop_by_hop_fields_stay_here(void **state)
{
	const struct http1_write_options plain = {0};
	expect_request("GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\nProxy-Connection: "
		       "keep-alive\r\nA: 1\r\n"
		       "Proxy-Authorization: Basic eA==\r\nTE: gzip\r\nUpgrade: "
		       "h2c\r\nHTTP2-Settings: x\r\n"
		       "Connection: keep-alive, TE, x-hop, , upgrade\r\nX-Hop: 1\r\nx-HOP: 2\r\nB: "
		       "2\r\n\r\n",
		       plain, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n");
	expect_response(
		"HTTP/1.1 200 OK\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: "
		"x\r\nA: 1\r\n"
		"Trailer: x\r\nContent-Length: 0\r\nConnection: y\r\nY: 1\r\nUpgrade: h2c\r\n\r\n",
		HTTP_METHOD_GET, plain, "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\n\r\n");
	// Connection cannot strip what is end to end.
	expect_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nCookie: "
		       "c\r\nX-Forwarded-For: d\r\n"
		       "Authorization: e\r\nVia: 1.0 f\r\nExpect: 100-continue\r\nCache-Control: "
		       "no-store\r\n"
		       "Connection: host, content-length, cookie, x-forwarded-for, authorization, "
		       "via, expect, "
		       "cache-control\r\n\r\n",
		       plain,
		       "POST / HTTP/1.1\r\nHost: a\r\nCookie: c\r\nX-Forwarded-For: "
		       "d\r\nAuthorization: e\r\n"
		       "Via: 1.0 f\r\nExpect: 100-continue\r\nCache-Control: "
		       "no-store\r\nContent-Length: 3\r\n\r\n");
}

static void hop_by_hop_fields_are_made(void **state)
{
	const struct http_field extra[] = {{.name = SLICE_LITERAL("Proxy-Authorization"),
					    .value = SLICE_LITERAL("Basic eA==")}};
	expect_request("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x\r\nA: 1\r\n\r\n",
		       (struct http1_write_options){
			       .via = SLICE("sluice"), .extra = extra, .extra_count = 1},
		       "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x\r\nA: 1\r\nVia: 1.1 sluice\r\n"
		       "Proxy-Authorization: Basic eA==\r\n\r\n");
	expect_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		       (struct http1_write_options){.via = SLICE("sluice")},
		       "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 sluice\r\n\r\n");
	expect_request(
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, gzip\r\n\r\n",
		(struct http1_write_options){.connection = HTTP1_CONNECTION_CLOSE},
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
	expect_request(
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		(struct http1_write_options){.upgrade = true},
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
	expect_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		       (struct http1_write_options){.upgrade = true},
		       "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_response(
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Content-Length: 4\r\n\r\n",
		HTTP_METHOD_GET, (struct http1_write_options){.upgrade = true},
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"upgrade\r\n\r\n");
	expect_response(
		"HTTP/1.0 200 \r\nContent-Length: 1\r\n\r\n", HTTP_METHOD_GET,
		(struct http1_write_options){.connection = HTTP1_CONNECTION_KEEP_ALIVE,
					     .date = SLICE("Tue, 14 May 2024 12:00:00 GMT")},
		"HTTP/1.1 200 OK\r\nDate: Tue, 14 May 2024 12:00:00 GMT\r\nContent-Length: 1\r\n"
		"Connection: keep-alive\r\n\r\n");
	expect_response(
		"HTTP/1.1 299 \r\nDate: x\r\nContent-Length: 1\r\n\r\n", HTTP_METHOD_GET,
		(struct http1_write_options){.date = SLICE("Tue, 14 May 2024 12:00:00 GMT")},
		"HTTP/1.1 299 \r\nDate: x\r\nContent-Length: 1\r\n\r\n");
}

static void framing_is_made_anew(void **state)
{
	const struct http1_write_options plain = {0};
	expect_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", plain,
		       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n");
	expect_request(
		"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\nTrailer: x\r\n\r\n",
		plain,
		"POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\n\r\n", HTTP_METHOD_GET, plain,
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", HTTP_METHOD_GET,
			(struct http1_write_options){.framing = {.kind = HTTP1_FRAMING_CHUNKED}},
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	expect_response(
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_METHOD_GET,
		(struct http1_write_options){.framing = {.kind = HTTP1_FRAMING_UNTIL_CLOSE}},
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	// the length that GET would have had
	expect_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HTTP_METHOD_HEAD, plain,
			"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
	expect_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", HTTP_METHOD_GET,
			plain, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
	expect_response("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", HTTP_METHOD_GET,
			plain, "HTTP/1.1 204 No Content\r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HTTP_METHOD_CONNECT, plain,
			"HTTP/1.1 200 OK\r\n\r\n");
}

static void max_forwards_counts_down(void **state)
{
	const struct http1_write_options plain = {0};
	expect_request("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n", plain,
		       "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 9\r\n\r\n");
	expect_request("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n", plain,
		       "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
	expect_request("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", plain,
		       "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
	char out[256];
	parse_request("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
	assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -ELOOP);
	parse_request("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n");
	assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
}

static void nothing_splits_a_head(void **state)
{
	const struct http1_write_options plain = {0};
	const struct http_field bad[] = {
		{.name = SLICE_LITERAL("A"), .value = SLICE_LITERAL("b\r\nC: d")},
		{.name = SLICE_LITERAL("A"), .value = {"b\0c", 3}},
		{.name = SLICE_LITERAL("A: b\r\nC"), .value = SLICE_LITERAL("d")},
		{.name = SLICE_LITERAL(""), .value = SLICE_LITERAL("d")}};
	static const char request[] = "GET /p HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
	char out[256];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct http1_write_options options = {.extra = &bad[i], .extra_count = 1};
		parse_request(request);
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &options), -EINVAL);
		parse_response("HTTP/1.1 200 OK\r\n\r\n", HTTP_METHOD_GET);
		assert_int_equal(http1_write_response(out, sizeof(out), &head, &options), -EINVAL);
		parse_request(request);
		head.fields[1].name = bad[i].name;
		head.fields[1].value = bad[i].value;
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
	}
	static const struct slice wrong[] = {SLICE_LITERAL("x y"), SLICE_LITERAL(""),
					     SLICE_LITERAL("/\r\n"), SLICE_LITERAL("a\nb")};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		parse_request(request);
		head.path = wrong[i];
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
		parse_request(request);
		head.authority = wrong[i];
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
		parse_request(request);
		head.method_name = wrong[i];
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
		const struct http1_write_options via = {.via = wrong[i]};
		parse_request(request);
		assert_int_equal(http1_write_request(out, sizeof(out), &head, &via),
				 wrong[i].len ? -EINVAL : (ssize_t)sizeof(request) - 1);
	}
	parse_request(request);
	head.path = SLICE("p");
	assert_int_equal(http1_write_request(out, sizeof(out), &head, &plain), -EINVAL);
	parse_response("HTTP/1.1 200 OK\r\n\r\n", HTTP_METHOD_GET);
	head.reason = SLICE("OK\r\nA: b");
	assert_int_equal(http1_write_response(out, sizeof(out), &head, &plain), -EINVAL);
	head.reason = SLICE("OK");
	head.status = 99;
	assert_int_equal(http1_write_response(out, sizeof(out), &head, &plain), -EINVAL);
}

static void forwarded_framing(void **state)
{
	struct http1_framing out, in = {.kind = HTTP1_FRAMING_UNTIL_CLOSE};
	assert_int_equal(http1_framing_forward(&in, false, HTTP_VERSION_1_1, &out), 0);
	assert_int_equal(out.kind, HTTP1_FRAMING_CHUNKED);
	assert_int_equal(http1_framing_forward(&in, false, HTTP_VERSION_1_0, &out), 0);
	assert_int_equal(out.kind, HTTP1_FRAMING_UNTIL_CLOSE);
	in.kind = HTTP1_FRAMING_CHUNKED;
	assert_int_equal(http1_framing_forward(&in, false, HTTP_VERSION_1_0, &out), 0);
	assert_int_equal(out.kind, HTTP1_FRAMING_UNTIL_CLOSE);
	assert_int_equal(http1_framing_forward(&in, true, HTTP_VERSION_1_1, &out), 0);
	assert_int_equal(out.kind, HTTP1_FRAMING_CHUNKED);
	assert_int_equal(http1_framing_forward(&in, true, HTTP_VERSION_1_0, &out), -ENOTSUP);
	in = (struct http1_framing){.kind = HTTP1_FRAMING_LENGTH, .length = 7};
	assert_int_equal(http1_framing_forward(&in, true, HTTP_VERSION_1_0, &out), 0);
	assert_int_equal(out.kind, HTTP1_FRAMING_LENGTH);
	assert_int_equal(out.length, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_take_the_form_asked_for),
		cmocka_unit_test(hop_by_hop_fields_stay_here),
		cmocka_unit_test(hop_by_hop_fields_are_made),
		cmocka_unit_test(framing_is_made_anew),
		cmocka_unit_test(max_forwards_counts_down),
		cmocka_unit_test(nothing_splits_a_head),
		cmocka_unit_test(forwarded_framing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
