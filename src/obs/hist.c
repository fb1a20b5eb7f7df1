// SPDX-License-Identifier: Apache-2.0
// Sums, differences and quantiles of histograms.
#include "obs/hist.h"

void hist_add(struct hist *to, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += __atomic_load_n(&from->bucket[i], __ATOMIC_RELAXED);
	to->sum_ns += __atomic_load_n(&from->sum_ns, __ATOMIC_RELAXED);
}

void hist_subtract(struct hist *now, const struct hist *before)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		now->bucket[i] -= before->bucket[i];
	now->sum_ns -= before->sum_ns;
}

uint64_t hist_count(const struct hist *h)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		count += h->bucket[i];
	return count;
}

uint64_t hist_mean(const struct hist *h)
{
	uint64_t count = hist_count(h);

	return count ? h->sum_ns / count : 0;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t count = hist_count(h);

	if (count == 0)
		return 0;
	if (!(q > 0))
		q = 0;
	if (q > 1)
		q = 1;
	double rank = q * (double)count;
	double seen = 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		double here = (double)h->bucket[i];
		if (here == 0)
			continue;
		if (seen + here >= rank) {
			if (i == HIST_BUCKETS - 1)
				return hist_bound(HIST_BUCKETS - 2) * 1000;
			double low = i ? (double)hist_bound(i - 1) : 0;
			double high = (double)hist_bound(i);
			double part = rank > seen ? (rank - seen) / here : 0;
			return (uint64_t)((low + (high - low) * part) * 1000);
		}
		seen += here;
	}
	return hist_bound(HIST_BUCKETS - 2) * 1000;
}
