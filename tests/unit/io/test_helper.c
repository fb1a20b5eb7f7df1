// SPDX-License-Identifier: Apache-2.0
// Helper threads: every accepted job comes back once, on its loop, whatever happens to its owner.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <urcu/compiler.h>

#include "alloc_fail.h"
#include "base/race.h"
#include "io/helper.h"

// A loop's part in this: empties its mailbox when told to.
struct owner {
	struct mailbox box;
	pthread_t thread;
	unsigned ran;
	unsigned skipped;
};

struct work {
	struct helper_job job;
	struct owner *owner; // NULL: it died
	struct owner *loop;
	bool ran;
	sem_t *gate; // run() waits for it
	sem_t *begun;
};

static void work_run(struct helper_job *job)
{
	struct work *w = caa_container_of(job, struct work, job);
	if (w->begun)
		sem_post(w->begun);
	if (w->gate)
		sem_wait(w->gate);
	w->ran = true;
}

static void work_done(struct loop *loop, struct helper_job *job)
{
	struct work *w = caa_container_of(job, struct work, job);
	assert_true(pthread_equal(pthread_self(), w->loop->thread));
	assert_int_equal(w->ran, job->outcome == HELPER_RAN);
	if (job->outcome == HELPER_RAN)
		w->loop->ran++;
	else
		w->loop->skipped++;
	free(w);
}

static void owner_init(struct owner *o)
{
	*o = (struct owner){.thread = pthread_self()};
	assert_int_equal(mailbox_init(&o->box), 0);
}

static unsigned owner_drain(struct owner *o)
{
	unsigned n = 0;
	struct cds_wfcq_node *node;
	while ((node = cds_wfcq_dequeue_blocking(&o->box.head, &o->box.tail)) != NULL) {
		struct mail *mail = caa_container_of(node, struct mail, node);
		race_take(mail);
		mail->deliver(NULL, mail);
		n++;
	}
	return n;
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_nsec = ms * 1000000};
	nanosleep(&t, NULL);
}

static struct work *work_new(struct owner *o, sem_t *gate, sem_t *begun)
{
	struct work *w = calloc(1, sizeof(*w));
	w->job = (struct helper_job){.run = work_run, .done = work_done, .reply_to = &o->box};
	w->owner = o;
	w->loop = o;
	w->gate = gate;
	w->begun = begun;
	return w;
}

static void full_queue_refuses(void **state)
{
	struct owner o;
	struct helper *h;
	sem_t gate, begun;
	owner_init(&o);
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	assert_int_equal(helper_new(1, 2, &h), 0);
	assert_int_equal(helper_submit(h, &work_new(&o, &gate, &begun)->job), 0);
	sem_wait(&begun); // it runs and stands
	struct work *second = work_new(&o, NULL, NULL);
	assert_int_equal(helper_submit(h, &second->job), 0);
	assert_int_equal(helper_submit(h, &work_new(&o, NULL, NULL)->job), 0);
	struct work *refused = work_new(&o, NULL, NULL);
	assert_int_equal(helper_submit(h, &refused->job), -EAGAIN);
	// A cancelled one gives its place at once; its owner may be gone.
	second->owner = NULL;
	helper_cancel(&second->job);
	assert_int_equal(o.skipped, 0); // never from within
	assert_int_equal(owner_drain(&o), 1);
	assert_int_equal(o.skipped, 1);
	assert_int_equal(helper_submit(h, &refused->job), 0);
	struct helper_stats stats;
	helper_stats(h, &stats);
	assert_int_equal(stats.threads, 1);
	assert_int_equal(stats.waiting, 2);
	assert_int_equal(stats.running, 1);
	assert_int_equal(stats.accepted, 4);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.skipped, 1);
	sem_post(&gate);
	while (o.ran < 3) {
		owner_drain(&o);
		pause_ms(1);
	}
	helper_free(h);
	assert_int_equal(owner_drain(&o), 0);
	mailbox_release(&o.box);
	sem_destroy(&gate);
	sem_destroy(&begun);
}

static void cancel_of_a_running_job(void **state)
{
	struct owner o;
	struct helper *h;
	sem_t gate, begun;
	owner_init(&o);
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	assert_int_equal(helper_new(2, 2, &h), 0);
	struct work *w = work_new(&o, &gate, &begun);
	assert_int_equal(helper_submit(h, &w->job), 0);
	sem_wait(&begun);
	helper_cancel(&w->job);
	helper_cancel(&w->job);
	assert_int_equal(owner_drain(&o), 0);
	sem_post(&gate);
	while (!owner_drain(&o))
		pause_ms(1);
	assert_int_equal(o.ran, 1);
	helper_free(h);
	mailbox_release(&o.box);
	sem_destroy(&gate);
	sem_destroy(&begun);
}

static void end_returns_all_jobs(void **state)
{
	struct owner o;
	struct helper *h;
	owner_init(&o);
	assert_int_equal(helper_new(2, 100, &h), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(helper_submit(h, &work_new(&o, NULL, NULL)->job), 0);
	helper_free(h);
	assert_int_equal(owner_drain(&o), 100);
	assert_int_equal(o.ran + o.skipped, 100);
	mailbox_release(&o.box);
	helper_free(NULL);
}

static void without_threads(void **state)
{
	struct owner o;
	struct helper *h;
	owner_init(&o);
	assert_int_equal(helper_new(0, 1, &h), 0);
	for (int i = 0; i < 5; i++) {
		struct work *w = work_new(&o, NULL, NULL);
		assert_int_equal(helper_submit(h, &w->job), 0);
		assert_true(w->ran);
		helper_cancel(&w->job); // too late: no harm
	}
	assert_int_equal(o.ran, 0);
	assert_int_equal(owner_drain(&o), 5);
	assert_int_equal(o.ran, 5);
	helper_free(h);
	mailbox_release(&o.box);
}

enum { OWNERS = 3, JOBS = 3000, KEEP = 8 };

struct owner_args {
	struct helper *helper;
	unsigned accepted;
	unsigned back;
};

// Cancels some of its jobs at any stage; a job is known to live until its done().
struct tracked {
	struct helper_job job;
	struct tracked **slot;
	struct owner_args *args;
};

static void tracked_run(struct helper_job *job)
{
}

static void tracked_done(struct loop *loop, struct helper_job *job)
{
	struct tracked *t = caa_container_of(job, struct tracked, job);
	if (t->slot)
		*t->slot = NULL;
	t->args->back++;
	free(t);
}

static void *owner_main(void *arg)
{
	struct owner_args *args = arg;
	struct tracked *slots[KEEP] = {0};
	struct owner o;
	owner_init(&o);
	for (unsigned i = 0; i < JOBS; i++) {
		struct tracked **slot = &slots[i % KEEP];
		if (*slot) { // still under way: its owner dies now
			(*slot)->slot = NULL;
			helper_cancel(&(*slot)->job);
			*slot = NULL;
		}
		struct tracked *t = calloc(1, sizeof(*t));
		t->job = (struct helper_job){
			.run = tracked_run, .done = tracked_done, .reply_to = &o.box};
		t->args = args;
		t->slot = slot;
		if (helper_submit(args->helper, &t->job) == 0) {
			args->accepted++;
			*slot = t;
		} else {
			free(t);
		}
		if (i % 3 == 0)
			owner_drain(&o);
	}
	while (args->back < args->accepted) {
		owner_drain(&o);
		pause_ms(1);
	}
	mailbox_release(&o.box);
	return NULL;
}

static void many_owners(void **state)
{
	struct helper *h;
	struct owner_args args[OWNERS];
	pthread_t threads[OWNERS];
	assert_int_equal(helper_new(3, 10, &h), 0);
	for (int i = 0; i < OWNERS; i++) {
		args[i] = (struct owner_args){.helper = h};
		assert_int_equal(pthread_create(&threads[i], NULL, owner_main, &args[i]), 0);
	}
	unsigned long long accepted = 0;
	for (int i = 0; i < OWNERS; i++) {
		pthread_join(threads[i], NULL);
		accepted += args[i].accepted;
	}
	struct helper_stats stats;
	helper_stats(h, &stats);
	assert_int_equal(stats.accepted, accepted);
	assert_int_equal(stats.waiting, 0);
	helper_free(h);
}

static void bad_options(void **state)
{
	struct helper *h;
	assert_int_equal(helper_new(1, 0, &h), -EINVAL);
	assert_int_equal(helper_new(100000, 1, &h), -EINVAL);
	alloc_fail_at(1);
	assert_int_equal(helper_new(1, 1, &h), -ENOMEM);
	alloc_fail_at(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_queue_refuses),   cmocka_unit_test(cancel_of_a_running_job),
		cmocka_unit_test(end_returns_all_jobs), cmocka_unit_test(without_threads),
		cmocka_unit_test(many_owners),          cmocka_unit_test(bad_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
