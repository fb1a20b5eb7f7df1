// SPDX-License-Identifier: Apache-2.0
// Domain sets: forms of entries, look-up by labels, large sets, failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc_fail.h"
#include "base/arena.h"
#include "snap/names.h"

static struct snap_names make(struct arena *arena, const char *const *entries)
{
	struct snap_names_builder b;
	struct snap_names names;

	snap_names_builder_init(&b);
	for (; *entries; entries++)
		assert_int_equal(snap_names_builder_add(&b, *entries, strlen(*entries)), 0);
	assert_int_equal(snap_names_builder_build(&b, arena, &names), 0);
	snap_names_builder_release(&b);
	return names;
}

static bool has(const struct snap_names *names, const char *host)
{
	return snap_names_match(names, host, strlen(host));
}

static void forms(void **state)
{
	struct arena a = {0};
	struct snap_names n = make(&a, (const char *const[]){"exact.com", ".both.org",
							     "*.below.net", "CaSe.Com.", NULL});

	assert_true(has(&n, "exact.com"));
	assert_false(has(&n, "www.exact.com"));
	assert_false(has(&n, "xexact.com"));
	assert_true(has(&n, "both.org"));
	assert_true(has(&n, "a.b.c.both.org"));
	assert_false(has(&n, "xboth.org"));
	assert_false(has(&n, "org"));
	assert_false(has(&n, "below.net"));
	assert_true(has(&n, "x.below.net"));
	assert_true(has(&n, "y.x.below.net"));
	assert_true(has(&n, "case.com"));
	assert_false(has(&n, "com"));
	assert_false(has(&n, ""));
	assert_int_equal(n.count, 4);
	arena_release(&a);
}

static void one_name_in_several_forms(void **state)
{
	struct arena a = {0};
	struct snap_names n = make(&a, (const char *const[]){"x.com", "*.x.com", "x.com", NULL});

	assert_int_equal(n.count, 1);
	assert_true(has(&n, "x.com"));
	assert_true(has(&n, "a.x.com"));
	arena_release(&a);
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {"",        ".",       "*",           "*.",    "a..b",
					  "1.2.3.4", "a b.com", "a/b",         "[::1]", "a.com:80",
					  "-x.com",  "..com",   "\xc3\xa4.com"};
	struct snap_names_builder b;

	snap_names_builder_init(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(snap_names_builder_add(&b, bad[i], strlen(bad[i])) < 0);
	assert_int_equal(b.count, 0);
	snap_names_builder_release(&b);
}

static void empty_set_matches_nothing(void **state)
{
	struct arena a = {0};
	struct snap_names n = make(&a, (const char *const[]){NULL});
	struct snap_names zero = {0};

	assert_false(has(&n, "x.com"));
	assert_false(has(&zero, "x.com"));
	arena_release(&a);
}

static void two_hundred_thousand(void **state)
{
	struct arena a = {0};
	struct snap_names_builder b;
	struct snap_names n;
	char text[64];

	snap_names_builder_init(&b);
	for (int i = 0; i < 200000; i++) {
		int len = snprintf(text, sizeof(text), "%sd%d.example%d.com", i & 1 ? "." : "", i,
				   i % 1000);

		assert_int_equal(snap_names_builder_add(&b, text, (size_t)len), 0);
	}
	assert_int_equal(snap_names_builder_build(&b, &a, &n), 0);
	snap_names_builder_release(&b);
	assert_int_equal(n.count, 200000);
	for (int i = 0; i < 200000; i++) {
		snprintf(text, sizeof(text), "d%d.example%d.com", i, i % 1000);
		assert_true(has(&n, text));
		snprintf(text, sizeof(text), "sub.d%d.example%d.com", i, i % 1000);
		assert_int_equal(has(&n, text), i & 1);
		snprintf(text, sizeof(text), "d%d.example%d.com", i, (i + 1) % 1000);
		assert_false(has(&n, text));
	}
	// Below 32 bytes an entry besides its text.
	assert_true(a.total_bytes < 200000 * (32 + 24));
	arena_release(&a);
}

static void failing_allocations(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct arena a = {0};
		struct snap_names_builder b;
		struct snap_names names = {0};
		int r = 0;

		snap_names_builder_init(&b);
		alloc_fail_at(n);
		for (int i = 0; i < 200 && r == 0; i++) {
			char text[32];
			int len = snprintf(text, sizeof(text), "host%d.example.com", i);

			r = snap_names_builder_add(&b, text, (size_t)len);
		}
		if (r == 0)
			r = snap_names_builder_build(&b, &a, &names);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		assert_int_equal(names.count, hit ? 0 : 200);
		snap_names_builder_release(&b);
		arena_release(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(one_name_in_several_forms),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(empty_set_matches_nothing),
		cmocka_unit_test(two_hundred_thousand),
		cmocka_unit_test(failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
