// SPDX-License-Identifier: Apache-2.0
// Tests of the log writer with real files, pipes and threads.
#include "obs/log.h"

#include "obs/access.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fail.h"

enum { WAIT_MS = 20000 };

static char dir[] = "/tmp/test_log.XXXXXX";
static char main_path[PATH_MAX], access_path[PATH_MAX], old_path[PATH_MAX];

static int setup(void **state)
{
	strcpy(dir + sizeof dir - 7, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(main_path, sizeof main_path, "%s/log", dir);
	snprintf(access_path, sizeof access_path, "%s/access", dir);
	snprintf(old_path, sizeof old_path, "%s/log.1", dir);
	log_set_level_all(LOG_LEVEL_INFO);
	return 0;
}

static int teardown(void **state)
{
	log_stop(WAIT_MS);
	unlink(main_path);
	unlink(access_path);
	unlink(old_path);
	return rmdir(dir);
}

static int start(const char *main_target, const char *access_target)
{
	const struct log_config config = {
		.targets = {[LOG_OUTPUT_MAIN] = {.path = main_target},
			    [LOG_OUTPUT_ACCESS] = {.path = access_target}}};

	return log_start(&config, NULL);
}

// The whole file; the caller frees it.
static char *file_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t cap = 0;

	assert_non_null(f);
	if (getdelim(&text, &cap, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

static void two_outputs_with_their_modes(void **state)
{
	struct stat st;

	umask(0);
	assert_int_equal(start(main_path, access_path), 0);
	log_info(LOG_MAIN, "hello", LOG_END);
	access_write(&(struct access_record){.reason = CLOSE_CLIENT_EOF});
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(main_path);
	assert_int_equal(count(text, "info main: hello\n"), 1);
	assert_int_equal(count(text, "\n"), 1);
	free(text);
	text = file_text(access_path);
	assert_int_equal(count(text, "reason=client_eof"), 1);
	free(text);
	assert_int_equal(stat(main_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void an_output_that_cannot_be_opened(void **state)
{
	const struct log_config bad = {
		.targets = {[LOG_OUTPUT_MAIN] = {.path = main_path},
			    [LOG_OUTPUT_ACCESS] = {.path = "/nonexistent/access"}}};
	enum log_output failed = LOG_OUTPUT_COUNT;

	assert_int_equal(log_configure(&bad, &failed), -ESRCH);
	assert_int_equal(failed, LOG_OUTPUT_COUNT);
	assert_int_equal(log_start(&bad, &failed), -ENOENT);
	assert_int_equal(failed, LOG_OUTPUT_ACCESS);
	assert_int_equal(start(main_path, NULL), 0);
	assert_false(access_wants());
	failed = LOG_OUTPUT_COUNT;
	assert_int_equal(log_configure(&bad, &failed), -ENOENT);
	assert_int_equal(failed, LOG_OUTPUT_ACCESS);
	log_info(LOG_MAIN, "still here", LOG_END);
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(main_path);
	assert_int_equal(count(text, "still here"), 1);
	free(text);
}

static void rotation_and_new_outputs(void **state)
{
	assert_int_equal(start(main_path, NULL), 0);
	log_info(LOG_MAIN, "first", LOG_END);
	assert_true(log_flush(WAIT_MS));
	assert_int_equal(rename(main_path, old_path), 0);
	log_info(LOG_MAIN, "second", LOG_END);
	assert_true(log_flush(WAIT_MS));
	log_reopen();
	assert_true(log_flush(WAIT_MS));
	log_info(LOG_MAIN, "third", LOG_END);
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(old_path);
	assert_int_equal(count(text, "\n"), 2);
	assert_int_equal(count(text, "second"), 1);
	free(text);
	const struct log_config config = {
		.targets = {[LOG_OUTPUT_MAIN] = {.path = access_path, .format = LOG_FORMAT_JSON}}};
	assert_int_equal(log_configure(&config, NULL), 0);
	assert_true(log_flush(WAIT_MS));
	log_info(LOG_MAIN, "fourth", LOG_END);
	assert_true(log_flush(WAIT_MS));
	text = file_text(main_path);
	assert_int_equal(count(text, "\n"), 1);
	assert_int_equal(count(text, "third"), 1);
	free(text);
	text = file_text(access_path);
	assert_int_equal(count(text, "\"message\":\"fourth\""), 1);
	free(text);
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
	assert_int_equal(start(main_path, NULL), 0);
	log_info(LOG_MAIN, "first", LOG_END);
	assert_true(log_flush(WAIT_MS));
	// A directory in its place cannot be opened for writing, by root either.
	assert_int_equal(rename(main_path, old_path), 0);
	assert_int_equal(mkdir(main_path, 0700), 0);
	log_reopen();
	assert_true(log_flush(WAIT_MS));
	log_info(LOG_MAIN, "second", LOG_END);
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(old_path);
	assert_int_equal(count(text, "cannot reopen"), 1);
	assert_int_equal(count(text, "EISDIR"), 1);
	assert_int_equal(count(text, "second"), 1);
	free(text);
	assert_int_equal(rmdir(main_path), 0);
}

enum { THREADS = 4, THREAD_LINES = 5000 };

static void *chatter(void *arg)
{
	char name[16];

	snprintf(name, sizeof name, "t%d", (int)(intptr_t)arg);
	log_thread_name(name);
	for (int i = 0; i < THREAD_LINES; i++) {
		log_each(LOG_LEVEL_INFO, LOG_WORKER, "line", LOG_INT("i", i), LOG_END);
		if (i % 100 == 99) // stays below what a ring holds, however slow the disk is
			assert_true(log_flush(WAIT_MS));
		if (i % 7 == 0)
			log_info(LOG_WORKER, "shared site", LOG_END);
	}
	return NULL;
}

static void many_threads_lose_no_line_and_keep_their_order(void **state)
{
	pthread_t threads[THREADS];
	struct log_stats before, after;
	int next[THREADS] = {0};
	unsigned shared = 0;

	log_stats_read(&before);
	assert_int_equal(start(main_path, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, chatter, (void *)(intptr_t)i),
				 0);
	for (int i = 0; i < 20; i++) { // a reader of the counts and a rotation meanwhile
		log_stats_read(&after);
		log_reopen();
		log_set_level(LOG_WORKER, LOG_LEVEL_INFO);
		sched_yield();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(main_path);
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int t, i;
		char *at = strstr(line, "worker: line ");
		if (!at) {
			assert_non_null(strstr(line, "shared site"));
			shared++;
			continue;
		}
		assert_int_equal(sscanf(at, "worker: line thread=t%d i=%d", &t, &i), 2);
		assert_int_equal(i, next[t]);
		next[t]++;
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(next[i], THREAD_LINES);
	free(text);
	log_stats_read(&after);
	assert_int_equal(after.dropped[LOG_OUTPUT_MAIN], before.dropped[LOG_OUTPUT_MAIN]);
	// A report of suppressed lines is a line as well.
	uint64_t lines = after.lines[LOG_LEVEL_INFO] - before.lines[LOG_LEVEL_INFO];
	assert_int_equal(lines, THREADS * THREAD_LINES + shared);
	assert_true(lines + after.suppressed - before.suppressed >=
		    THREADS * (THREAD_LINES + (THREAD_LINES + 6) / 7));
}

static void a_stuck_output_blocks_nobody(void **state)
{
	int fds[2];
	char path[64];
	struct log_stats before, after;
	struct timespec begin, end;

	// A pipe that nobody reads: the writer sticks in it.
	assert_int_equal(pipe(fds), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
	log_stats_read(&before);
	assert_int_equal(start(path, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 20000; i++)
		log_each(LOG_LEVEL_INFO, LOG_MAIN, "filling", LOG_INT("i", i), LOG_END);
	log_stats_read(&after);
	uint64_t lost = after.dropped[LOG_OUTPUT_MAIN] - before.dropped[LOG_OUTPUT_MAIN];
	assert_true(lost > 5000);
	// An error line still has room.
	log_error(LOG_MAIN, "an error", LOG_END);
	log_stats_read(&after);
	assert_int_equal(after.dropped[LOG_OUTPUT_MAIN] - before.dropped[LOG_OUTPUT_MAIN], lost);
	assert_false(log_flush(50));
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec < 10);

	// Once somebody reads, everything kept comes, and the loss is told: perhaps in two parts, when
	// the writer was not stuck yet at the first.
	char want[64];
	unsigned long long lost_in_all = after.dropped[LOG_OUTPUT_MAIN];
	lost_in_all += after.dropped[LOG_OUTPUT_ACCESS];
	snprintf(want, sizeof want, " lost_in_all=%llu\n", lost_in_all);
	char *text = malloc(4 << 20);
	size_t len = 0;
	bool told = false;
	while (!told && len < (4 << 20) - 1) {
		ssize_t n = read(fds[0], text + len, (4 << 20) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		text[len] = '\0';
		// The report may come before the last lines of another part.
		told = strstr(text, want) && text[len - 1] == '\n' &&
		       count(text, "main: filling") >= 20000 - lost;
	}
	assert_int_equal(count(text, "main: filling"), 20000 - lost);
	assert_int_equal(count(text, "an error"), 1);
	assert_true(told);
	free(text);
	log_stop(WAIT_MS);
	close(fds[0]);
	close(fds[1]);
}

static void a_failing_output_is_counted(void **state)
{
	struct log_stats before, after;

	log_stats_read(&before);
	assert_int_equal(start("/dev/full", NULL), 0);
	log_info(LOG_MAIN, "lost", LOG_END);
	assert_true(log_flush(WAIT_MS));
	log_stats_read(&after);
	assert_int_equal(after.write_errors - before.write_errors, 1);
}

static void a_silent_storm_is_reported_by_the_writer(void **state)
{
	unsigned told = 0;

	assert_int_equal(start(main_path, NULL), 0);
	for (int i = 0; i < 100; i++)
		log_warn(LOG_LISTENER, "storm", LOG_END);
	for (int i = 0; i < 400 && !told; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		char *text = file_text(main_path);
		told = count(text, "suppressed=80\n") + count(text, "suppressed=60\n");
		free(text);
	}
	assert_int_equal(told, 1);
}

static void starting_without_memory(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		alloc_fail_at(n);
		int r = start(main_path, access_path);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
	}
	const struct log_config config = {.targets = {[LOG_OUTPUT_MAIN] = {.path = access_path}}};
	alloc_fail_at(1);
	assert_int_equal(log_configure(&config, NULL), -ENOMEM);
	alloc_fail_at(0);
	log_info(LOG_MAIN, "kept", LOG_END);
	assert_true(log_flush(WAIT_MS));
	char *text = file_text(main_path);
	assert_int_equal(count(text, "main: kept\n"), 1);
	free(text);
}

// A thread's first lines find no memory for what the logger keeps of it, then for its ring.
static void *starving(void *arg)
{
	for (long n = 1; n <= 3; n++) {
		alloc_fail_at(n < 3 ? n : 0);
		log_each(LOG_LEVEL_INFO, LOG_MAIN, "starving", LOG_INT("n", n), LOG_END);
		assert_true(n == 3 || alloc_fail_hit());
		alloc_fail_at(0);
	}
	return NULL;
}

static void a_thread_without_memory_loses_lines_and_counts_them(void **state)
{
	struct log_stats before, after;
	pthread_t thread;

	log_stats_read(&before);
	assert_int_equal(start(main_path, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, starving, NULL), 0);
	pthread_join(thread, NULL);
	assert_true(log_flush(WAIT_MS));
	log_stats_read(&after);
	assert_int_equal(after.dropped[LOG_OUTPUT_MAIN] - before.dropped[LOG_OUTPUT_MAIN], 2);
	char *text = file_text(main_path);
	assert_int_equal(count(text, "starving n="), 1);
	assert_int_equal(count(text, "starving n=3"), 1);
	free(text);
}

static void start_and_stop_again(void **state)
{
	for (int i = 0; i < 3; i++) {
		assert_int_equal(start(main_path, NULL), 0);
		log_info(LOG_MAIN, "turn", LOG_INT("i", i), LOG_END);
		log_stop(WAIT_MS);
	}
	char *text = file_text(main_path);
	assert_int_equal(count(text, "main: turn"), 3);
	free(text);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		LOG_TEST(two_outputs_with_their_modes),
		LOG_TEST(an_output_that_cannot_be_opened),
		LOG_TEST(rotation_and_new_outputs),
		LOG_TEST(a_reopen_that_fails_keeps_the_old_file),
		LOG_TEST(many_threads_lose_no_line_and_keep_their_order),
		LOG_TEST(a_stuck_output_blocks_nobody),
		LOG_TEST(a_failing_output_is_counted),
		LOG_TEST(a_silent_storm_is_reported_by_the_writer),
		LOG_TEST(starting_without_memory),
		LOG_TEST(a_thread_without_memory_loses_lines_and_counts_them),
		LOG_TEST(start_and_stop_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
