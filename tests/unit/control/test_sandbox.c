// SPDX-License-Identifier: Apache-2.0
// The sandbox from inside: what a process in it can and cannot do. Each case is a process of its own.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/sandbox.h"
#include "snap/snap.h"

// True in the process that is inside.
static bool enter(void)
{
	struct snap snap = {.run_as = "nobody", .sandbox_seccomp = true};
	snap.log.output = snap.access_log.output = "stderr";

	return sandbox_prepare() == 0 && sandbox_enter(&snap) == 0;
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return false;
}

// Runs `act` inside; the wait status: what it returned, or the signal that ended it.
static int inside(int (*act)(void))
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(enter() ? act() : 99);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void expect(int (*act)(void), int code)
{
	if (is_sanitized())
		skip();
	int status = inside(act);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

// The errno of a call that should fail, 0 when it did not.
static int failure(long result)
{
	return result < 0 ? errno : 0;
}

static int open_inet(void)
{
	return failure(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) |
	       failure(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int open_unix(void)
{
	return failure(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int open_packet(void)
{
	return failure(socket(AF_PACKET, SOCK_RAW, 0));
}
static int type_into_terminal(void)
{
	return failure(ioctl(0, TIOCSTI, "x"));
}
static int make_process(void)
{
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	return failure(child);
}
static void *nothing(void *arg)
{
	return arg;
}
static int make_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, nothing, NULL);
	return r ? r : pthread_join(thread, NULL);
}
static int make_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 98;
	return failure(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}
static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? errno
		       : 0;
}
static int kill_parent(void)
{
	return failure(kill(getppid(), 0));
}
static int remove_file(void)
{
	return failure(unlink("/tmp/there-is-no-such-file"));
}
static int become_root(void)
{
	return setuid(0) < 0 ? 1 : 0;
}
static int read_file(void)
{
	char byte;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : failure(read(fd, &byte, 1));
}
static int run_program(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}
static int trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void what_the_proxy_needs_works(void **state)
{
	expect(open_inet, 0);
	expect(make_thread, 0);
	expect(read_file, 0);
}

static void what_it_does_not_need_fails(void **state)
{
	expect(open_unix, EPERM);
	expect(open_packet, EPERM);
	expect(type_into_terminal, EPERM);
	expect(make_process, EPERM);
	expect(make_code, EPERM);
	expect(map_code, EPERM);
	expect(kill_parent, EPERM);
	expect(remove_file, EPERM);
}

static void root_does_not_come_back(void **state)
{
	if (geteuid() != 0)
		skip();
	expect(become_root, 1);
}

static void what_only_an_attacker_calls_ends_it(void **state)
{
	if (is_sanitized())
		skip();
	int status = inside(run_program);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = inside(trace);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_proxy_needs_works),
		cmocka_unit_test(what_it_does_not_need_fails),
		cmocka_unit_test(root_does_not_come_back),
		cmocka_unit_test(what_only_an_attacker_calls_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
