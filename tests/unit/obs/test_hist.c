// SPDX-License-Identifier: Apache-2.0
// Tests of histograms: exact bounds, sums, quantiles.
#include "obs/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void each_value_lies_within_its_bucket(void **state)
{
	for (unsigned i = 0; i + 1 < HIST_BUCKETS; i++) {
		uint64_t bound = hist_bound(i);
		assert_int_equal(hist_index(bound), i);
		assert_int_equal(hist_index(bound + 1), i + 1);
		if (i > 0) {
			assert_true(bound > hist_bound(i - 1));
			// At most a quarter of an octave wide.
			assert_true((bound - hist_bound(i - 1)) * 4 <= bound);
		}
	}
	assert_int_equal(hist_index(0), 0);
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
	assert_int_equal(hist_bound(HIST_BUCKETS - 1), UINT64_MAX);
	assert_int_equal(hist_bound(HIST_BUCKETS - 2), 1u << HIST_LAST_LOG2);
}

static void a_time_just_above_a_bound_is_above_it(void **state)
{
	struct hist h = {0};

	hist_record(&h, 8000); // le 8 us
	hist_record(&h, 8001); // not
	assert_int_equal(h.bucket[hist_index(8)], 1);
	assert_int_equal(h.bucket[hist_index(9)], 1);
	assert_int_equal(h.sum_ns, 16001);
}

static void extreme_times_do_not_overflow(void **state)
{
	struct hist h = {0};

	hist_record(&h, 0);
	hist_record(&h, UINT64_MAX);
	assert_int_equal(hist_count(&h), 2);
	assert_int_equal(h.bucket[0], 1);
	assert_int_equal(h.bucket[HIST_BUCKETS - 1], 1);
}

static void quantiles_are_close(void **state)
{
	static struct hist h;

	for (uint64_t us = 1; us <= 100000; us++)
		hist_record(&h, us * 1000);
	const double qs[] = {0.01, 0.25, 0.5, 0.9, 0.99, 1.0};
	for (size_t i = 0; i < sizeof qs / sizeof qs[0]; i++) {
		double want = qs[i] * 100000 * 1000;
		double got = (double)hist_quantile(&h, qs[i]);
		assert_true(got > want * 0.75 && got < want * 1.25);
	}
	assert_int_equal(hist_mean(&h), 50000500);
	assert_true(hist_quantile(&h, 2) >= hist_quantile(&h, 1));
	assert_true(hist_quantile(&h, -1) <= 4000);
	assert_int_equal(hist_quantile(&(struct hist){0}, 0.5), 0);
	assert_int_equal(hist_mean(&(struct hist){0}), 0);
}

static void a_time_beyond_the_last_bound_gives_that_bound(void **state)
{
	struct hist h = {0};

	hist_record(&h, 1000000000000);
	assert_int_equal(hist_quantile(&h, 0.5), (UINT64_C(1) << HIST_LAST_LOG2) * 1000);
}

static void an_interval_is_the_difference_of_two_sums(void **state)
{
	static struct hist part, before, now;

	hist_record(&part, 10000);
	hist_add(&before, &part);
	hist_record(&part, 1000000);
	hist_add(&now, &part);
	hist_subtract(&now, &before);
	assert_int_equal(hist_count(&now), 1);
	assert_int_equal(now.sum_ns, 1000000);
	assert_true(hist_quantile(&now, 0.5) > 700000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_lies_within_its_bucket),
		cmocka_unit_test(a_time_just_above_a_bound_is_above_it),
		cmocka_unit_test(extreme_times_do_not_overflow),
		cmocka_unit_test(quantiles_are_close),
		cmocka_unit_test(a_time_beyond_the_last_bound_gives_that_bound),
		cmocka_unit_test(an_interval_is_the_difference_of_two_sums),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
