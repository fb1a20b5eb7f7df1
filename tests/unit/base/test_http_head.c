// SPDX-License-Identifier: Apache-2.0
// The version-independent head: tables, look-ups, changes, lists.
#include "base/http_head.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// after the ones that it needs
#include <cmocka.h>

static struct http_field fields[8];
static struct http_head head;

static void start(void)
{
	http_head_init(&head, fields, 8);
}

static void add(const char *name, const char *value)
{
	assert_int_equal(
		http_head_append_name(&head, slice_from_string(name), slice_from_string(value)), 0);
}

static void every_known_field_is_found(void **state)
{
	// A failure here after a row was added: run scripts/http-field-slots.
	for (int id = 1; id < HTTP_FIELDS; id++) {
		char text[64];
		struct slice name = http_field_name((enum http_field_id)id);
		assert_true(name.len > 0 && name.len < sizeof(text));
		assert_int_equal(http_field_lookup(name), id);
		for (size_t i = 0; i < name.len; i++)
			text[i] = (char)toupper((unsigned char)name.data[i]);
		assert_int_equal(http_field_lookup(slice_make(text, name.len)), id);
		assert_int_equal(http_field_lookup(slice_make(text, name.len - 1)),
				 HTTP_FIELD_OTHER);
		// any other byte anywhere is another name
		for (size_t i = 0; i < name.len; i++) {
			char kept = text[i];
			text[i] = kept == '-' ? '_' : '^';
			assert_int_equal(http_field_lookup(slice_make(text, name.len)),
					 HTTP_FIELD_OTHER);
			text[i] = kept;
		}
	}
	assert_int_equal(http_field_lookup(SLICE("")), HTTP_FIELD_OTHER);
	assert_int_equal(http_field_lookup(SLICE("x-unknown")), HTTP_FIELD_OTHER);
	assert_int_equal(http_field_name(HTTP_FIELD_OTHER).len, 0);
}

static void tables(void **state)
{
	for (int m = 1; m < HTTP_METHODS; m++)
		assert_int_equal(http_method_lookup(http_method_name((enum http_method)m)), m);
	assert_int_equal(http_method_lookup(SLICE("get")), HTTP_METHOD_OTHER);
	assert_int_equal(http_method_lookup(SLICE("CONNECTED")), HTTP_METHOD_OTHER);
	assert_int_equal(http_method_lookup(SLICE("")), HTTP_METHOD_OTHER);
	assert_true(http_method_flags(HTTP_METHOD_PUT) == HTTP_METHOD_IDEMPOTENT);
	assert_true(http_method_flags(HTTP_METHOD_OTHER) == 0);
	assert_true(http_field_flags(HTTP_FIELD_TE) & HTTP_FIELD_HOP);
	assert_false(http_field_flags(HTTP_FIELD_AUTHORIZATION) & HTTP_FIELD_HOP);
	assert_true(slice_equal(http_status_reason(407), SLICE("Proxy Authentication Required")));
	assert_int_equal(http_status_reason(299).len, 0);
}

static void fields_are_found_and_changed(void **state)
{
	start();
	add("Host", "a");
	add("X", "1");
	add("Accept", "b");
	add("x", "2");
	add("accept", "c");
	assert_int_equal(http_head_count(&head, HTTP_FIELD_ACCEPT), 2);
	assert_ptr_equal(http_head_find(&head, HTTP_FIELD_ACCEPT), &fields[2]);
	assert_ptr_equal(http_head_find_after(&head, HTTP_FIELD_ACCEPT, &fields[2]), &fields[4]);
	assert_null(http_head_find_after(&head, HTTP_FIELD_ACCEPT, &fields[4]));
	assert_null(http_head_find(&head, HTTP_FIELD_COOKIE));
	assert_ptr_equal(http_head_find_name(&head, SLICE("HOST")), &fields[0]);
	assert_ptr_equal(http_head_find_name(&head, SLICE("X")), &fields[1]);
	assert_null(http_head_find_name(&head, SLICE("Y")));
	assert_true(slice_equal(http_head_value(&head, HTTP_FIELD_ACCEPT), SLICE("b")));
	assert_int_equal(http_head_value(&head, HTTP_FIELD_COOKIE).len, 0);

	assert_int_equal(http_head_set(&head, HTTP_FIELD_ACCEPT, SLICE("d")), 0);
	assert_int_equal(head.field_count, 4);
	assert_true(slice_equal(fields[2].value, SLICE("d")));
	assert_int_equal(http_head_set(&head, HTTP_FIELD_COOKIE, SLICE("e")), 0);
	assert_int_equal(fields[4].id, HTTP_FIELD_COOKIE);
	assert_true(slice_equal(fields[4].name, SLICE("cookie")));

	assert_int_equal(http_head_remove_name(&head, SLICE("X")), 2);
	assert_int_equal(http_head_remove(&head, HTTP_FIELD_HOST), 1);
	assert_int_equal(http_head_remove(&head, HTTP_FIELD_HOST), 0);
	assert_int_equal(http_head_remove_name(&head, SLICE("cookie")), 1);
	assert_int_equal(http_head_remove_name(&head, SLICE("cookie")), 0);
	assert_int_equal(http_head_remove_name(&head, SLICE("y")), 0);
	assert_int_equal(http_head_remove(&head, HTTP_FIELD_OTHER), 0);
	assert_int_equal(head.field_count, 1);
	assert_int_equal(fields[0].id, HTTP_FIELD_ACCEPT);
	add("Host", "again");
	assert_ptr_equal(http_head_find(&head, HTTP_FIELD_HOST), &fields[1]);
}

static void bad_fields_are_refused(void **state)
{
	start();
	assert_int_equal(http_head_append_name(&head, SLICE(""), SLICE("a")), -EINVAL);
	assert_int_equal(http_head_append_name(&head, SLICE("a b"), SLICE("a")), -EINVAL);
	assert_int_equal(http_head_append_name(&head, SLICE("a:"), SLICE("a")), -EINVAL);
	assert_int_equal(http_head_append_name(&head, SLICE("a"), SLICE("a\r\nb: c")), -EINVAL);
	assert_int_equal(http_head_append_name(&head, SLICE("a"), SLICE(" b")), -EINVAL);
	assert_int_equal(http_head_append_name(&head, SLICE("a"), SLICE("b\t")), -EINVAL);
	assert_int_equal(http_head_append(&head, HTTP_FIELD_OTHER, SLICE("b")), -EINVAL);
	assert_int_equal(http_head_append(&head, HTTP_FIELDS, SLICE("b")), -EINVAL);
	assert_int_equal(http_head_append(&head, HTTP_FIELD_VIA, SLICE("\n")), -EINVAL);
	assert_int_equal(http_head_set(&head, HTTP_FIELD_VIA, SLICE("\n")), -EINVAL);
	assert_int_equal(http_head_append(&head, HTTP_FIELD_VIA, SLICE("")), 0);
	assert_int_equal(http_head_set(&head, HTTP_FIELD_VIA, SLICE("\n")), -EINVAL);
	while (head.field_count < 8)
		add("a", "b\tc \xc3\xa4");
	assert_int_equal(http_head_append(&head, HTTP_FIELD_VIA, SLICE("")), -ENOBUFS);
	assert_int_equal(http_head_append_name(&head, SLICE("a"), SLICE("b")), -ENOBUFS);
	assert_int_equal(http_head_set(&head, HTTP_FIELD_HOST, SLICE("b")), -ENOBUFS);
	assert_int_equal(http_head_set(&head, HTTP_FIELD_VIA, SLICE("b")), 0);
}

static void lists(void **state)
{
	start();
	add("Connection", "close, , Foo ,\"a, bar\"");
	add("connection", "x;q=1, Upgrade");
	assert_true(http_head_connection_lists(&head, SLICE("foo")));
	assert_true(http_head_connection_lists(&head, SLICE("UPGRADE")));
	assert_false(http_head_connection_lists(&head, SLICE("x")));
	assert_true(http_head_has_token(&head, HTTP_FIELD_CONNECTION, SLICE("x")));
	assert_false(http_head_connection_lists(&head, SLICE("bar")));
	assert_false(http_head_connection_lists(&head, SLICE("fo")));
	assert_false(http_head_connection_lists(&head, SLICE("")));
	assert_false(http_head_has_token(&head, HTTP_FIELD_TE, SLICE("close")));

	add("Via", "1.0 fred, 1.1 p.example.net (a, b)");
	assert_true(http_head_via_count(&head, SLICE("FRED")));
	assert_true(http_head_via_count(&head, SLICE("p.example.net")));
	assert_false(http_head_via_count(&head, SLICE("1.1")));
	assert_false(http_head_via_count(&head, SLICE("p.example")));
	add("Via", "HTTP/1.1\tsluice");
	assert_true(http_head_via_count(&head, SLICE("sluice")));
}

static void numbers(void **state)
{
	uint64_t n = 77;
	start();
	assert_int_equal(http_head_content_length(&head, &n), -ENOENT);
	add("Content-Length", "5");
	assert_int_equal(http_head_content_length(&head, &n), 0);
	assert_int_equal(n, 5);
	add("content-length", "5");
	assert_int_equal(http_head_content_length(&head, &n), -EBADMSG);
	add("Max-Forwards", "1x");
	assert_int_equal(http_head_max_forwards(&head, &n), -EBADMSG);
	http_head_set(&head, HTTP_FIELD_MAX_FORWARDS, SLICE("0"));
	assert_int_equal(http_head_max_forwards(&head, &n), 0);
	assert_int_equal(n, 0);
}

static void slices_follow_their_buffer(void **state)
{
	char old[] = "GET a:b", new[8];
	start();
	head.method_name = slice_make(old, 3);
	head.scheme = SLICE("http");
	assert_int_equal(
		http_head_append_name(&head, slice_make(old + 4, 1), slice_make(old + 6, 1)), 0);
	assert_int_equal(http_head_append(&head, HTTP_FIELD_VIA, slice_make(old + 7, 0)), 0);
	memcpy(new, old, sizeof(old));
	memset(old, 'x', sizeof(old));
	http_head_rebase(&head, old, 7, new);
	assert_true(slice_equal(head.method_name, SLICE("GET")));
	assert_true(slice_equal(head.scheme, SLICE("http")));
	assert_true(slice_equal(fields[0].name, SLICE("a")));
	assert_true(slice_equal(fields[0].value, SLICE("b")));
	assert_ptr_equal(fields[1].value.data, new + 7);
	assert_true(slice_equal(fields[1].name, SLICE("via")));
	assert_null(head.reason.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_field_is_found),
		cmocka_unit_test(tables),
		cmocka_unit_test(fields_are_found_and_changed),
		cmocka_unit_test(bad_fields_are_refused),
		cmocka_unit_test(lists),
		cmocka_unit_test(numbers),
		cmocka_unit_test(slices_follow_their_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
