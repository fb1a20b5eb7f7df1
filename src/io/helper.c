// SPDX-License-Identifier: Apache-2.0
// A pool of helper threads: see helper.h.
#include "io/helper.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	THREADS_MOST = 256,
	STACK_BYTES = 512 * 1024, // hashes take their memory from the heap
};

struct helper {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned thread_count; // set once
	size_t queue_limit;    // set once
	// Under the lock.
	struct cds_list_head queue_shared;
	struct helper_stats stats_shared;
	bool ending_shared;
	pthread_t threads[];
};

static void job_deliver(struct loop *loop, struct mail *mail)
{
	struct helper_job *job = caa_container_of(mail, struct helper_job, mail);
	job->done(loop, job);
}

// The last touch of the job here: the owner may free it at once.
static void job_reply(struct helper_job *job, enum helper_outcome outcome)
{
	job->outcome = outcome;
	mailbox_post_any(job->reply_to, &job->mail);
}

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	pthread_mutex_lock(&h->lock);
	for (;;) {
		if (cds_list_empty(&h->queue_shared)) {
			if (h->ending_shared)
				break;
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		struct helper_job *job =
			cds_list_first_entry(&h->queue_shared, struct helper_job, node_shared);
		cds_list_del_init(&job->node_shared);
		bool skip = h->ending_shared;
		h->stats_shared.waiting--;
		h->stats_shared.running++;
		pthread_mutex_unlock(&h->lock);
		if (!skip)
			job->run(job);
		job_reply(job, skip ? HELPER_SKIPPED : HELPER_RAN);
		pthread_mutex_lock(&h->lock);
		h->stats_shared.running--;
		if (skip)
			h->stats_shared.skipped++;
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int threads_start(struct helper *h, unsigned count)
{
	pthread_attr_t attr;
	if (pthread_attr_init(&attr) != 0)
		return -ENOMEM;
	size_t stack = STACK_BYTES;
	if (stack < (size_t)PTHREAD_STACK_MIN)
		stack = (size_t)PTHREAD_STACK_MIN;
	pthread_attr_setstacksize(&attr, stack);
	// Signals are for the main thread: a new thread inherits this mask.
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = 0;
	while (h->thread_count < count) {
		pthread_t *thread = &h->threads[h->thread_count];
		if (pthread_create(thread, &attr, helper_main, h) != 0) {
			r = -EAGAIN;
			break;
		}
		pthread_setname_np(*thread, "sluice-helper");
		h->thread_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return h->thread_count ? 0 : r;
}

int helper_new(unsigned threads, size_t queue_limit, struct helper **ret_helper)
{
	if (!queue_limit || threads > THREADS_MOST)
		return -EINVAL;
	struct helper *h = calloc(1, sizeof(*h) + threads * sizeof(h->threads[0]));
	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	CDS_INIT_LIST_HEAD(&h->queue_shared);
	h->queue_limit = queue_limit;
	int r = threads ? threads_start(h, threads) : 0;
	if (r < 0) {
		helper_free(h);
		return r;
	}
	*ret_helper = h;
	return 0;
}

void helper_free(struct helper *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->ending_shared = true;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->thread_count; i++)
		pthread_join(h->threads[i], NULL);
	assert(cds_list_empty(&h->queue_shared));
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int helper_submit(struct helper *h, struct helper_job *job)
{
	assert(job->run && job->done && job->reply_to);
	pthread_mutex_lock(&h->lock);
	if (h->ending_shared || h->stats_shared.waiting >= h->queue_limit) {
		h->stats_shared.refused++;
		pthread_mutex_unlock(&h->lock);
		return -EAGAIN;
	}
	h->stats_shared.accepted++;
	job->helper = h;
	job->mail = (struct mail){.deliver = job_deliver};
	CDS_INIT_LIST_HEAD(&job->node_shared);
	if (h->thread_count) {
		cds_list_add_tail(&job->node_shared, &h->queue_shared);
		h->stats_shared.waiting++;
		pthread_cond_signal(&h->wake);
	}
	pthread_mutex_unlock(&h->lock);
	if (!h->thread_count) {
		job->run(job);
		job_reply(job, HELPER_RAN);
	}
	return 0;
}

void helper_cancel(struct helper_job *job)
{
	struct helper *h = job->helper;
	pthread_mutex_lock(&h->lock);
	bool waits = !cds_list_empty(&job->node_shared);
	if (waits) {
		cds_list_del_init(&job->node_shared);
		h->stats_shared.waiting--;
		h->stats_shared.skipped++;
	}
	pthread_mutex_unlock(&h->lock);
	if (waits)
		job_reply(job, HELPER_SKIPPED);
}

void helper_stats(struct helper *h, struct helper_stats *ret_stats)
{
	pthread_mutex_lock(&h->lock);
	*ret_stats = h->stats_shared;
	ret_stats->threads = h->thread_count;
	pthread_mutex_unlock(&h->lock);
}
