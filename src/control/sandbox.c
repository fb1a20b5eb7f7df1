// SPDX-License-Identifier: Apache-2.0
// Least privilege by setuid(2), capabilities(7) and seccomp(2).
#include "control/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "obs/log.h"
#include "snap/snap.h"

// Sanitizers' run-time libraries stop the process's threads by ptrace(2) when they look for leaks.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define NAMESPACES                                                                                 \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP)

struct call {
	const char *name;
	uint32_t action;
	unsigned arg_count;
	struct scmp_arg_cmp arg;
};

// The log files were opened by root: they go to the user who will have to open them again.
static void hand_over_logs(const struct snap *snap, uid_t uid)
{
	const char *logs[] = {snap->log.output, snap->access_log.format != SNAP_LOG_OFF
							? snap->access_log.output
							: NULL};
	struct stat state;

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		if (!logs[i] || logs[i][0] != '/')
			continue;
		int fd = open(logs[i], O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue; // warn_of_files will see
		// A file of another name too, or of another user, is not ours to give.
		if (fstat(fd, &state) == 0 && S_ISREG(state.st_mode) && state.st_uid == 0 &&
		    state.st_nlink == 1 && fchown(fd, uid, (gid_t)-1) < 0)
			log_debug(LOG_SANDBOX, "cannot give a log file away",
				  LOG_STR("file", logs[i]), LOG_ERRNO("error", -errno), LOG_END);
		close(fd);
	}
}

// Becomes `name`, without supplementary groups and without any capability but the one that a reload
// needs to open a port below 1024.
static int become(const struct snap *snap)
{
	const char *name = snap->run_as;
	// cppcheck-suppress getpwnamCalled
	const struct passwd *user = getpwnam(name);

	if (!user) {
		log_error(LOG_SANDBOX, "there is no such user; set `user` to one that exists",
			  LOG_STR("user", name), LOG_END);
		return -ENOENT;
	}
	hand_over_logs(snap, user->pw_uid);
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_BIND_SERVICE) || geteuid() == 0)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	int r = capng_change_id((int)user->pw_uid, (int)user->pw_gid,
				CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	// A container that runs as root without CAP_SETPCAP cannot clear the bounding set.
	if (r < 0)
		r = capng_change_id((int)user->pw_uid, (int)user->pw_gid, CAPNG_DROP_SUPP_GRP);
	if (r < 0) {
		log_error(LOG_SANDBOX,
			  "cannot give up root: CAP_SETUID and CAP_SETGID are needed for it; "
			  "or start the proxy as that user, or set `user: root`",
			  LOG_STR("user", name), LOG_INT("step", r), LOG_END);
		return -EPERM;
	}
	log_info(LOG_SANDBOX, "gave up root", LOG_STR("user", name), LOG_UINT("uid", user->pw_uid),
		 LOG_STR("kept", "CAP_NET_BIND_SERVICE"), LOG_END);
	return 0;
}

#define ONLY(n, mask, value) SCMP_CMP32(n, SCMP_CMP_MASKED_EQ, (uint32_t)(mask), (uint32_t)(value))
#define IS(n, value) ONLY(n, UINT32_MAX, value)
#define LACKS(n, bit) ONLY(n, bit, 0)

static int filter(unsigned *ret_rules)
{
	const struct call calls[] = {
#define ALLOW(name) {#name, SCMP_ACT_ALLOW, 0, {0}},
#define ALLOW_IF(name, ...) {#name, SCMP_ACT_ALLOW, 1, __VA_ARGS__},
#define ANSWER(name, error) {#name, SCMP_ACT_ERRNO(error), 0, {0}},
#define DENY(name) {#name, SCMP_ACT_KILL_PROCESS, 0, {0}},
#include "control/sandbox_calls.def"
#undef ALLOW
#undef ALLOW_IF
#undef ANSWER
#undef DENY
	};
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = context ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		int number = seccomp_syscall_resolve_name(calls[i].name);
		// A call that this architecture or this libseccomp does not have needs no rule.
		if (number == __NR_SCMP_ERROR || number < 0)
			continue;
		r = seccomp_rule_add_array(context, calls[i].action, number, calls[i].arg_count,
					   &calls[i].arg);
	}
	// The log's and the helpers' threads run already.
	if (r == 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_load(context);
	seccomp_release(context);
	*ret_rules = sizeof(calls) / sizeof(calls[0]);
	return r;
}

// What a reload or a reopening of the logs will need, seen with the new user's eyes.
static void warn_of_files(const struct snap *snap)
{
	const char *logs[] = {snap->log.output, snap->access_log.output};

	for (uint32_t i = 0; i < snap->file_count; i++)
		if (access(snap->files[i], R_OK) < 0)
			log_warn(LOG_SANDBOX,
				 "the user that the proxy became cannot read this file: reloads "
				 "will fail",
				 LOG_STR("user", snap->run_as), LOG_STR("file", snap->files[i]),
				 LOG_ERRNO("error", errno), LOG_END);
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		bool used = i == 0 || snap->access_log.format != SNAP_LOG_OFF;
		if (used && logs[i] && logs[i][0] == '/' && access(logs[i], W_OK) < 0)
			log_warn(LOG_SANDBOX,
				 "the user that the proxy became cannot write this log: it cannot "
				 "be reopened (USR1); give the file to that user",
				 LOG_STR("user", snap->run_as), LOG_STR("file", logs[i]),
				 LOG_ERRNO("error", errno), LOG_END);
	}
}

// Capabilities that somebody started without root was given (a file's or systemd's) and that it does
// not need.
static int drop_capabilities(void)
{
	bool bind;

	if (capng_get_caps_process() < 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	bind = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	capng_clear(CAPNG_SELECT_CAPS);
	if (bind)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}

int sandbox_prepare(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return geteuid() == 0 ? 0 : drop_capabilities();
}

int sandbox_enter(const struct snap *snap)
{
	unsigned rules;
	int r = 0;

	if (geteuid() == 0) {
		r = become(snap);
		if (r < 0)
			return r;
		warn_of_files(snap);
	}
	if (!SANITIZED)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!snap->sandbox_seccomp || SANITIZED) {
		log_warn(LOG_SANDBOX, "the system call filter is off", LOG_END);
		return 0;
	}
	r = filter(&rules);
	if (r < 0)
		log_error(LOG_SANDBOX,
			  "cannot load the system call filter; sandbox.seccomp: false goes "
			  "without it",
			  LOG_ERRNO("error", r), LOG_END);
	else
		log_info(LOG_SANDBOX, "system calls are filtered", LOG_UINT("rules", rules),
			 LOG_END);
	return r;
}
