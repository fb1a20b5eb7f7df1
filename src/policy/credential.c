// SPDX-License-Identifier: Apache-2.0
// One log-in attempt: see credential.h.
#include "policy/credential.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/password.h"

enum stage {
	STAGE_NEW,
	STAGE_BEGUN, // the throttle counts it as under way
	STAGE_ENDED,
};

struct credential {
	struct authcache_key key;
	struct endpoint address;
	enum stage stage;
	int verdict;   // of credential_run; -ECANCELED before
	bool known;    // the verdict came from the cache
	bool has_user; // hash is the user's own
	size_t name_len;
	size_t password_len;
	size_t hash_offset;
	size_t text_bytes;
	char text[]; // name, password, hash and NUL
};

static const char *name_of(const struct credential *c)
{
	return c->text;
}

static const char *password_of(const struct credential *c)
{
	return c->text + c->name_len;
}

// "" when there is none.
static const char *hash_of(const struct credential *c)
{
	return c->text + c->hash_offset;
}

int credential_new(const struct endpoint *address, const char *name, size_t name_len,
		   const char *password, size_t password_len, uint64_t user_id, const char *hash,
		   const char *hash_of_other, struct credential **ret_credential)
{
	const char *checked = hash ? hash : hash_of_other ? hash_of_other : "";
	size_t hash_len = strlen(checked);
	// No name or password is longer than this, so nothing longer need be carried.
	if (name_len > SNAP_USER_NAME_MAX || password_len > PASSWORD_MAX) {
		name_len = 0;
		password_len = 0;
		hash = NULL;
		checked = "";
		hash_len = 0;
	}
	size_t text_bytes = name_len + password_len + hash_len + 1;
	struct credential *c = malloc(sizeof(*c) + text_bytes);
	if (!c)
		return -ENOMEM;
	*c = (struct credential){
		.address = *address,
		.verdict = -ECANCELED,
		.has_user = hash != NULL,
		.name_len = name_len,
		.password_len = password_len,
		.hash_offset = name_len + password_len,
		.text_bytes = text_bytes,
	};
	if (name_len)
		memcpy(c->text, name, name_len);
	if (password_len)
		memcpy(c->text + name_len, password, password_len);
	memcpy(c->text + c->hash_offset, checked, hash_len + 1);
	// A name that does not exist has keys of its own: its denials are not those of the other user.
	authcache_key_init(&c->key, hash ? user_id : 0, name_of(c), name_len, password_of(c),
			   password_len, hash ? checked : "");
	*ret_credential = c;
	return 0;
}

void credential_free(struct credential *c)
{
	if (!c)
		return;
	assert(c->stage != STAGE_BEGUN);
	explicit_bzero(c, sizeof(*c) + c->text_bytes);
	free(c);
}

static int verdict_of(enum authcache_result result)
{
	return result == AUTHCACHE_GRANTED ? 0 : -EACCES;
}

static void verify(struct credential *c)
{
	const char *hash = hash_of(c);
	if (!*hash) // there are no users: nothing to take the time of
		c->verdict = -EACCES;
	else if (c->has_user)
		c->verdict = password_verify(hash, password_of(c), c->password_len);
	else
		c->verdict = password_verify_unknown(hash, password_of(c), c->password_len);
	// A damaged hash lets nobody in; the configuration check tells the operator.
	if (c->verdict == -EINVAL)
		c->verdict = -EACCES;
}

int credential_begin(struct credential *c, const struct credential_rules *rules, uint64_t now,
		     uint64_t *ret_retry_ns)
{
	assert(c->stage == STAGE_NEW);
	// The throttle comes first: a cache asked freely would tell right passwords from wrong ones at
	// the speed of memory.
	int r = throttle_begin(rules->throttle, &rules->policy, &c->address, name_of(c),
			       c->name_len, now, ret_retry_ns);
	if (r < 0) {
		c->stage = STAGE_ENDED;
		return r;
	}
	c->stage = STAGE_BEGUN;
	enum authcache_result result = authcache_find(rules->cache, &c->key, now);
	if (result != AUTHCACHE_UNKNOWN) {
		c->verdict = verdict_of(result);
		c->known = true;
		return credential_end(c, rules, now);
	}
	const char *hash = hash_of(c);
	if (!*hash || !password_is_slow(hash)) {
		verify(c);
		return credential_end(c, rules, now);
	}
	return -EINPROGRESS;
}

void credential_run(struct credential *c, const struct credential_rules *rules, uint64_t now)
{
	assert(c->stage == STAGE_BEGUN);
	enum authcache_result result = authcache_find(rules->cache, &c->key, now);
	if (result != AUTHCACHE_UNKNOWN) {
		c->verdict = verdict_of(result);
		c->known = true;
		return;
	}
	verify(c);
	// Here and not in credential_end: the next equal attempt may be in the queue behind this one.
	if (c->verdict == 0)
		authcache_store(rules->cache, &c->key, AUTHCACHE_GRANTED, rules->granted_ttl_ns,
				now);
	else if (c->verdict == -EACCES)
		authcache_store(rules->cache, &c->key, AUTHCACHE_DENIED, rules->denied_ttl_ns, now);
}

int credential_end(struct credential *c, const struct credential_rules *rules, uint64_t now)
{
	assert(c->stage == STAGE_BEGUN);
	c->stage = STAGE_ENDED;
	enum throttle_outcome outcome = THROTTLE_ABANDONED;
	if (c->verdict == 0)
		outcome = THROTTLE_SUCCESS;
	else if (c->verdict == -EACCES && !c->known)
		outcome =
			THROTTLE_FAILURE; // a repeat of a known wrong password guesses nothing new
	throttle_end(rules->throttle, &rules->policy, &c->address, name_of(c), c->name_len, outcome,
		     now);
	return c->verdict;
}

bool credential_is_checked(const struct credential *c, const char *hash)
{
	return c->has_user && strcmp(hash_of(c), hash) == 0;
}
