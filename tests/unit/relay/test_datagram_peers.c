// SPDX-License-Identifier: Apache-2.0
// The table of an association's peers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "relay/datagram_peers.h"

static unsigned forgotten;
static struct endpoint last_forgotten;

static void forget(struct datagram_peers *peers, struct datagram_peer *peer)
{
	forgotten++;
	last_forgotten = peer->address;
}

static struct endpoint address_of(unsigned i)
{
	return endpoint_v4(0x0a000000 + i / 3, (uint16_t)(1000 + i % 3));
}

static struct pool pool;

static void begin(struct datagram_peers *peers, uint32_t limit)
{
	forgotten = 0;
	pool_init(&pool, "datagram peer", sizeof(struct datagram_peer), 0);
	datagram_peers_init(peers, &pool, limit, forget);
}

static void end(struct datagram_peers *peers)
{
	datagram_peers_release(peers);
	assert_int_equal(peers->count, 0);
	assert_int_equal(pool_release(&pool), 0);
}

static void test_find_and_get(void **state)
{
	struct datagram_peers peers;

	begin(&peers, DATAGRAM_PEERS_MAX);
	for (unsigned i = 0; i < 700; i++) {
		struct endpoint address = address_of(i);
		assert_null(datagram_peers_find(&peers, &address));
		struct datagram_peer *peer = datagram_peers_get(&peers, &address);
		assert_non_null(peer);
		assert_int_equal(peer->sent_at, 0);
		peer->sent_at = i + 1;
		assert_ptr_equal(datagram_peers_find(&peers, &address), peer);
	}
	for (unsigned i = 0; i < 700; i++) {
		struct endpoint address = address_of(i);
		assert_int_equal(datagram_peers_get(&peers, &address)->sent_at, i + 1);
	}
	assert_int_equal(peers.count, 700);
	assert_int_equal(forgotten, 0);
	end(&peers);
	assert_int_equal(forgotten, 700);
}

// The one that was sent to longest ago goes, and before it those that were never sent to.
static void test_eviction(void **state)
{
	struct datagram_peers peers;

	begin(&peers, 10);
	for (unsigned i = 0; i < 10; i++) {
		struct endpoint address = address_of(i);
		struct datagram_peer *peer = datagram_peers_get(&peers, &address);
		if (i != 7)
			datagram_peers_touch(&peers, peer, i + 1);
	}
	struct endpoint zero = address_of(0), seven = address_of(7), fresh = address_of(100);
	datagram_peers_touch(&peers, datagram_peers_find(&peers, &zero), 50);
	datagram_peers_touch(&peers, datagram_peers_get(&peers, &fresh), 51);
	assert_int_equal(forgotten, 1);
	assert_true(endpoint_equal(&last_forgotten, &seven));
	for (unsigned i = 1; i < 5; i++) {
		struct endpoint address = address_of(200 + i), oldest = address_of(i);
		datagram_peers_touch(&peers, datagram_peers_get(&peers, &address), 60 + i);
		assert_true(endpoint_equal(&last_forgotten, &oldest));
		assert_null(datagram_peers_find(&peers, &oldest));
	}
	assert_non_null(datagram_peers_find(&peers, &zero));
	assert_int_equal(peers.count, 10);
	assert_int_equal(peers.evicted, 5);
	end(&peers);
}

// Without memory for more buckets the table only gets slower.
static void test_no_memory(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		struct datagram_peers peers;
		unsigned made = 0;
		begin(&peers, 200);
		alloc_fail_at(n);
		for (unsigned i = 0; i < 150; i++) {
			struct endpoint address = address_of(i);
			made += datagram_peers_get(&peers, &address) != NULL;
		}
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(made >= (hit ? 149 : 150));
		assert_int_equal(peers.count, made);
		end(&peers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_and_get),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
