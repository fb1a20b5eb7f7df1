// SPDX-License-Identifier: Apache-2.0
// Is a text a password hash that can be checked here, and of which kind?
#include "config/hash_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HASH_TEXT_MAX 255

struct scan {
	const char *at, *end;
};

static bool skip(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

static bool number(struct scan *s, uint32_t *ret)
{
	const char *begin = s->at;
	uint32_t n = 0;

	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9' && s->at - begin < 9; s->at++)
		n = n * 10 + (uint32_t)(*s->at - '0');
	*ret = n;
	return s->at > begin;
}

// Characters of crypt's base 64 (or, with `extra`, of another one), and how many.
static size_t run(struct scan *s, const char *extra)
{
	const char *begin = s->at;

	for (; s->at < s->end; s->at++) {
		char c = *s->at;

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr(extra, c))))
			break;
	}
	return (size_t)(s->at - begin);
}

static bool ended(const struct scan *s)
{
	return s->at == s->end;
}

static const char *check_yescrypt(struct scan s)
{
	if (!run(&s, "./") || !skip(&s, "$"))
		return "a yescrypt hash without parameters";
	run(&s, "./"); // the salt may be empty
	if (!skip(&s, "$") || run(&s, "./") != 43 || !ended(&s))
		return "a yescrypt hash that is cut off or too long";
	return NULL;
}

static const char *check_bcrypt(struct scan s)
{
	uint32_t cost;

	if (s.end - s.at < 3 || !number(&s, &cost) || !skip(&s, "$"))
		return "a bcrypt hash without a cost";
	if (cost < 4 || cost > 16)
		return "a bcrypt hash with a cost outside 4 to 16";
	if (run(&s, "./") != 53 || !ended(&s))
		return "a bcrypt hash that is cut off or too long";
	return NULL;
}

static const char *check_sha512(struct scan s)
{
	uint32_t rounds;

	if (skip(&s, "rounds=")) {
		if (!number(&s, &rounds) || !skip(&s, "$"))
			return "a sha512crypt hash with unreadable rounds";
		if (rounds < 1000 || rounds > 10000000)
			return "a sha512crypt hash with rounds outside 1000 to 10000000";
	}
	if (run(&s, "./") > 16 || !skip(&s, "$"))
		return "a sha512crypt hash with a bad salt";
	if (run(&s, "./") != 86 || !ended(&s))
		return "a sha512crypt hash that is cut off or too long";
	return NULL;
}

static const char *check_argon2id(struct scan s)
{
	uint32_t memory, passes, lanes;

	if (!skip(&s, "v=19$m=") || !number(&s, &memory) || !skip(&s, ",t=") ||
	    !number(&s, &passes) || !skip(&s, ",p=") || !number(&s, &lanes) || !skip(&s, "$"))
		return "an argon2id hash with unreadable parameters (v=19$m=...,t=...,p=...)";
	if (memory < 8 || memory > 1024 * 1024 || passes < 1 || passes > 64 || lanes != 1)
		return "an argon2id hash with m outside 8 to 1048576, t outside 1 to 64, or p "
		       "other than 1";
	if (run(&s, "+/") < 11 || !skip(&s, "$") || run(&s, "+/") < 22 || !ended(&s))
		return "an argon2id hash that is cut off or too long";
	return NULL;
}

const char *hash_text_check(const char *text, size_t len, enum snap_hash_kind *ret_kind)
{
	struct scan s = {text, text + len};
	enum snap_hash_kind kind;
	const char *wrong;

	if (len > HASH_TEXT_MAX)
		return "a text that is too long for a password hash";
	if (skip(&s, "$y$")) {
		kind = SNAP_HASH_YESCRYPT;
		wrong = check_yescrypt(s);
	} else if (skip(&s, "$2b$") || skip(&s, "$2y$") || skip(&s, "$2a$")) {
		kind = SNAP_HASH_BCRYPT;
		wrong = check_bcrypt(s);
	} else if (skip(&s, "$6$")) {
		kind = SNAP_HASH_SHA512CRYPT;
		wrong = check_sha512(s);
	} else if (skip(&s, "$argon2id$")) {
		kind = SNAP_HASH_ARGON2ID;
		wrong = check_argon2id(s);
	} else {
		return "no hash of a known kind";
	}
	if (!wrong)
		*ret_kind = kind;
	return wrong;
}
