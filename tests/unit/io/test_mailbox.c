// SPDX-License-Identifier: Apache-2.0
// Tests of mail between threads: everything arrives once, in each sender's order, and wakes a sleeper.
#include "io/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "io/loop.h"

enum { SENDERS = 3, LETTERS = 2000 };

struct fixture {
	struct loop loop; // first: mail comes with the loop
	unsigned got[SENDERS];
	unsigned total, out_of_order;
};

struct letter {
	struct mail mail;
	unsigned sender, number;
};

static void read_letter(struct loop *loop, struct mail *mail)
{
	struct fixture *f = (struct fixture *)loop;
	struct letter *letter = (struct letter *)mail;

	if (letter->number != f->got[letter->sender])
		f->out_of_order++;
	f->got[letter->sender]++;
	f->total++;
	free(letter);
}

struct sender {
	struct fixture *f;
	unsigned number;
	bool slow; // sleeps between letters, so that the receiver does
	pthread_t thread;
};

static void *send_letters(void *arg)
{
	const struct sender *sender = arg;

	for (unsigned i = 0; i < (sender->slow ? LETTERS / 50 : LETTERS); i++) {
		struct letter *letter = malloc(sizeof(*letter));
		if (!letter)
			abort();
		*letter = (struct letter){
			.mail.deliver = read_letter, .sender = sender->number, .number = i};
		mailbox_post_any(&sender->f->loop.mailbox, &letter->mail);
		if (sender->slow)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	return NULL;
}

static void run(bool slow)
{
	static struct fixture f;
	struct sender senders[SENDERS];
	unsigned expected = SENDERS * (slow ? LETTERS / 50 : LETTERS);

	f = (struct fixture){0};
	assert_int_equal(loop_init(&f.loop, 0), 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){.f = &f, .number = i, .slow = slow};
		assert_int_equal(
			pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]), 0);
	}
	// No limit on the wait: a lost wake-up shows as a time-out of this program.
	while (f.total < expected)
		loop_turn(&f.loop, UINT64_MAX);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	assert_int_equal(f.total, expected);
	assert_int_equal(f.out_of_order, 0);
	loop_release(&f.loop);
}

static void test_busy_receiver(void **state)
{
	run(false);
}

static void test_sleeping_receiver(void **state)
{
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_busy_receiver),
		cmocka_unit_test(test_sleeping_receiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
