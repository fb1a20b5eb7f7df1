// SPDX-License-Identifier: Apache-2.0
// One log-in attempt from offered name and password to verdict: throttle, cache, slow check, records.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/authcache.h"
#include "policy/throttle.h"

// What all attempts share, and the snapshot's figures. Copied by value; the pointers are borrowed.
struct credential_rules {
	struct authcache *cache;
	struct throttle *throttle;
	struct throttle_policy policy;
	uint64_t granted_ttl_ns; // how long a success is remembered; 0: never
	uint64_t denied_ttl_ns;  // how long a wrong password is; 0: never
};

// One attempt. It holds copies and refers to no snapshot, so it outlives a reload while a helper
// hashes. One thread at a time.
struct credential;

// name, password: as the client sent them. hash: of the user, or NULL when there is none of that name;
// then hash_of_other is checked for the time it takes (the hash of some other user, see
// password_verify_unknown; NULL when there are no users at all). user_id: snap_user.id, 0 without user.
// 0 or -ENOMEM.
int credential_new(const struct endpoint *address, const char *name, size_t name_len,
		   const char *password, size_t password_len, uint64_t user_id, const char *hash,
		   const char *hash_of_other, struct credential **ret_credential);

// Wipes and frees; NULL is fine. An attempt that was begun and not ended is abandoned by
// credential_end(..., now) first.
void credential_free(struct credential *c);

// What can be said without hashing, on the loop. Once for each attempt.
// 0: granted. -EACCES: denied. -EAGAIN: this address must wait *ret_retry_ns. Then it is all over.
// -EINPROGRESS: call credential_run on a helper thread, then credential_end (also when it did not run).
int credential_begin(struct credential *c, const struct credential_rules *rules, uint64_t now,
		     uint64_t *ret_retry_ns);

// The slow part, for a helper thread. Looks into the cache again first, so that of many equal attempts
// that came together few are hashed; `now` may be the time of submission.
void credential_run(struct credential *c, const struct credential_rules *rules, uint64_t now);

// Records the outcome in throttle and cache, and returns the verdict: 0, -EACCES, -ENOMEM (could not
// be checked), or -ECANCELED when credential_run was not called. `rules` as of credential_begin.
int credential_end(struct credential *c, const struct credential_rules *rules, uint64_t now);

// Whether this hash is the one that was checked: the user may have got another one meanwhile.
bool credential_is_checked(const struct credential *c, const char *hash);
