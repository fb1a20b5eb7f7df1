// SPDX-License-Identifier: Apache-2.0
// Password hashes: known vectors of other programs, round trips, refusals, no memory, many threads.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/hash.h"
#include "policy/password.h"

static int verify(const char *hash, const char *password)
{
	return password_verify(hash, password, strlen(password));
}

static const struct {
	enum snap_hash_kind kind;
	const char *password;
	const char *hash;
} vectors[] = {
	// `openssl passwd -6 -salt saltsalt`
	{SNAP_HASH_SHA512CRYPT, "secret",
	 "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq."
	 "H91p5hVO1"},
	// crypt_blowfish's own test
	{SNAP_HASH_BCRYPT, "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	// The same by the prefixes that htpasswd and crypt(3) write
	{SNAP_HASH_BCRYPT, "secret",
	 "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"},
	{SNAP_HASH_BCRYPT, "secret",
	 "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"},
	{SNAP_HASH_YESCRYPT, "secret",
	 "$y$j75$saltsaltsalt$jyf/lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA"},
	// The reference implementation's test
	{SNAP_HASH_ARGON2ID, "password",
	 "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
};

static void known_hashes(void **state)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_int_equal(password_kind(vectors[i].hash), vectors[i].kind);
		assert_int_equal(verify(vectors[i].hash, vectors[i].password), 0);
		assert_int_equal(verify(vectors[i].hash, "wrong"), -EACCES);
		assert_int_equal(verify(vectors[i].hash, ""), -EACCES);
		assert_true(password_is_slow(vectors[i].hash));
		assert_int_equal(password_verify_unknown(vectors[i].hash, vectors[i].password,
							 strlen(vectors[i].password)),
				 -EACCES);
	}
}

static void round_trip(void **state)
{
	static const enum snap_hash_kind kinds[] = {SNAP_HASH_YESCRYPT, SNAP_HASH_BCRYPT,
						    SNAP_HASH_SHA512CRYPT, SNAP_HASH_ARGON2ID};
	static const char password[] = "p\xc3\xa4ss w\xff:rd";
	for (size_t i = 0; i < 4; i++) {
		char first[PASSWORD_HASH_TEXT], second[PASSWORD_HASH_TEXT];
		assert_int_equal(password_hash(kinds[i], password, strlen(password), first), 0);
		assert_int_equal(password_hash(kinds[i], password, strlen(password), second), 0);
		assert_string_not_equal(first, second); // the salt
		assert_int_equal(password_kind(first), kinds[i]);
		assert_int_equal(verify(first, password), 0);
		assert_int_equal(verify(first, "p\xc3\xa4ss w\xff:re"), -EACCES);
	}
}

static void keyed(void **state)
{
	char hash[HASH_KEYED_TEXT];
	hash_keyed_password("secret", 6, hash);
	assert_int_equal(password_kind(hash), SNAP_HASH_KEYED);
	assert_false(password_is_slow(hash));
	assert_int_equal(verify(hash, "secret"), 0);
	assert_int_equal(verify(hash, "secret2"), -EACCES);
	assert_int_equal(verify(hash, ""), -EACCES);
	char made[PASSWORD_HASH_TEXT];
	assert_int_equal(password_hash(SNAP_HASH_KEYED, "x", 1, made), -EINVAL);
}

static void refusals(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"$",
		"$1$abcdefgh$G3ZoXBrVHkxTUkvYnDgRX/",
		"$5$saltstring$5B8vYYiY",
		"ab1DZtRpBuE2I",
		"$y$j9T$",
		"$2b$05$short",
		"$6$short",
		"$argon2id$",
		"$argon2i$v=19$m=16",
		"*",
		"!",
		"!$6$x",
		"$keyed$12",
		"$2b$05$UPPERcase:colonXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(password_kind(bad[i]), -EINVAL);
		assert_int_equal(verify(bad[i], "x"), -EINVAL);
		assert_int_equal(password_verify_unknown(bad[i], "x", 1), -EACCES);
	}
	// Of the right length, but not a hash.
	static const char *const broken[] = {
		"$2b$99$XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
		"$y$j9T$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$",
		"$argon2id$v=19$m=xx,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_true(verify(broken[i], "x") < 0);
	char hash[PASSWORD_HASH_TEXT], keyed_hash[HASH_KEYED_TEXT];
	char longest[PASSWORD_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	hash_keyed_password(longest, PASSWORD_MAX, keyed_hash);
	assert_int_equal(password_verify(keyed_hash, longest, PASSWORD_MAX), 0);
	hash_keyed_password(longest, PASSWORD_MAX + 1, keyed_hash);
	assert_int_equal(password_verify(keyed_hash, longest, PASSWORD_MAX + 1), -EACCES);
	hash_keyed_password("a\0b", 3, keyed_hash);
	assert_int_equal(password_verify(keyed_hash, "a\0b", 3), -EACCES);
	assert_int_equal(password_hash(SNAP_HASH_YESCRYPT, longest, PASSWORD_MAX + 1, hash),
			 -E2BIG);
	assert_int_equal(password_hash(SNAP_HASH_BCRYPT, longest, PASSWORD_BCRYPT_MAX + 1, hash),
			 -E2BIG);
	assert_int_equal(password_hash(SNAP_HASH_YESCRYPT, "a\0b", 3, hash), -EINVAL);
	assert_int_equal(password_hash(SNAP_HASH_YESCRYPT, "", 0, hash), -EINVAL);
	// bcrypt would take anything after the 72nd byte.
	assert_int_equal(password_hash(SNAP_HASH_BCRYPT, longest, PASSWORD_BCRYPT_MAX, hash), 0);
	assert_int_equal(password_verify(hash, longest, PASSWORD_BCRYPT_MAX), 0);
	assert_int_equal(password_verify(hash, longest, PASSWORD_BCRYPT_MAX + 1), -EACCES);
}

static void no_memory(void **state)
{
	char hash[PASSWORD_HASH_TEXT] = "untouched";
	alloc_fail_at(1);
	assert_int_equal(password_hash(SNAP_HASH_SHA512CRYPT, "x", 1, hash), -ENOMEM);
	assert_string_equal(hash, "untouched");
	alloc_fail_at(1);
	assert_int_equal(verify(vectors[0].hash, vectors[0].password), -ENOMEM);
	alloc_fail_at(1);
	assert_int_equal(password_verify_unknown(vectors[0].hash, "x", 1), -ENOMEM);
	alloc_fail_at(0);
}

static void *verify_main(void *arg)
{
	for (int i = 0; i < 3; i++) {
		for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++) {
			if (verify(vectors[v].hash, vectors[v].password) != 0 ||
			    verify(vectors[v].hash, "wrong") != -EACCES)
				return arg;
		}
	}
	return NULL;
}

static void many_threads(void **state)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, verify_main, threads), 0);
	for (int i = 0; i < 4; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_hashes), cmocka_unit_test(round_trip),
		cmocka_unit_test(keyed),        cmocka_unit_test(refusals),
		cmocka_unit_test(no_memory),    cmocka_unit_test(many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
