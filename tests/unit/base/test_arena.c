// SPDX-License-Identifier: Apache-2.0
// The arena: alignment, zeroing, large pieces, overflow, failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <string.h>

#include "alloc_fail.h"
#include "base/arena.h"

static void pieces_are_apart_aligned_and_zero(void **state)
{
	struct arena a;
	unsigned char *pieces[2000];

	arena_init(&a);
	for (size_t i = 0; i < 2000; i++) {
		size_t size = i % 97 == 0 ? 40000 : i % 61;

		pieces[i] = arena_alloc(&a, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(pieces[i][k], 0);
		memset(pieces[i], (int)(i & 0xff), size);
	}
	for (size_t i = 0; i < 2000; i++)
		for (size_t k = 0; k < (i % 97 == 0 ? 40000 : i % 61); k++)
			assert_int_equal(pieces[i][k], i & 0xff);
	assert_true(a.total_bytes > 40000);
	arena_release(&a);
	assert_int_equal(a.total_bytes, 0);
	arena_release(&a);
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct arena a = {0};

	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_array(&a, SIZE_MAX / 2, 4));
	assert_null(arena_text(&a, "", SIZE_MAX));
	assert_non_null(arena_array(&a, 0, 8));
	arena_release(&a);
}

static void text_is_copied_and_ended(void **state)
{
	struct arena a = {0};

	assert_string_equal(arena_text(&a, "abcdef", 3), "abc");
	assert_string_equal(arena_text(&a, NULL, 0), "");
	arena_release(&a);
}

static void failing_allocations_leave_it_usable(void **state)
{
	struct arena a = {0};

	alloc_fail_at(1);
	assert_null(arena_alloc(&a, 100000));
	alloc_fail_at(0);
	assert_non_null(arena_alloc(&a, 100));
	alloc_fail_at(1);
	assert_null(arena_alloc(&a, 100000)); // behind the newest
	assert_null(alloc_fail_hit() ? NULL : &a);
	alloc_fail_at(0);
	assert_non_null(arena_alloc(&a, 100000));
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_apart_aligned_and_zero),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(text_is_copied_and_ended),
		cmocka_unit_test(failing_allocations_leave_it_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
