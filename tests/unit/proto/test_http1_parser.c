// SPDX-License-Identifier: Apache-2.0
// The head parser: what it takes, what it refuses and with which fault, however the bytes are cut.
#include "../../support/http1_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// after the ones that it needs
#include <cmocka.h>

struct row {
	const char *input;
	const char *expected; // check_render, "!FAULT" or "..."
};

// Shown whole, byte by byte, and with something behind it: always the same.
static void expect(enum check_kind kind, enum http_method method, const struct row *row, size_t len)
{
	static struct check_result whole, bytes, more;
	static char followed[65536 + 16];
	check_parse(kind, method, row->input, len, NULL, NULL, &whole);
	if (strcmp(whole.text, row->expected) != 0)
		print_message("input: %s\n", row->input);
	assert_string_equal(whole.text, row->expected);
	check_parse(kind, method, row->input, len, check_cut_one, NULL, &bytes);
	assert_string_equal(bytes.text, row->expected);
	assert_int_equal(bytes.consumed, whole.consumed);
	if (whole.consumed == -EAGAIN)
		return;
	assert_true(len < sizeof(followed) - 16);
	memcpy(followed, row->input, len);
	memcpy(followed + len, "\r\n \0GET\n\r\n", 10);
	check_parse(kind, method, followed, len + 10, NULL, NULL, &more);
	assert_string_equal(more.text, row->expected);
	if (whole.consumed > 0)
		assert_int_equal(more.consumed, len);
}

static void expect_requests(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(CHECK_REQUEST, HTTP_METHOD_OTHER, &rows[i], strlen(rows[i].input));
}
#define EXPECT_REQUESTS(rows) expect_requests(rows, sizeof(rows) / sizeof((rows)[0]))

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

// clang-format off
static void targets(void **state)
{
	static const struct row rows[] = {
		{GET H "\r\n", "GET origin [a]/ 11 none keep|Host=a"},
		{"GET /a?b=%20&c HTTP/1.1\r\n" H "\r\n", "GET origin [a]/a?b=%20&c 11 none keep|Host=a"},
		{"GET //x HTTP/1.1\r\n" H "\r\n", "GET origin [a]//x 11 none keep|Host=a"},
		{"GET /a|b{c}\"^` HTTP/1.1\r\n" H "\r\n", "GET origin [a]/a|b{c}\"^` 11 none keep|Host=a"},
		{"GET /0123456789abcdef0123456789#f HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET /\x7f HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET /\t HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET a HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET \\ HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET * HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS asterisk [a]* 11 none keep|Host=a"},
		{"OPTIONS ** HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"get / HTTP/1.1\r\n" H "\r\n", "get origin [a]/ 11 none keep|Host=a"},
		{"M-SEARCH /x HTTP/1.1\r\n" H "\r\n", "M-SEARCH origin [a]/x 11 none keep|Host=a"},
		// absolute-form: its authority is the one that counts
		{"GET http://b:8080/p?q HTTP/1.1\r\n" H "\r\n", "GET absolute http[b:8080]/p?q 11 none keep|Host=a"},
		{"GET HTTP://B/ HTTP/1.1\r\n" H "\r\n", "GET absolute http[B]/ 11 none keep|Host=a"},
		{"GET http://b HTTP/1.1\r\n" H "\r\n", "GET absolute http[b]/ 11 none keep|Host=a"},
		{"GET http://b?q HTTP/1.1\r\n" H "\r\n", "GET absolute http[b]?q 11 none keep|Host=a"},
		{"GET http://b:/ HTTP/1.1\r\n" H "\r\n", "GET absolute http[b]/ 11 none keep|Host=a"},
		{"OPTIONS http://b HTTP/1.1\r\n" H "\r\n", "OPTIONS absolute http[b]* 11 none keep|Host=a"},
		{"OPTIONS http://b/ HTTP/1.1\r\n" H "\r\n", "OPTIONS absolute http[b]/ 11 none keep|Host=a"},
		{"GET http://[::1]:81/ HTTP/1.1\r\n" H "\r\n", "GET absolute http[[::1]:81]/ 11 none keep|Host=a"},
		{"GET http://[fe80::1%25eth0]/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://[::1/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://[::1]x/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http:/// HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://:80/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b:0/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b:65536/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b:8o/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b:80:80/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b,c/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b\\c/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://b%2e/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"GET http://u@b/ HTTP/1.1\r\n" H "\r\n", "!USERINFO"},
		{"GET http://u:p@b:80/ HTTP/1.1\r\n" H "\r\n", "!USERINFO"},
		{"GET http://b:80@c/ HTTP/1.1\r\n" H "\r\n", "!USERINFO"},
		{"GET http://[::1]@c/ HTTP/1.1\r\n" H "\r\n", "!USERINFO"},
		{"GET http://b/@c HTTP/1.1\r\n" H "\r\n", "GET absolute http[b]/@c 11 none keep|Host=a"},
		{"GET https://b/ HTTP/1.1\r\n" H "\r\n", "!SCHEME_HTTPS"},
		{"GET ftp://b/ HTTP/1.1\r\n" H "\r\n", "!SCHEME_UNSUPPORTED"},
		{"GET http:b HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET http:/b HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET ://b HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		{"GET 1http://b HTTP/1.1\r\n" H "\r\n", "!BAD_TARGET"},
		// authority-form
		{"CONNECT b:443 HTTP/1.1\r\n" H "\r\n", "CONNECT authority [b:443] 11 none keep|Host=a"},
		{"CONNECT [::1]:443 HTTP/1.1\r\n" H "\r\n", "CONNECT authority [[::1]:443] 11 none keep|Host=a"},
		{"CONNECT b:443 HTTP/1.0\r\n\r\n", "CONNECT authority [b:443] 10 none end"},
		{"CONNECT b HTTP/1.1\r\n" H "\r\n", "!NO_PORT"},
		{"CONNECT b: HTTP/1.1\r\n" H "\r\n", "!NO_PORT"},
		{"CONNECT ::1:443 HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"CONNECT u@b:443 HTTP/1.1\r\n" H "\r\n", "!USERINFO"},
		{"CONNECT http://b:443 HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"CONNECT b:443/ HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"CONNECT / HTTP/1.1\r\n" H "\r\n", "!BAD_AUTHORITY"},
		{"CONNECT b:443 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
		 "CONNECT authority [b:443] 11 length:0 keep|Host=a|Content-Length=0"},
		{"CONNECT b:443 HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n", "!UNEXPECTED_CONTENT"},
		{"CONNECT b:443 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "!UNEXPECTED_CONTENT"},
		{"TRACE / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n", "!UNEXPECTED_CONTENT"},
	};
	EXPECT_REQUESTS(rows);
}

static void hosts(void **state)
{
	static const struct row rows[] = {
		{GET "\r\n", "!NO_HOST"},
		{"GET http://b/ HTTP/1.1\r\n\r\n", "!NO_HOST"},
		{"GET / HTTP/1.0\r\n\r\n", "GET origin []/ 10 none end"},
		{"GET / HTTP/1.0\r\nHost: a:1\r\n\r\n", "GET origin [a:1]/ 10 none end|Host=a:1"},
		{GET "Host: a\r\nHost: a\r\n\r\n", "!DUPLICATE_HOST"},
		{GET "Host: a\r\nhOST: b\r\n\r\n", "!DUPLICATE_HOST"},
		{"GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", "!DUPLICATE_HOST"},
		{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "!DUPLICATE_HOST"},
		{GET "Host:\r\n\r\n", "!BAD_HOST"},
		{GET "Host: a b\r\n\r\n", "!BAD_HOST"},
		{GET "Host: a,b\r\n\r\n", "!BAD_HOST"},
		{GET "Host: a/b\r\n\r\n", "!BAD_HOST"},
		{GET "Host: a:x\r\n\r\n", "!BAD_HOST"},
		{GET "Host: http://a\r\n\r\n", "!BAD_HOST"},
		{GET "Host: a\t\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a"},
		{GET "Host: b@a\r\n\r\n", "!USERINFO"},
		{GET "Host: [::ffff:1.2.3.4]:80\r\n\r\n", "GET origin [[::ffff:1.2.3.4]:80]/ 11 none keep|Host=[::ffff:1.2.3.4]:80"},
		{"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "!BAD_HOST"},
		{"CONNECT b:1 HTTP/1.1\r\nHost: a b\r\n\r\n", "!BAD_HOST"},
	};
	EXPECT_REQUESTS(rows);
}

static void request_lines(void **state)
{
	static const struct row rows[] = {
		{"", "..."}, {"G", "..."}, {"GET / HTTP/1.1", "..."}, {"GET / HTTP/1.1\r", "..."}, {GET H "\r", "..."},
		{GET "Host: a\r\nX: 1", "..."},
		{"\r\n" GET H "\r\n", "GET origin [a]/ 11 none keep|Host=a"},
		{"\r\n\r\n\r\n\r\n" GET H "\r\n", "GET origin [a]/ 11 none keep|Host=a"},
		{"\r\n\r\n\r\n\r\n\r\n" GET H "\r\n", "!BLANK_LINES"},
		{"\n" GET H "\r\n", "!BARE_LF"},
		{"\r" GET H "\r\n", "!BARE_CR"},
		{" GET / HTTP/1.1\r\n" H "\r\n", "!BAD_METHOD"},
		{"G@T / HTTP/1.1\r\n" H "\r\n", "!BAD_METHOD"},
		{"GET\t/ HTTP/1.1\r\n" H "\r\n", "!BAD_METHOD"},
		{"GET: / HTTP/1.1\r\n" H "\r\n", "!BAD_METHOD"},
		{"\x16\x03\x01\x02\r\n", "!BAD_METHOD"},
		{"GET\r\n\r\n", "!BAD_REQUEST_LINE"},
		{"GET \r\n\r\n", "!BAD_REQUEST_LINE"},
		{"GET /\r\n\r\n", "!BAD_REQUEST_LINE"}, // HTTP/0.9
		{"GET  / HTTP/1.1\r\n" H "\r\n", "!BAD_REQUEST_LINE"},
		{"GET /  HTTP/1.1\r\n" H "\r\n", "!BAD_REQUEST_LINE"},
		{"GET / x HTTP/1.1\r\n" H "\r\n", "!BAD_REQUEST_LINE"},
		{"GET  HTTP/1.1\r\n" H "\r\n", "!BAD_REQUEST_LINE"},
		{"GET / HTTP/1.1 \r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / http/1.1\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTP/1.10\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTP/11\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTP/1,1\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTP/ 1.1\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTPS/1.1\r\n" H "\r\n", "!BAD_VERSION"},
		{"GET / HTTP/0.9\r\n" H "\r\n", "!VERSION_UNSUPPORTED"},
		{"GET / HTTP/2.0\r\n" H "\r\n", "!VERSION_UNSUPPORTED"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!VERSION_UNSUPPORTED"},
		{"GET / HTTP/1.2\r\n" H "\r\n", "GET origin [a]/ 11 none keep|Host=a"},
		{"GET / HTTP/1.1\n" H "\r\n", "!BARE_LF"},
		{"GET / HTTP/1.1\r\r\n" H "\r\n", "!BARE_CR"},
		{"GET / HTTP/1.1\rX: y\r\n" H "\r\n", "!BARE_CR"},
		{"GET /\r HTTP/1.1\r\n" H "\r\n", "!BARE_CR"},
	};
	EXPECT_REQUESTS(rows);
}

static void fields(void **state)
{
	static const struct row rows[] = {
		{GET H "A:b\r\nC: \r\nD:\r\nE:\t f g\t \r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|A=b|C=|D=|E=f g"},
		{GET H "A: 0123456789abcdef\t0123456789abcdef\r\n\r\n",
		 "GET origin [a]/ 11 none keep|Host=a|A=0123456789abcdef\t0123456789abcdef"},
		{GET H "A: \xc3\xa4\xff 0123456789abcdef\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|A=\xc3\xa4\xff 0123456789abcdef"},
		{GET H "A: b:c: d\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|A=b:c: d"},
		{GET H "!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|!#$%&'*+-.^_`|~09azAZ=1"},
		{GET H "A: b\n\r\n", "!BARE_LF"},
		{GET H "A: b\r\n\n", "!BARE_LF"},
		{GET H "\n", "!BARE_LF"},
		{GET H "A: b\rC: d\r\n\r\n", "!BARE_CR"},
		{GET H "A: b\r\r\n\r\n", "!BARE_CR"},
		{GET H "\r\r\n", "!BARE_CR"},
		{GET H "A: b\r\n c\r\n\r\n", "!FOLDED_LINE"},
		{GET H "A: b\r\n\tc: d\r\n\r\n", "!FOLDED_LINE"},
		{GET " " H "\r\n", "!FOLDED_LINE"},
		{GET H "A: b\r\n \r\n\r\n", "!FOLDED_LINE"},
		{GET H "A : b\r\n\r\n", "!SPACE_BEFORE_COLON"},
		{GET H "A\t: b\r\n\r\n", "!SPACE_BEFORE_COLON"},
		{GET H "Content-Length : 5\r\n\r\n", "!SPACE_BEFORE_COLON"},
		{GET H ": b\r\n\r\n", "!EMPTY_NAME"},
		{GET H "A\r\n\r\n", "!NO_COLON"},
		{GET H "A b: c\r\n\r\n", "!BAD_NAME"},
		{GET H "A\x01: c\r\n\r\n", "!BAD_NAME"},
		{GET H "\xc3\xa4: c\r\n\r\n", "!BAD_NAME"},
		{GET H "A(: c\r\n\r\n", "!BAD_NAME"},
		{GET H "A/B: c\r\n\r\n", "!BAD_NAME"},
		{GET H "\"A\": c\r\n\r\n", "!BAD_NAME"},
		{GET H "A: b\x01\r\n\r\n", "!BAD_VALUE"},
		{GET H "A: b\x7f\r\n\r\n", "!BAD_VALUE"},
		{GET H "A: b\x0b" "c\r\n\r\n", "!BAD_VALUE"},
		{GET H "A: 0123456789abcdef0123456789\x1b[31m\r\n\r\n", "!BAD_VALUE"},
	};
	EXPECT_REQUESTS(rows);
	static const char nul_value[] = GET H "A: b\0c\r\n\r\n", nul_name[] = GET H "A\0: b\r\n\r\n",
			  nul_target[] = "GET /\0 HTTP/1.1\r\n" H "\r\n", nul_method[] = "G\0T / HTTP/1.1\r\n\r\n";
	expect(CHECK_REQUEST, 0, &(struct row){nul_value, "!BAD_VALUE"}, sizeof(nul_value) - 1);
	expect(CHECK_REQUEST, 0, &(struct row){nul_name, "!BAD_NAME"}, sizeof(nul_name) - 1);
	expect(CHECK_REQUEST, 0, &(struct row){nul_target, "!BAD_TARGET"}, sizeof(nul_target) - 1);
	expect(CHECK_REQUEST, 0, &(struct row){nul_method, "!BAD_METHOD"}, sizeof(nul_method) - 1);
}

// The ways in which two readers have been made to see two different messages.
static void smuggling(void **state)
{
	static const struct row rows[] = {
		{POST "Content-Length: 5\r\n\r\n", "POST origin [a]/ 11 length:5 keep|Host=a|Content-Length=5"},
		{POST "content-length:005\r\n\r\n", "POST origin [a]/ 11 length:5 keep|Host=a|content-length=005"},
		{POST "Content-Length: 9223372036854775807\r\n\r\n",
		 "POST origin [a]/ 11 length:9223372036854775807 keep|Host=a|Content-Length=9223372036854775807"},
		{POST "Content-Length: 9223372036854775808\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 18446744073709551617\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "!DUPLICATE_LENGTH"},
		{POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "!DUPLICATE_LENGTH"},
		{POST "Content-Length: 5, 5\r\n\r\n", "!DUPLICATE_LENGTH"},
		{POST "Content-Length: 5,\r\n\r\n", "!DUPLICATE_LENGTH"},
		{POST "Content-Length:\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: -5\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: +5\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 5 5\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 0x5\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 5.0\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: 5;\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: \"5\"\r\n\r\n", "!BAD_LENGTH"},
		{POST "Content-Length: \xef\xbc\x95\r\n\r\n", "!BAD_LENGTH"}, // a full-width 5
		{POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "!LENGTH_AND_CODING"},
		{POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "!LENGTH_AND_CODING"},
		{POST "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n", "!LENGTH_AND_CODING"},
		{POST "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\n", "!LENGTH_AND_CODING"},
		{POST "Transfer-Encoding: chunked\r\n\r\n", "POST origin [a]/ 11 chunked keep|Host=a|Transfer-Encoding=chunked"},
		{POST "transfer-encoding: ChUnKeD\r\n\r\n", "POST origin [a]/ 11 chunked keep|Host=a|transfer-encoding=ChUnKeD"},
		{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: chunked, chunked\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: chunked, identity\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: identity\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: gzip\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: xchunked\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "!CODING_UNSUPPORTED"},
		{POST "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", "!CODING_UNSUPPORTED"},
		{POST "Transfer-Encoding: identity, chunked\r\n\r\n", "!CODING_UNSUPPORTED"},
		{POST "Transfer-Encoding:\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: ,chunked\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: chunked,\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: chunked;q=1\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: \"chunked\"\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: 'chunked'\r\n\r\n", "!CODING_NOT_FINAL"},
		{POST "Transfer-Encoding: chu nked\r\n\r\n", "!BAD_CODING"},
		{POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n", "!BAD_VALUE"},
		{POST "Transfer-Encoding : chunked\r\n\r\n", "!SPACE_BEFORE_COLON"},
		{POST "Transfer-Encoding\r\n : chunked\r\n\r\n", "!NO_COLON"},
		{POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n", "!FOLDED_LINE"},
		{POST "Transfer-Encoding:\r\n chunked\r\n\r\n", "!FOLDED_LINE"},
		{POST "X: y\nTransfer-Encoding: chunked\r\n\r\n", "!BARE_LF"},
		{POST "X: y\rTransfer-Encoding: chunked\r\n\r\n", "!BARE_CR"},
		{POST "Transfer_Encoding: chunked\r\n\r\n", "POST origin [a]/ 11 none keep|Host=a|Transfer_Encoding=chunked"},
		{"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "!CODING_IN_1_0"},
		{"POST / HTTP/1.0\r\n" H "Transfer-Encoding: identity\r\n\r\n", "!CODING_IN_1_0"},
		{GET "Host: a\r\nContent-Length: 3\r\n\r\n", "GET origin [a]/ 11 length:3 keep|Host=a|Content-Length=3"},
	};
	EXPECT_REQUESTS(rows);
}

static void connections(void **state)
{
	static const struct row rows[] = {
		{GET H "Connection: close\r\n\r\n", "GET origin [a]/ 11 none end|Host=a|Connection=close"},
		{GET H "Connection: a, CLOSE\r\n\r\n", "GET origin [a]/ 11 none end|Host=a|Connection=a, CLOSE"},
		{GET H "Connection: a\r\nConnection: close\r\n\r\n", "GET origin [a]/ 11 none end|Host=a|Connection=a|Connection=close"},
		{GET H "Connection: keep-alive, close\r\n\r\n", "GET origin [a]/ 11 none end|Host=a|Connection=keep-alive, close"},
		{GET H "Connection: closed\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|Connection=closed"},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET origin []/ 10 none keep|Connection=keep-alive"},
		{"GET http://b/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET absolute http[b]/ 10 none end|Connection=keep-alive"},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET origin []/ 10 none end|Connection=keep-alive, close"},
		{GET H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		 "GET origin [a]/ 11 none keep upgrade|Host=a|Connection=upgrade|Upgrade=websocket"},
		{GET H "Upgrade: websocket\r\n\r\n", "GET origin [a]/ 11 none keep|Host=a|Upgrade=websocket"},
		{"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		 "GET origin []/ 10 none end|Connection=upgrade|Upgrade=websocket"},
		{POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
		 "POST origin [a]/ 11 length:1 keep expect|Host=a|Content-Length=1|Expect=100-Continue"},
		{POST "Expect: 100-continue\r\n\r\n", "POST origin [a]/ 11 none keep|Host=a|Expect=100-continue"},
		{"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
		 "POST origin []/ 10 length:1 end|Content-Length=1|Expect=100-continue"},
		{GET H "TE: gzip, trailers;q=0.5\r\n\r\n", "GET origin [a]/ 11 none keep te|Host=a|TE=gzip, trailers;q=0.5"},
		{GET H "Connection: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33\r\n\r\n",
		 "!TOO_MANY_OPTIONS"},
	};
	EXPECT_REQUESTS(rows);
}

static void responses(void **state)
{
	static const struct {
		enum http_method method;
		struct row row;
	} rows[] = {
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "11 200 (OK) length:2 keep|Content-Length=2"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "11 200 () length:0 keep|Content-Length=0"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "11 200 () length:0 keep|Content-Length=0"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 404 Not \t\xe4here \r\n\r\n", "11 404 (Not \t\xe4here ) close end"}},
		{HTTP_METHOD_GET, {"HTTP/1.0 200 OK\r\n\r\n", "10 200 (OK) close end"}},
		{HTTP_METHOD_GET, {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
				   "10 200 (OK) length:1 keep|Connection=keep-alive|Content-Length=1"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
				   "11 200 (OK) chunked keep|Transfer-Encoding=chunked"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
				   "11 200 (OK) close end|Transfer-Encoding=identity"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "!CODING_UNSUPPORTED"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "!CODING_NOT_FINAL"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "!LENGTH_AND_CODING"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "!DUPLICATE_LENGTH"}},
		{HTTP_METHOD_GET, {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "!CODING_IN_1_0"}},
		// no content whatever the fields say
		{HTTP_METHOD_HEAD, {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "11 200 (OK) none keep|Content-Length=9"}},
		{HTTP_METHOD_HEAD, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "11 200 (OK) none keep|Transfer-Encoding=chunked"}},
		{HTTP_METHOD_HEAD, {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "!BAD_LENGTH"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "11 304 (Not Modified) none keep|Content-Length=9"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "11 204 (No Content) none keep|Content-Length=9"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 100 Continue\r\n\r\n", "11 100 (Continue) none keep"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
				   "11 103 (Early Hints) none keep|Transfer-Encoding=chunked"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
				   "11 101 (Switching Protocols) tunnel end upgrade|Connection=Upgrade|Upgrade=websocket"}},
		{HTTP_METHOD_CONNECT, {"HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n",
				       "11 200 (Connection established) tunnel end|Content-Length=9"}},
		{HTTP_METHOD_CONNECT, {"HTTP/1.0 200 Connection established\r\nTransfer-Encoding: chunked\r\n\r\n",
				       "10 200 (Connection established) tunnel end|Transfer-Encoding=chunked"}},
		{HTTP_METHOD_CONNECT, {"HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\n", "11 407 (No) length:9 keep|Content-Length=9"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 999 Request denied\r\n\r\n", "11 999 (Request denied) close end"}},
		// faults
		{HTTP_METHOD_GET, {"HTTP/1.1 099 x\r\n\r\n", "!BAD_STATUS"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 2x0 x\r\n\r\n", "!BAD_STATUS"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 20 OK\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 2000 OK\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200OK\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 O\x01K\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1  200 OK\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1\r\n\r\n", "!BAD_STATUS_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/2 200\r\n\r\n", "!BAD_VERSION"}},
		{HTTP_METHOD_GET, {"HTTP/2.0 200 OK\r\n\r\n", "!VERSION_UNSUPPORTED"}},
		{HTTP_METHOD_GET, {"ICY 200 OK\r\n\r\n", "!BAD_VERSION"}},
		{HTTP_METHOD_GET, {"SSH-2.0-OpenSSH_9.2\r\n", "!BAD_VERSION"}},
		{HTTP_METHOD_GET, {"\r\nHTTP/1.1 200 OK\r\n\r\n", "!BAD_VERSION"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\nA: b\r\n\r\n", "!BARE_LF"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\rA: b\r\n\r\n", "!BARE_CR"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "!FOLDED_LINE"}},
		{HTTP_METHOD_GET, {"HTTP/1.1 200 OK\r\n", "..."}},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(CHECK_RESPONSE, rows[i].method, &rows[i].row, strlen(rows[i].row.input));
}
// clang-format on

// Each limit: the largest that passes, and one byte or field more, which fails whole and cut alike.
static void limits(void **state)
{
	static char text[65536];
	struct row row = {text, NULL};
	static struct check_result result;
	for (int over = 0; over <= 1; over++) {
		// "GET /aaa HTTP/1.1\r\n" of 1024 bytes
		int len = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n",
				   1024 - 16 + over, 0);
		check_parse(CHECK_REQUEST, 0, text, (size_t)len, NULL, NULL, &result);
		row.expected = over ? "!LINE_TOO_LONG" : result.text;
		assert_int_equal(result.consumed > 0, !over);
		expect(CHECK_REQUEST, 0, &row, (size_t)len);

		len = snprintf(text, sizeof(text), GET H "X: %0*d\r\n\r\n", 1024 - 5 + over, 0);
		check_parse(CHECK_REQUEST, 0, text, (size_t)len, NULL, NULL, &result);
		row.expected = over ? "!FIELD_TOO_LONG" : result.text;
		assert_int_equal(result.consumed > 0, !over);
		expect(CHECK_REQUEST, 0, &row, (size_t)len);

		len = snprintf(text, sizeof(text), GET H);
		while (len < 4096 - 2)
			len += snprintf(text + len, sizeof(text) - (size_t)len, "X: %0*d\r\n",
					4096 - 2 - len < 800 ? 4096 - 2 - len - 5 + over : 600, 0);
		len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n");
		check_parse(CHECK_REQUEST, 0, text, (size_t)len, NULL, NULL, &result);
		row.expected = over ? "!HEAD_TOO_LARGE" : result.text;
		assert_int_equal(result.consumed, over ? -EBADMSG : 4096);
		expect(CHECK_REQUEST, 0, &row, (size_t)len);

		len = snprintf(text, sizeof(text), GET H);
		for (int i = 1; i < CHECK_FIELDS + over; i++)
			len += snprintf(text + len, sizeof(text) - (size_t)len, "X: %d\r\n", i);
		len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n");
		check_parse(CHECK_REQUEST, 0, text, (size_t)len, NULL, NULL, &result);
		row.expected = over ? "!TOO_MANY_FIELDS" : result.text;
		assert_int_equal(result.consumed > 0, !over);
		expect(CHECK_REQUEST, 0, &row, (size_t)len);
	}
	// A line that never ends, and one that is bad and too long: the same verdict however it comes.
	memset(text, 'x', 8192);
	row.expected = "!LINE_TOO_LONG";
	expect(CHECK_REQUEST, 0, &row, 8192);
	memset(text, '\x01', 8192);
	expect(CHECK_REQUEST, 0, &row, 8192);
}

static void limits_of_any_size(void **state)
{
	// max_head smaller than a line: the head is what is too large.
	static const char text[] = GET "Host: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
	for (uint32_t max = 0; max <= sizeof(text); max++) {
		struct http1_limits small = {1000, max};
		struct http_field array[4];
		struct http_head head;
		struct http1_parser parser;
		http_head_init(&head, array, 4);
		http1_parser_init_request(&parser, &head, &small);
		ssize_t r = http1_parser_feed(&parser, text, sizeof(text) - 1);
		assert_int_equal(r, max < sizeof(text) - 1 ? -EBADMSG : (ssize_t)sizeof(text) - 1);
		if (r < 0)
			assert_int_equal(parser.error, HTTP1_ERROR_HEAD_TOO_LARGE);
		assert_int_equal(http1_parser_feed(&parser, text, sizeof(text) - 1), r);
	}
}

static void tells_whether_a_request_began(void **state)
{
	static struct check_result result;
	check_parse(CHECK_REQUEST, 0, "\r\n\r\n", 4, NULL, NULL, &result);
	assert_false(result.began);
	check_parse(CHECK_REQUEST, 0, "", 0, NULL, NULL, &result);
	assert_false(result.began);
	check_parse(CHECK_REQUEST, 0, "\r\nG", 3, NULL, NULL, &result);
	assert_true(result.began);
	check_parse(CHECK_REQUEST, 0, GET, strlen(GET), NULL, NULL, &result);
	assert_true(result.began);
}

static void less_than_before_is_no_news(void **state)
{
	static const char text[] = GET H "X: y\r\n\r\n";
	struct http_field array[4];
	struct http_head head;
	struct http1_parser parser;
	http_head_init(&head, array, 4);
	http1_parser_init_request(&parser, &head, &check_limits);
	assert_int_equal(http1_parser_feed(&parser, text, sizeof(text) - 3), -EAGAIN);
	for (size_t len = 0; len < sizeof(text) - 2; len++)
		assert_int_equal(http1_parser_feed(&parser, text, len), -EAGAIN);
	assert_int_equal(http1_parser_feed(&parser, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(head.field_count, 2);
}

static void takes_https_when_allowed(void **state)
{
	static const char text[] = "GET https://b/p HTTP/1.1\r\n" H "\r\n";
	struct http_field array[4];
	struct http_head head;
	struct http1_parser parser;
	http_head_init(&head, array, 4);
	http1_parser_init_request(&parser, &head, &check_limits);
	parser.allow_https = true;
	assert_int_equal(http1_parser_feed(&parser, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_true(slice_equal(head.scheme, SLICE("https")));
	assert_true(slice_equal(head.authority, SLICE("b")));
}

static void every_fault_has_a_status_and_a_text(void **state)
{
	for (int e = HTTP1_OK + 1; e < HTTP1_ERRORS; e++) {
		unsigned status = http1_error_status((enum http1_error)e);
		assert_true(status >= 400 && status < 600 && http_status_reason(status).len > 0);
		assert_true(http1_error_text((enum http1_error)e).len > 10);
		assert_true(strlen(http1_error_name((enum http1_error)e)) > 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(hosts),
		cmocka_unit_test(request_lines),
		cmocka_unit_test(fields),
		cmocka_unit_test(smuggling),
		cmocka_unit_test(connections),
		cmocka_unit_test(responses),
		cmocka_unit_test(limits),
		cmocka_unit_test(limits_of_any_size),
		cmocka_unit_test(tells_whether_a_request_began),
		cmocka_unit_test(less_than_before_is_no_news),
		cmocka_unit_test(takes_https_when_allowed),
		cmocka_unit_test(every_fault_has_a_status_and_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
