// SPDX-License-Identifier: Apache-2.0
// Password hashes by libxcrypt and libsodium: see password.h.
#include "policy/password.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

_Static_assert(PASSWORD_HASH_TEXT >= CRYPT_OUTPUT_SIZE, "a crypt(3) hash must fit");
_Static_assert(PASSWORD_HASH_TEXT >= crypto_pwhash_STRBYTES, "an argon2id hash must fit");
_Static_assert(PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt(3) must take the longest password");

struct prefix {
	const char *text;
	enum snap_hash_kind kind;
	size_t least; // bytes of the shortest hash of that form
};

static const struct prefix prefixes[] = {
	{"$y$", SNAP_HASH_YESCRYPT, 50},
	{"$2b$", SNAP_HASH_BCRYPT, 60},
	{"$2y$", SNAP_HASH_BCRYPT, 60},
	{"$2a$", SNAP_HASH_BCRYPT, 60},
	{"$6$", SNAP_HASH_SHA512CRYPT, 90},
	{"$argon2id$", SNAP_HASH_ARGON2ID, 60},
	{"$keyed$", SNAP_HASH_KEYED, HASH_KEYED_TEXT - 1},
};

int password_kind(const char *hash)
{
	size_t len = strlen(hash);
	if (len >= PASSWORD_HASH_TEXT)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (hash[i] <= ' ' || hash[i] == ':' || hash[i] == 0x7f)
			return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		const struct prefix *p = &prefixes[i];
		if (strncmp(hash, p->text, strlen(p->text)) != 0)
			continue;
		return len >= p->least ? (int)p->kind : -EINVAL;
	}
	return -EINVAL;
}

bool password_is_slow(const char *hash)
{
	return password_kind(hash) != SNAP_HASH_KEYED;
}

// What crypt(3) makes of password and setting, into ret_text. -EINVAL: it refuses the setting.
static int crypt_text(const char *password, const char *setting, char ret_text[PASSWORD_HASH_TEXT])
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	if (!data)
		return -ENOMEM;
	errno = 0;
	const char *made = crypt_r(password, setting, data);
	int r = 0;
	if (!made || made[0] == '*')
		r = errno == ENOMEM ? -ENOMEM : -EINVAL;
	else
		strcpy(ret_text, made); // CRYPT_OUTPUT_SIZE at most
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

static int verify_crypt(const char *hash, const char *password)
{
	char made[PASSWORD_HASH_TEXT] = "";
	int r = crypt_text(password, hash, made);
	if (r < 0)
		return r;
	size_t len = strlen(hash);
	r = strlen(made) == len && hash_secret_equal(made, hash, len) ? 0 : -EACCES;
	explicit_bzero(made, sizeof(made));
	return r;
}

static int verify_argon2id(const char *hash, const char *password, size_t len)
{
	if (sodium_init() < 0)
		return -ENOSYS;
	char text[crypto_pwhash_STRBYTES] = "";
	size_t hash_len = strlen(hash);
	if (hash_len >= sizeof(text))
		return -EINVAL;
	memcpy(text, hash, hash_len);
	errno = 0;
	if (crypto_pwhash_str_verify(text, password, len) == 0)
		return 0;
	return errno == ENOMEM ? -ENOMEM : -EACCES;
}

static int verify_keyed(const char *hash, const char *password, size_t len)
{
	char made[HASH_KEYED_TEXT];
	hash_keyed_password(password, len, made);
	return strlen(hash) == HASH_KEYED_TEXT - 1 &&
			       hash_secret_equal(made, hash, HASH_KEYED_TEXT - 1)
		       ? 0
		       : -EACCES;
}

int password_verify(const char *hash, const char *password, size_t len)
{
	int kind = password_kind(hash);
	if (kind < 0)
		return kind;
	// Not worth hashing, whoever the user is: so it tells nothing of the user.
	if (len > PASSWORD_MAX || memchr(password, 0, len))
		return -EACCES;
	if (kind == SNAP_HASH_KEYED)
		return verify_keyed(hash, password, len);
	if (kind == SNAP_HASH_ARGON2ID)
		return verify_argon2id(hash, password, len);
	char text[PASSWORD_MAX + 1];
	// bcrypt ignores what follows its 72nd byte: two such passwords would be one.
	bool refuse = kind == SNAP_HASH_BCRYPT && len > PASSWORD_BCRYPT_MAX;
	memcpy(text, password, len);
	text[len] = 0;
	int r = verify_crypt(hash, text);
	explicit_bzero(text, sizeof(text));
	return r == 0 && refuse ? -EACCES : r;
}

int password_verify_unknown(const char *hash_of_other, const char *password, size_t len)
{
	int r = password_verify(hash_of_other, password, len);
	return r == -ENOMEM ? r : -EACCES;
}

static int hash_crypt(enum snap_hash_kind kind, const char *password,
		      char ret_text[PASSWORD_HASH_TEXT])
{
	static const struct {
		const char *prefix;
		unsigned long count;
	} costs[] = {
		[SNAP_HASH_YESCRYPT] = {"$y$", 0}, // the library's default, 16 MiB
		[SNAP_HASH_BCRYPT] = {"$2b$", 11},
		[SNAP_HASH_SHA512CRYPT] = {"$6$", 200000},
	};
	char random[32];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	rng_secret(random, sizeof(random));
	if (!crypt_gensalt_rn(costs[kind].prefix, costs[kind].count, random, sizeof(random),
			      setting, sizeof(setting)))
		return -ENOSYS;
	int r = crypt_text(password, setting, ret_text);
	return r == -EINVAL ? -ENOSYS : r;
}

int password_hash(enum snap_hash_kind kind, const char *password, size_t len,
		  char ret_text[PASSWORD_HASH_TEXT])
{
	if (!len || (len <= PASSWORD_MAX && memchr(password, 0, len)))
		return -EINVAL;
	if (len > PASSWORD_MAX || (kind == SNAP_HASH_BCRYPT && len > PASSWORD_BCRYPT_MAX))
		return -E2BIG;
	if (kind == SNAP_HASH_ARGON2ID) {
		if (sodium_init() < 0)
			return -ENOSYS;
		char text[crypto_pwhash_STRBYTES];
		if (crypto_pwhash_str_alg(text, password, len, crypto_pwhash_OPSLIMIT_INTERACTIVE,
					  crypto_pwhash_MEMLIMIT_INTERACTIVE,
					  crypto_pwhash_ALG_ARGON2ID13) != 0)
			return -ENOMEM;
		strcpy(ret_text, text);
		return 0;
	}
	if (kind != SNAP_HASH_YESCRYPT && kind != SNAP_HASH_BCRYPT && kind != SNAP_HASH_SHA512CRYPT)
		return -EINVAL;
	char text[PASSWORD_MAX + 1];
	memcpy(text, password, len);
	text[len] = 0;
	int r = hash_crypt(kind, text, ret_text);
	explicit_bzero(text, sizeof(text));
	return r;
}
