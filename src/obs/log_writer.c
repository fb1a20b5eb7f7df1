// SPDX-License-Identifier: Apache-2.0
// The writing side of the logger: outputs, and the thread that empties the rings into them.
#include "obs/log.h"

#include "obs/log_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_MAX = 256,   // lines in one writev
	PAUSE_US = 2000,   // after work: lets lines gather, and producers need not wake us
	BLOCKED_MS = 1000, // how long to wait for a non-blocking output that takes nothing
};

// An output as the writer has it.
struct sink_file {
	int fd; // -1: none
	char *path;
	bool owned;  // we opened it, we close and reopen it
	bool broken; // the last write ended inside a line
};

struct batch {
	struct iovec iov[BATCH_MAX + 1];
	int count;
};

_Atomic(bool) log_queued_atomic;
_Atomic(uint8_t) log_formats_atomic[LOG_OUTPUT_COUNT];
_Atomic(bool) log_access_atomic;
_Atomic(uint64_t) log_write_errors_atomic;

static struct {
	pthread_t thread;
	bool running; // main thread's
	sem_t wake;
	sem_t ended; // the thread is about to return
	_Atomic(bool) asleep;
	_Atomic(bool) stop;
	_Atomic(bool) reopen;
	_Atomic(uint64_t) flush_wanted;
	_Atomic(uint64_t) flush_done;
	struct sink_file files[LOG_OUTPUT_COUNT]; // the writer's
	struct batch batches[LOG_OUTPUT_COUNT];   // the writer's
	uint64_t dropped_told;                    // the writer's: losses already reported
	pthread_mutex_t next_lock;
	bool has_next; // under next_lock, as the next line
	struct sink_file next[LOG_OUTPUT_COUNT];
} writer = {.next_lock = PTHREAD_MUTEX_INITIALIZER};

static void file_close(struct sink_file *file)
{
	if (file->owned && file->fd >= 0)
		close(file->fd);
	free(file->path);
	file->path = NULL;
	file->fd = -1;
	file->owned = false;
	file->broken = false;
}

// `to` is closed before; `from` is afterwards.
static void file_move(struct sink_file *to, struct sink_file *from)
{
	to->fd = from->fd;
	to->path = from->path;
	to->owned = from->owned;
	to->broken = from->broken;
	from->fd = -1;
	from->path = NULL;
	from->owned = false;
}

static int open_path(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0)
		return -errno;
	return fd;
}

static int file_open(const char *path, struct sink_file *ret)
{
	struct sink_file file = {.fd = -1};

	if (!path) {
		*ret = file;
		return 0;
	}
	file.path = strdup(path);
	if (!file.path)
		return -ENOMEM;
	if (strcmp(path, "stderr") == 0) {
		file.fd = STDERR_FILENO;
	} else if (strcmp(path, "stdout") == 0) {
		file.fd = STDOUT_FILENO;
	} else {
		file.owned = true;
		file.fd = open_path(path);
	}
	if (file.fd < 0) {
		free(file.path);
		return file.fd;
	}
	*ret = file;
	return 0;
}

static int files_open(const struct log_config *config, struct sink_file ret[LOG_OUTPUT_COUNT],
		      enum log_output *ret_failed)
{
	struct sink_file files[LOG_OUTPUT_COUNT];

	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++) {
		int r = file_open(config->targets[i].path, &files[i]);
		if (r < 0) {
			if (ret_failed)
				*ret_failed = i;
			while (i-- > 0)
				file_close(&files[i]);
			return r;
		}
	}
	memcpy(ret, files, sizeof files);
	return 0;
}

// An output of somebody else's making may be non-blocking: wait for it a while, not for ever.
static bool file_wait(const struct sink_file *file)
{
	struct pollfd p = {.fd = file->fd, .events = POLLOUT};
	int timeout = atomic_load(&writer.stop) ? 0 : BLOCKED_MS;

	return poll(&p, 1, timeout) == 1 && (p.revents & POLLOUT);
}

static void batch_write(struct sink_file *file, struct batch *batch)
{
	struct iovec *iov = batch->iov + 1;
	int count = batch->count;
	bool inside = false; // a write ended inside a line

	batch->count = 0;
	if (count == 0 || file->fd < 0)
		return;
	if (file->broken) {
		*--iov = (struct iovec){.iov_base = (char *)"\n", .iov_len = 1};
		count++;
		file->broken = false;
	}
	while (count > 0) {
		ssize_t n = writev(file->fd, iov, count);
		if (n < 0) {
			if (errno == EINTR || (errno == EAGAIN && file_wait(file)))
				continue;
			atomic_fetch_add(&log_write_errors_atomic, 1);
			file->broken = inside;
			return;
		}
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
			inside = false;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
			inside = true;
		}
	}
}

// Lines stay in the ring until they are written, so nothing is copied. What is written in one go is
// limited, to give room back early.
static bool ring_drain(struct log_ring *ring)
{
	uint64_t cursor = log_ring_begin(ring);
	struct log_record record;
	bool any = false;
	bool more = true;

	while (more) {
		int lines = 0;
		while (lines < BATCH_MAX && (more = log_ring_next(ring, &cursor, &record))) {
			struct batch *b = &writer.batches[record.output];
			b->iov[++b->count] = (struct iovec){.iov_base = (char *)record.line,
							    .iov_len = record.len};
			lines++;
		}
		any = any || lines > 0;
		for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++)
			batch_write(&writer.files[i], &writer.batches[i]);
		log_ring_consume(ring, cursor);
	}
	return any;
}

static bool drain_all(void)
{
	bool any = false;

	for (struct log_thread *t = log_thread_first(); t; t = atomic_load(&t->next)) {
		if (atomic_load_explicit(&t->has_ring, memory_order_acquire))
			any = ring_drain(&t->ring) || any;
	}
	return any;
}

static bool all_empty(void)
{
	for (struct log_thread *t = log_thread_first(); t; t = atomic_load(&t->next)) {
		if (atomic_load_explicit(&t->has_ring, memory_order_acquire) &&
		    !log_ring_empty(&t->ring))
			return false;
	}
	return true;
}

static void report_losses(void)
{
	struct log_stats s;

	log_stats_read(&s);
	uint64_t dropped = 0;
	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++)
		dropped += s.dropped[i];
	if (dropped == writer.dropped_told)
		return;
	uint64_t lost = dropped - writer.dropped_told;
	writer.dropped_told = dropped;
	log_each(LOG_LEVEL_WARN, LOG_LOG,
		 "lines were lost: they came faster than they were written", LOG_UINT("lost", lost),
		 LOG_UINT("lost_in_all", dropped), LOG_END);
}

static void take_next(void)
{
	pthread_mutex_lock(&writer.next_lock);
	if (writer.has_next) {
		for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++) {
			file_close(&writer.files[i]);
			file_move(&writer.files[i], &writer.next[i]);
		}
		writer.has_next = false;
	}
	pthread_mutex_unlock(&writer.next_lock);
}

static void reopen_files(void)
{
	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++) {
		struct sink_file *file = &writer.files[i];
		if (!file->owned)
			continue;
		int fd = open_path(file->path);
		if (fd < 0) {
			log_each(LOG_LEVEL_ERROR, LOG_LOG,
				 "cannot reopen the log file, the old one is kept",
				 LOG_STR("path", file->path), LOG_ERRNO("error", fd), LOG_END);
			continue;
		}
		close(file->fd);
		file->fd = fd;
		file->broken = false;
	}
}

void log_writer_wake(void)
{
	if (atomic_load(&writer.asleep) && atomic_exchange(&writer.asleep, false))
		sem_post(&writer.wake);
}

// A producer stores its ring's tail and then looks at `asleep`; here `asleep` is set and then the
// tails are looked at: with sequential consistency one of the two sees the other.
static void writer_sleep(void)
{
	struct timespec until;

	atomic_store(&writer.asleep, true);
	if (all_empty() && !atomic_load(&writer.stop) && !atomic_load(&writer.reopen) &&
	    atomic_load(&writer.flush_wanted) == atomic_load(&writer.flush_done)) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++; // suppressed lines are reported within about a second
		while (sem_clockwait(&writer.wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
			;
	}
	atomic_store(&writer.asleep, false);
}

static void *writer_main(void *arg)
{
	log_thread_name("log");
	for (;;) {
		uint64_t flush = atomic_load(&writer.flush_wanted);
		bool stop = atomic_load(&writer.stop);
		take_next();
		bool any = drain_all();
		// Only now, so that a rotation finds in the old file what came before it.
		if (atomic_exchange(&writer.reopen, false))
			reopen_files();
		report_losses();
		log_sites_report();
		any = drain_all() || any;
		log_thread_sweep();
		atomic_store(&writer.flush_done, flush);
		if (stop)
			break;
		if (any)
			nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000L}, NULL);
		else
			writer_sleep();
	}
	sem_post(&writer.ended);
	return NULL;
}

static void formats_set(const struct log_config *config)
{
	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++)
		log_set_format(i, config->targets[i].format);
	atomic_store(&log_access_atomic, config->targets[LOG_OUTPUT_ACCESS].path != NULL);
}

int log_start(const struct log_config *config, enum log_output *ret_failed)
{
	struct sink_file files[LOG_OUTPUT_COUNT];
	sigset_t all, old;

	int r = files_open(config, files, ret_failed);
	if (r < 0)
		return r;
	sem_init(&writer.wake, 0, 0);
	sem_init(&writer.ended, 0, 0);
	memcpy(writer.files, files, sizeof files);
	atomic_store(&writer.stop, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&writer.thread, NULL, writer_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++)
			file_close(&writer.files[i]);
		return r;
	}
	pthread_setname_np(writer.thread, "log");
	formats_set(config);
	writer.running = true;
	atomic_store(&log_queued_atomic, true);
	return 0;
}

int log_configure(const struct log_config *config, enum log_output *ret_failed)
{
	struct sink_file files[LOG_OUTPUT_COUNT];

	if (!writer.running)
		return -ESRCH;
	int r = files_open(config, files, ret_failed);
	if (r < 0)
		return r;
	pthread_mutex_lock(&writer.next_lock);
	for (unsigned i = 0; writer.has_next && i < LOG_OUTPUT_COUNT; i++)
		file_close(&writer.next[i]);
	memcpy(writer.next, files, sizeof files);
	writer.has_next = true;
	pthread_mutex_unlock(&writer.next_lock);
	formats_set(config);
	atomic_store(&writer.asleep, false);
	sem_post(&writer.wake);
	return 0;
}

// Only what a signal handler may do: lock-free atomics and sem_post(3).
void log_reopen(void)
{
	atomic_store(&writer.reopen, true);
	if (atomic_load(&log_queued_atomic))
		sem_post(&writer.wake);
}

bool log_flush(unsigned timeout_ms)
{
	if (!atomic_load(&log_queued_atomic))
		return true;
	uint64_t wanted = atomic_fetch_add(&writer.flush_wanted, 1) + 1;
	sem_post(&writer.wake);
	for (unsigned ms = 0; atomic_load(&writer.flush_done) < wanted; ms++) {
		if (ms >= timeout_ms)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return true;
}

void log_stop(unsigned timeout_ms)
{
	struct timespec until;
	int r;

	if (!writer.running)
		return;
	writer.running = false;
	atomic_store(&writer.stop, true);
	sem_post(&writer.wake);
	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t nanos = (uint64_t)until.tv_nsec + (uint64_t)timeout_ms * 1000000;
	until.tv_sec += (time_t)(nanos / 1000000000);
	until.tv_nsec = (long)(nanos % 1000000000);
	while ((r = sem_clockwait(&writer.ended, CLOCK_MONOTONIC, &until)) < 0 && errno == EINTR)
		;
	// Only now: the writer's own last lines go to the file like all others.
	atomic_store(&log_queued_atomic, false);
	atomic_store(&log_access_atomic, false);
	if (r < 0) {
		// Its output is stuck; it keeps its files and ends with the process.
		pthread_detach(writer.thread);
		return;
	}
	pthread_join(writer.thread, NULL);
	drain_all(); // what was pushed while the writer ended
	for (unsigned i = 0; i < LOG_OUTPUT_COUNT; i++) {
		file_close(&writer.files[i]);
		if (writer.has_next)
			file_close(&writer.next[i]);
	}
	writer.has_next = false;
	sem_destroy(&writer.wake);
	sem_destroy(&writer.ended);
}
