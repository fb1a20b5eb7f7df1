// SPDX-License-Identifier: Apache-2.0
// Accounts: identity, limits, life and reclaim, revocation, full table, no memory, many threads.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/rng.h"
#include "policy/account.h"

#define SECOND 1000000000ull

static struct accounts *table(size_t limit, unsigned workers)
{
	struct accounts_options options = {.worker_count = workers, .limit = limit};
	struct accounts *t = NULL;
	assert_int_equal(accounts_new(&options, &t), 0);
	return t;
}

static struct endpoint address(const char *text)
{
	struct endpoint ep;
	assert_int_equal(endpoint_parse_ip(text, strlen(text), &ep), 0);
	return ep;
}

static struct account *get(struct accounts *t, const char *text, uint64_t now)
{
	struct endpoint ep = address(text);
	return account_get_address(t, &ep, now);
}

static size_t count(struct accounts *t)
{
	struct accounts_stats stats;
	accounts_stats(t, &stats);
	return stats.count;
}

static void one_account_each(void **state)
{
	struct accounts *t = table(100, 1);
	struct account *a = account_get_user(t, 7, 0);
	assert_ptr_equal(account_get_user(t, 7, 0), a);
	struct account *b = get(t, "192.0.2.1", 0);
	assert_ptr_not_equal(b, a);
	struct endpoint with_port = endpoint_v4(0xc0000201, 1234);
	assert_ptr_equal(account_get_address(t, &with_port, 0), b);
	assert_ptr_equal(get(t, "::ffff:192.0.2.1", 0), b);
	struct account *c = get(t, "2001:db8:1:2:3:4:5:6", 0);
	assert_ptr_equal(get(t, "2001:db8:1:2::", 0), c);
	struct account *d = get(t, "2001:db8:1:3::", 0);
	assert_ptr_not_equal(d, c);
	assert_int_equal(count(t), 4);
	assert_ptr_equal(account_ref(a), a);
	for (int i = 0; i < 3; i++) {
		account_unref(a, 0);
		account_unref(b, 0);
	}
	account_unref(c, 0);
	account_unref(c, 0);
	account_unref(d, 0);
	account_unref(NULL, 0);
	accounts_free(t);
	accounts_free(NULL);
}

static void ipv6_prefix_is_configured(void **state)
{
	struct accounts_options options = {.worker_count = 1, .limit = 9, .ipv6_prefix = 57};
	struct accounts *t;
	assert_int_equal(accounts_new(&options, &t), 0);
	struct account *a = get(t, "2001:db8:1:207f::1", 0);
	assert_ptr_equal(get(t, "2001:db8:1:2000::1", 0), a);
	struct account *b = get(t, "2001:db8:1:2080::1", 0);
	assert_ptr_not_equal(b, a);
	account_unref(a, 0);
	account_unref(a, 0);
	account_unref(b, 0);
	accounts_free(t);
	options.ipv6_prefix = 129;
	assert_int_equal(accounts_new(&options, &t), -EINVAL);
	options = (struct accounts_options){.limit = 9};
	assert_int_equal(accounts_new(&options, &t), -EINVAL);
	options = (struct accounts_options){.worker_count = 9};
	assert_int_equal(accounts_new(&options, &t), -EINVAL);
}

static void connections_are_limited(void **state)
{
	struct accounts *t = table(100, 1);
	struct account *a = account_get_user(t, 1, SECOND);
	struct snap_limits limits = {.connections = 2};
	assert_int_equal(account_conn_admit(a, &limits, SECOND), 0);
	assert_int_equal(account_conn_admit(a, &limits, SECOND), 0);
	assert_int_equal(account_conn_admit(a, &limits, SECOND), -EUSERS);
	account_conn_release(a);
	assert_int_equal(account_conn_admit(a, &limits, SECOND), 0);
	// A reload lowers the limit: the live ones stay, new ones wait until they are fewer.
	limits.connections = 1;
	assert_int_equal(account_conn_admit(a, &limits, SECOND), -EUSERS);
	account_conn_release(a);
	assert_int_equal(account_conn_admit(a, &limits, SECOND), -EUSERS);
	account_conn_release(a);
	limits = (struct snap_limits){.connections_per_second = 3};
	for (int i = 0; i < 3; i++)
		assert_int_equal(account_conn_admit(a, &limits, SECOND), 0);
	assert_int_equal(account_conn_admit(a, &limits, SECOND), -EAGAIN);
	uint64_t retry = account_conn_retry(a, &limits, SECOND);
	assert_true(retry > 0 && retry <= SECOND / 3 + 1);
	assert_int_equal(account_conn_admit(a, &limits, SECOND + retry), 0);
	// Refused for the number, no token of the rate is used.
	limits = (struct snap_limits){.connections = 4, .connections_per_second = 3};
	for (int i = 0; i < 20; i++)
		assert_int_equal(account_conn_admit(a, &limits, 10 * SECOND), -EUSERS);
	limits.connections = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(account_conn_admit(a, &limits, 10 * SECOND), 0);
	assert_int_equal(account_conn_admit(a, &limits, 10 * SECOND), -EAGAIN);
	assert_int_equal(a->conn_live_atomic, 7);
	assert_int_equal(a->conn_total_atomic, 10);
	account_unref(a, 0);
	accounts_free(t);
}

static void bytes_are_summed(void **state)
{
	struct accounts *t = table(100, 3);
	struct account *user = account_get_user(t, 1, 0);
	struct account *addr = get(t, "192.0.2.1", 0);
	for (unsigned w = 0; w < 3; w++) {
		account_add_bytes(user, w, 10 + w, 100);
		account_add_bytes(addr, w, 0, 1ull << 40);
	}
	account_add_bytes(user, 2, 5, 0);
	uint64_t up, down;
	account_bytes(user, &up, &down);
	assert_int_equal(up, 38);
	assert_int_equal(down, 300);
	account_bytes(addr, &up, &down);
	assert_int_equal(up, 0);
	assert_int_equal(down, 3ull << 40);
	account_unref(user, 0);
	account_unref(addr, 0);
	accounts_free(t);
}

static void claims_cover_both(void **state)
{
	struct accounts *t = table(100, 1);
	struct account *user = account_get_user(t, 1, 0);
	struct account *addr = get(t, "192.0.2.1", 0);
	struct snap_limits of_user = {.upload_bps = 1000000};
	struct snap_limits of_addr = {.upload_bps = 8000000, .download_bps = 5};
	struct bucket_claim c[ACCOUNT_CLAIMS];
	account_claims(user, &of_user, addr, &of_addr, ACCOUNT_UP, c);
	assert_int_equal(bucket_take_upto_all(c, ACCOUNT_CLAIMS, 2000000, 0), 125000);
	assert_int_equal(bucket_available(&addr->up, 8000000, 1000000, 0), 875000);
	account_claims(user, &of_user, addr, &of_addr, ACCOUNT_DOWN, c);
	assert_int_equal(bucket_take_upto_all(c, ACCOUNT_CLAIMS, 2000000, 0), 65536);
	account_claims(NULL, NULL, addr, NULL, ACCOUNT_DOWN, c);
	assert_int_equal(bucket_take_upto_all(c, ACCOUNT_CLAIMS, 2000000, 0), 2000000);
	account_unref(user, 0);
	account_unref(addr, 0);
	accounts_free(t);
}

static void idle_addresses_go(void **state)
{
	struct accounts *t = table(1000, 1);
	struct account *held = get(t, "192.0.2.1", 0);
	struct account *idle = get(t, "192.0.2.2", 0);
	struct account *owing = get(t, "192.0.2.3", 0);
	struct account *user = account_get_user(t, 1, 0);
	// Takes an hour to refill.
	assert_int_equal(bucket_take_upto(&owing->up, 1, 3600, 3600, 0), 3600);
	account_unref(idle, 0);
	account_unref(owing, 0);
	account_unref(user, 0);
	assert_int_equal(accounts_sweep(t, 59 * SECOND, 100), 0);
	assert_int_equal(accounts_sweep(t, 61 * SECOND, 100), 1);
	assert_int_equal(accounts_sweep(t, 61 * SECOND, 100), 0);
	assert_int_equal(count(t), 3);
	// Found again while it owed, and still owing.
	struct account *again = get(t, "192.0.2.3", 100 * SECOND);
	assert_ptr_equal(again, owing);
	assert_int_equal(bucket_available(&again->up, 1, 3600, 100 * SECOND), 100);
	account_unref(again, 100 * SECOND);
	assert_int_equal(accounts_sweep(t, 3599 * SECOND, 100), 0);
	assert_int_equal(accounts_sweep(t, 3600 * SECOND, 100), 1);
	// Users stay until they are removed.
	assert_int_equal(accounts_remove_user(t, 1), 0);
	assert_int_equal(accounts_remove_user(t, 1), 0);
	assert_int_equal(accounts_sweep(t, 3600 * SECOND, 100), 1);
	assert_int_equal(accounts_remove_user(t, 1), -ENOENT);
	account_unref(held, 3600 * SECOND);
	assert_int_equal(count(t), 1);
	accounts_free(t);
}

static void removed_user_may_return(void **state)
{
	struct accounts *t = table(10, 1);
	struct account *a = account_get_user(t, 1, 0);
	uint32_t before = account_generation(a);
	assert_int_equal(accounts_remove_user(t, 1), 0);
	assert_int_not_equal(account_generation(a), before);
	account_unref(a, 0); // its connection ended
	a = account_get_user(t, 1, 0);
	account_unref(a, 0);
	assert_int_equal(accounts_sweep(t, 1000 * SECOND, 100), 0); // it is back: it stays
	assert_int_equal(accounts_revoke_user(t, 2), -ENOENT);
	assert_int_equal(accounts_revoke_user(t, 1), 0);
	accounts_free(t);
}

static bool odd_exists(uint64_t user_id, void *ctx)
{
	++*(unsigned *)ctx;
	return user_id & 1;
}

static void users_gone_by_a_reload(void **state)
{
	struct accounts *t = table(100, 1);
	struct account *a[20];
	unsigned asked = 0;
	for (unsigned i = 0; i < 20; i++)
		a[i] = account_get_user(t, i, 0);
	struct account *addr = get(t, "192.0.2.1", 0);
	for (int i = 10; i < 20; i++)
		account_unref(a[i], 0); // half of them idle
	assert_int_equal(accounts_remove_users(t, odd_exists, &asked), 10);
	assert_int_equal(asked, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(account_generation(a[i]), i % 2 ? 0 : 1);
	assert_int_equal(accounts_remove_users(t, odd_exists, &asked), 10);
	assert_int_equal(account_generation(a[0]), 1); // once
	assert_int_equal(accounts_sweep(t, 61 * SECOND, 100), 5);
	for (int i = 0; i < 10; i++)
		account_unref(a[i], 61 * SECOND);
	assert_int_equal(accounts_sweep(t, 200 * SECOND, 100), 5);
	account_unref(addr, 0);
	assert_int_equal(count(t), 11);
	accounts_free(t);
}

static int count_visit(struct account *a, void *ctx)
{
	unsigned *left = ctx;
	return --*left == 0 ? 42 : 0;
}

static void full_table_keeps_the_held(void **state)
{
	struct accounts *t = table(8, 1);
	struct account *held[8];
	for (unsigned i = 0; i < 8; i++) {
		struct endpoint ep = endpoint_v4(0x0a000000 + i, 0);
		held[i] = account_get_address(t, &ep, 0);
		assert_non_null(held[i]);
	}
	assert_null(get(t, "192.0.2.1", 0));
	struct accounts_stats stats;
	accounts_stats(t, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.count, 8);
	unsigned left = 100;
	assert_int_equal(accounts_each(t, count_visit, &left), 0);
	assert_int_equal(left, 92);
	left = 3;
	assert_int_equal(accounts_each(t, count_visit, &left), 42);
	// An idle one gives its place, though it has not recovered.
	bucket_take_upto(&held[3]->up, 1, 1000, 1000, 0);
	account_unref(held[3], 0);
	held[3] = get(t, "192.0.2.1", 0);
	assert_non_null(held[3]);
	accounts_stats(t, &stats);
	assert_int_equal(stats.evicted, 1);
	assert_int_equal(stats.count, 8);
	// A user goes after every idle address.
	account_unref(held[0], 0);
	account_unref(held[1], 0);
	held[0] = account_get_user(t, 5, 0);
	uint64_t first_generation = account_generation(held[0]);
	account_revoke(held[0]);
	account_unref(held[0], 0);
	held[1] = get(t, "192.0.2.2", 0); // takes the place of the idle address
	assert_non_null(held[1]);
	held[0] = account_get_user(t, 5, 0);
	assert_int_equal(account_generation(held[0]), first_generation + 1);
	for (int i = 0; i < 8; i++)
		account_unref(held[i], 0);
	accounts_free(t);
}

static void no_memory(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct accounts_options options = {.worker_count = 1, .limit = 5};
		struct accounts *t = NULL;
		alloc_fail_at(n);
		int r = accounts_new(&options, &t);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		accounts_free(t);
	}
	struct accounts *t = table(5, 1);
	alloc_fail_at(1);
	assert_null(account_get_user(t, 1, 0));
	assert_true(alloc_fail_hit());
	assert_int_equal(count(t), 0);
	struct account *a = account_get_user(t, 1, 0);
	assert_non_null(a);
	account_unref(a, 0);
	accounts_free(t);
}

enum { THREADS = 4, USERS = 12, ROUNDS = 20000 };

struct client {
	struct accounts *accounts;
	unsigned worker;
	uint64_t up[USERS];
	uint64_t null;
};

static _Atomic unsigned live[USERS];

// As many workers do: find, admit, count, release, let go; with sweeps and revocations in between.
static void *client_main(void *arg)
{
	struct client *c = arg;
	struct rng r;
	rng_init(&r, c->worker);
	struct snap_limits limits = {.connections = 3};
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t now = i * SECOND;
		unsigned u = (unsigned)rng_below(&r, USERS);
		struct endpoint ep = endpoint_v4(0x0a000000 + (uint32_t)rng_below(&r, 40), 0);
		struct account *user = account_get_user(c->accounts, u, now);
		struct account *addr = account_get_address(c->accounts, &ep, now);
		if (!user || !addr) {
			c->null++;
		} else if (account_conn_admit(user, &limits, now) == 0) {
			assert_true(atomic_fetch_add(&live[u], 1) < 3);
			account_add_bytes(user, c->worker, 7, 0);
			c->up[u] += 7;
			account_add_bytes(addr, c->worker, 1, 1);
			bucket_take_upto(&addr->up, 1000, 1000, 10, now);
			atomic_fetch_sub(&live[u], 1);
			account_conn_release(user);
		}
		account_unref(addr, now);
		account_unref(user, now);
		if (i % 64 == 0)
			accounts_sweep(c->accounts, now, 10);
		if (i % 100 == 0)
			accounts_revoke_user(c->accounts, u);
	}
	return NULL;
}

static void many_threads(void **state)
{
	// Room for all users, not for all addresses.
	struct accounts *t = table(USERS + 2 * THREADS, THREADS);
	struct account *held[USERS];
	for (unsigned i = 0; i < USERS; i++)
		held[i] = account_get_user(t, i, 0); // so that their sums survive
	struct client c[THREADS];
	pthread_t threads[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		c[i] = (struct client){.accounts = t, .worker = i};
		assert_int_equal(pthread_create(&threads[i], NULL, client_main, &c[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned u = 0; u < USERS; u++) {
		uint64_t up, down, sum = 0;
		for (int i = 0; i < THREADS; i++)
			sum += c[i].up[u];
		account_bytes(held[u], &up, &down);
		assert_int_equal(up, sum);
		assert_int_equal(held[u]->conn_live_atomic, 0);
		assert_int_equal(held[u]->ref_atomic, 1);
		account_unref(held[u], 0);
	}
	struct accounts_stats stats;
	accounts_stats(t, &stats);
	assert_true(stats.count <= stats.limit);
	accounts_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_account_each),
		cmocka_unit_test(ipv6_prefix_is_configured),
		cmocka_unit_test(connections_are_limited),
		cmocka_unit_test(bytes_are_summed),
		cmocka_unit_test(claims_cover_both),
		cmocka_unit_test(idle_addresses_go),
		cmocka_unit_test(removed_user_may_return),
		cmocka_unit_test(users_gone_by_a_reload),
		cmocka_unit_test(full_table_keeps_the_held),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
