// SPDX-License-Identifier: Apache-2.0
// Log-ins: the cache of earlier checks, the throttle, then a helper thread that hashes.
#include "front/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu/compiler.h>

#include "base/hash.h"
#include "front/front.h"
#include "front/report.h"
#include "front/session.h"
#include "io/helper.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/credential.h"
#include "snap/snap.h"

#define AUTH_DENIED_TTL_NS 5000000000ULL // a wrong password is refused from the cache so long

// One check on its way through a helper, which touches only the credential and the rules.
struct auth {
	struct helper_job job;
	struct session *session; // NULL: cancelled
	auth_fn *done;
	void *owner;
	struct front *front;
	struct credential *credential;
	struct credential_rules rules;
	uint64_t user_id; // 0: no such user
	uint64_t began;   // ns
};

bool auth_possible(const struct session *session)
{
	const struct snap *snap = front_snap(session->front);
	const struct snap_listener *listener = session_listener(session, snap);

	return listener && (snap->user_count > 0 || listener->own_users);
}

static enum close_reason count(struct session *session, enum metric_auth result,
			       enum close_reason reason)
{
	struct front *front = session->front;

	metric_inc(&front->metrics->auth_attempts[result]);
	report_event(session, EVENT_AUTH_DONE, result, session->auth_us);
	if (reason != CLOSE_NONE)
		log_info(LOG_AUTH, "log-in refused", LOG_STR("reason", close_reason_name(reason)),
			 LOG_ENDPOINT("client", &session->peer), LOG_ID("session", session->id),
			 LOG_END);
	return reason;
}

// The user whose hash stands in for that of a name that nobody has; always the same for a name.
static const struct snap_user *stand_in(const struct snap *snap, const char *name, size_t len)
{
	return snap->user_count ? &snap->users[hash_bytes(name, len) % snap->user_count] : NULL;
}

static void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	credential_free(auth->credential);
	free(auth);
}

static void run(struct helper_job *job)
{
	struct auth *auth = caa_container_of(job, struct auth, job);

	credential_run(auth->credential, &auth->rules, auth->began);
}

static enum close_reason verdict_of(struct auth *auth, int result, bool cached)
{
	struct session *session = auth->session;
	const struct snap_user *user;

	switch (result) {
	case 0:
		// A reload while it was hashed may have changed the password.
		user = snap_user_by_id(front_snap(session->front), auth->user_id);
		if (!user || !credential_is_checked(auth->credential, user->hash))
			return count(session, METRIC_AUTH_FAILED, CLOSE_AUTH_FAILED);
		return count(session, cached ? METRIC_AUTH_CACHED : METRIC_AUTH_OK,
			     session_set_user(session, auth->user_id));
	case -EAGAIN:
		return count(session, METRIC_AUTH_THROTTLED, CLOSE_AUTH_THROTTLED);
	case -ENOMEM:
		return count(session, METRIC_AUTH_ERROR, CLOSE_NO_MEMORY);
	case -ECANCELED:
		return count(session, METRIC_AUTH_ERROR, CLOSE_SHUTDOWN);
	default:
		return count(session, METRIC_AUTH_FAILED, CLOSE_AUTH_FAILED);
	}
}

// Tells the owner and frees the check.
static void answer(struct auth *auth, int result, bool cached)
{
	struct session *session = auth->session;
	auth_fn *tell = auth->done;
	void *owner = auth->owner;
	enum close_reason verdict = CLOSE_NONE;

	if (session) {
		uint64_t took = auth->front->loop->now - auth->began;
		session->auth_us = (uint32_t)(took / 1000);
		hist_record(&auth->front->metrics->auth_duration, took);
		verdict = verdict_of(auth, result, cached);
	}
	auth_free(auth);
	if (session)
		tell(session, owner, verdict);
}

static void hashed(struct loop *loop, struct helper_job *job)
{
	struct auth *auth = caa_container_of(job, struct auth, job);

	answer(auth, credential_end(auth->credential, &auth->rules, loop->now), false);
}

static struct auth *auth_new(struct session *session, const char *name, size_t name_len,
			     const char *password, size_t password_len)
{
	struct front *front = session->front;
	const struct snap *snap = front_snap(front);
	const struct snap_listener *listener = session_listener(session, snap);
	const struct snap_user *user =
		listener ? snap_user_find(snap, listener, name, name_len) : NULL;
	const struct snap_user *other = user ? NULL : stand_in(snap, name, name_len);
	struct auth *auth = calloc(1, sizeof(*auth));

	if (!auth || credential_new(&session->peer, name, name_len, password, password_len,
				    user ? user->id : 0, user ? user->hash : NULL,
				    other ? other->hash : NULL, &auth->credential) < 0) {
		auth_free(auth);
		return NULL;
	}
	auth->job =
		(struct helper_job){.run = run, .done = hashed, .reply_to = &front->loop->mailbox};
	auth->session = session;
	auth->front = front;
	auth->rules = (struct credential_rules){
		.cache = front->shared->authcache,
		.throttle = front->shared->throttle,
		.policy = {snap->auth.failures, snap->auth.failure_window_ns},
		.granted_ttl_ns = snap->auth.cache_ns,
		.denied_ttl_ns = snap->auth.cache_ns < AUTH_DENIED_TTL_NS ? snap->auth.cache_ns
									  : AUTH_DENIED_TTL_NS,
	};
	auth->user_id = user ? user->id : 0;
	auth->began = front->loop->now;
	return auth;
}

struct auth *auth_begin(struct session *session, const char *name, size_t name_len,
			const char *password, size_t password_len, auth_fn *tell, void *owner)
{
	struct front *front = session->front;
	struct auth *auth = auth_new(session, name, name_len, password, password_len);
	uint64_t retry;

	if (!auth) {
		tell(session, owner, count(session, METRIC_AUTH_ERROR, CLOSE_NO_MEMORY));
		return NULL;
	}
	auth->done = tell;
	auth->owner = owner;
	int r = credential_begin(auth->credential, &auth->rules, front->loop->now, &retry);
	if (r != -EINPROGRESS) {
		answer(auth, r, true);
		return NULL;
	}
	report_event(session, EVENT_AUTH_STARTED, 0, 0);
	r = helper_submit(front->shared->helper, &auth->job);
	metric_inc(&front->metrics
			    ->helper_jobs[r < 0 ? METRIC_RESULT_FAILURE : METRIC_RESULT_SUCCESS]);
	if (r < 0) {
		credential_end(auth->credential, &auth->rules, front->loop->now);
		auth_free(auth);
		tell(session, owner, count(session, METRIC_AUTH_BUSY, CLOSE_HELPER_BUSY));
		return NULL;
	}
	return auth;
}

void auth_cancel(struct auth *auth)
{
	if (!auth)
		return;
	auth->session = NULL;
	helper_cancel(&auth->job);
}
