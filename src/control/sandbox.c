// SPDX-License-Identifier: Apache-2.0
// Least privilege by setuid(2), capabilities(7) and seccomp(2).
#include "control/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
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

struct call {
	const char *name;
	bool allow;
};

static const struct call calls[] = {
#define ALLOW(name) {#name, true},
#define DENY(name) {#name, false},
#include "control/sandbox_calls.def"
#undef ALLOW
#undef DENY
};

// Becomes `name`, without supplementary groups and without any capability but the one that a reload
// needs to open a port below 1024.
static int become(const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (!user) {
		log_error(LOG_SANDBOX, "there is no such user; set `user` to one that exists",
			  LOG_STR("user", name), LOG_END);
		return -ENOENT;
	}
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_BIND_SERVICE) || geteuid() == 0)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	int r = capng_change_id((int)user->pw_uid, (int)user->pw_gid,
				CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	// A container that runs as root without CAP_SETPCAP cannot clear the bounding set.
	if (r < 0)
		r = capng_change_id((int)user->pw_uid, (int)user->pw_gid, CAPNG_DROP_SUPP_GRP);
	if (r < 0) {
		log_error(LOG_SANDBOX, "cannot become the user", LOG_STR("user", name),
			  LOG_INT("step", r), LOG_END);
		return -EPERM;
	}
	log_info(LOG_SANDBOX, "gave up root", LOG_STR("user", name), LOG_UINT("uid", user->pw_uid),
		 LOG_STR("kept", "CAP_NET_BIND_SERVICE"), LOG_END);
	return 0;
}

static int filter(void)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = context ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		int number = seccomp_syscall_resolve_name(calls[i].name);
		// A call that this architecture or this libseccomp does not have needs no rule.
		if (number == __NR_SCMP_ERROR || number < 0)
			continue;
		r = seccomp_rule_add(context,
				     calls[i].allow ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS,
				     number, 0);
	}
	// The log's and the helpers' threads run already.
	if (r == 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_load(context);
	seccomp_release(context);
	return r;
}

int sandbox_enter(const struct snap *snap)
{
	int r = 0;

	if (geteuid() == 0)
		r = become(snap->run_as);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!SANITIZED)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!snap->sandbox_seccomp || SANITIZED) {
		log_warn(LOG_SANDBOX, "the system call filter is off", LOG_END);
		return 0;
	}
	r = filter();
	if (r < 0)
		log_error(LOG_SANDBOX,
			  "cannot load the system call filter; sandbox.seccomp: false goes "
			  "without it",
			  LOG_ERRNO("error", r), LOG_END);
	else
		log_info(LOG_SANDBOX, "system calls are filtered",
			 LOG_UINT("rules", sizeof(calls) / sizeof(calls[0])), LOG_END);
	return r;
}
