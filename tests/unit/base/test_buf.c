// SPDX-License-Identifier: Apache-2.0
// The growable buffer against a plain array, its limit, and no memory.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/rng.h"

static void against_an_array(void **state)
{
	enum { LIMIT = 3000 };
	struct buf b;
	struct rng r;
	uint8_t model[LIMIT], piece[400];
	size_t len = 0;
	buf_init(&b, LIMIT);
	rng_init(&r, 1);
	for (int i = 0; i < 50000; i++) {
		size_t n = (size_t)rng_below(&r, sizeof(piece));
		switch (rng_below(&r, 8)) {
		case 0:
		case 1:
		case 2: {
			for (size_t k = 0; k < n; k++)
				piece[k] = (uint8_t)rng_next(&r);
			int e = buf_append(&b, piece, n);
			assert_int_equal(e, len + n > LIMIT ? -ENOBUFS : 0);
			if (!e) {
				memcpy(model + len, piece, n);
				len += n;
			}
			break;
		}
		case 3: {
			uint8_t *space;
			int e = buf_reserve(&b, n, &space);
			assert_int_equal(e, len + n > LIMIT ? -ENOBUFS : 0);
			if (!e) {
				n = n ? (size_t)rng_below(&r, n) : 0;
				memset(space, i & 0xff, n);
				memset(model + len, i & 0xff, n);
				buf_commit(&b, n);
				len += n;
			}
			break;
		}
		case 4:
			assert_int_equal(buf_printf(&b, "%d", i) == 0,
					 len + strlen("12345") <= LIMIT || b.len > len);
			while (len < b.len) { // trust the text here, printing has its own test
				model[len] = buf_data(&b)[len];
				len++;
			}
			break;
		case 5:
			if (rng_below(&r, 30) == 0) {
				buf_clear(&b);
				len = 0;
			}
			break;
		default:
			n = n < len ? n : len;
			buf_consume(&b, n);
			memmove(model, model + n, len - n);
			len -= n;
		}
		assert_int_equal(b.len, len);
		assert_memory_equal(buf_data(&b), model, len);
		assert_true(b.capacity <= LIMIT);
	}
	buf_release(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_append_str(&b, "again"), 0);
	assert_memory_equal(buf_data(&b), "again", 5);
	buf_release(&b);
}

static void prints(void **state)
{
	struct buf b;
	buf_init(&b, 10);
	assert_int_equal(buf_printf(&b, "%s-%d", "ab", 12), 0);
	assert_memory_equal(buf_data(&b), "ab-12", 5);
	assert_int_equal(buf_printf(&b, "%s", "123456"), -ENOBUFS);
	assert_int_equal(b.len, 5);
	assert_int_equal(buf_printf(&b, "%s", "12345"), 0); // exactly full
	assert_memory_equal(buf_data(&b), "ab-1212345", 10);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(buf_printf(&b, "x"), -ENOBUFS);
	buf_release(&b);
}

static void empty_and_none(void **state)
{
	struct buf b;
	uint8_t *space;
	buf_init(&b, 0);
	assert_non_null(buf_data(&b));
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(buf_append(&b, "x", 1), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, 0, &space), 0);
	assert_non_null(space);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &space), -ENOBUFS);
	buf_consume(&b, 0);
	buf_release(&b);
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &space), -ENOBUFS);
	buf_release(&b);
}

static void no_memory(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct buf b;
		buf_init(&b, 1000);
		alloc_fail_at(n);
		int r = buf_append_str(&b, "first");
		if (!r)
			r = buf_printf(&b, "%0200d", 7);
		if (!r)
			r = buf_printf(&b, "%0795d", 7); // to the limit
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		assert_true(b.len == 0 || !memcmp(buf_data(&b), "first", 5));
		assert_true(b.len == 0 || b.len == 5 || b.len == 205 || b.len == 1000);
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_an_array),
		cmocka_unit_test(prints),
		cmocka_unit_test(empty_and_none),
		cmocka_unit_test(no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
