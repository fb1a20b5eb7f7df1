// SPDX-License-Identifier: Apache-2.0
// Address sets against the plain definition: is the address in any of the blocks?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "snap/addrs.h"

static struct endpoint address(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_ip(text, strlen(text), &e), 0);
	return e;
}

static struct snap_addrs make(struct arena *a, const char *const *blocks)
{
	struct cidr c[16];
	struct snap_addrs set;
	size_t n = 0;

	for (; *blocks; blocks++)
		assert_int_equal(cidr_parse(*blocks, strlen(*blocks), CIDR_STRICT, &c[n++]), 0);
	assert_int_equal(snap_addrs_build(c, n, a, &set), 0);
	return set;
}

static bool has(const struct snap_addrs *set, const char *text)
{
	struct endpoint e = address(text);

	return snap_addrs_match(set, &e);
}

static void edges_of_blocks(void **state)
{
	struct arena a = {0};
	struct snap_addrs s = make(&a, (const char *const[]){"10.0.0.0/8", "192.0.2.128/25",
							     "2001:db8::/33", "fe80::1", NULL});

	assert_true(has(&s, "10.0.0.0"));
	assert_true(has(&s, "10.255.255.255"));
	assert_false(has(&s, "9.255.255.255"));
	assert_false(has(&s, "11.0.0.0"));
	assert_false(has(&s, "192.0.2.127"));
	assert_true(has(&s, "192.0.2.255"));
	assert_true(has(&s, "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(has(&s, "2001:db8:8000::"));
	assert_true(has(&s, "fe80::1"));
	assert_false(has(&s, "fe80::2"));
	assert_true(has(&s, "::ffff:10.1.2.3"));
	arena_release(&a);
}

static void families_are_apart(void **state)
{
	struct arena a = {0};
	struct snap_addrs v4 = make(&a, (const char *const[]){"0.0.0.0/0", NULL});
	struct snap_addrs v6 = make(&a, (const char *const[]){"::/0", NULL});
	struct snap_addrs none = {0};
	struct endpoint unset = {0};

	assert_true(has(&v4, "255.255.255.255"));
	assert_true(has(&v4, "0.0.0.0"));
	assert_false(has(&v4, "::"));
	assert_true(has(&v6, "::"));
	assert_true(has(&v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(has(&v6, "1.2.3.4"));
	assert_false(has(&none, "1.2.3.4"));
	assert_false(has(&none, "::1"));
	assert_false(snap_addrs_match(&v6, &unset));
	arena_release(&a);
}

// Blocks and addresses from few bits, so that they meet often; nested and touching ones come up.
static struct endpoint random_address(struct rng *rng)
{
	uint8_t ip[16] = {0};

	if (rng_below(rng, 2)) {
		for (int i = 0; i < 16; i++)
			ip[i] = rng_below(rng, 4) ? 0 : (uint8_t)(rng_below(rng, 4) << 6);
		ip[0] |= 0x20; // not one that carries IPv4
		return endpoint_v6(ip, 0, 0);
	}
	for (int i = 0; i < 4; i++)
		ip[i] = (uint8_t)(rng_below(rng, 4) * 85);
	return endpoint_v4_bytes(ip, 0);
}

static void as_the_plain_definition(void **state)
{
	struct rng rng;

	rng_init(&rng, 7);
	for (int round = 0; round < 300; round++) {
		struct arena a = {0};
		struct cidr blocks[40];
		size_t count = rng_below(&rng, 40);
		struct snap_addrs set;

		for (size_t i = 0; i < count; i++) {
			struct endpoint e = random_address(&rng);

			blocks[i] = cidr_of(&e, (unsigned)rng_below(&rng, 129));
		}
		assert_int_equal(snap_addrs_build(blocks, count, &a, &set), 0);
		for (int k = 0; k < 200; k++) {
			struct endpoint e = random_address(&rng);
			bool in = false;

			for (size_t i = 0; i < count; i++)
				in |= cidr_match(&blocks[i], &e);
			assert_int_equal(snap_addrs_match(&set, &e), in);
		}
		arena_release(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_of_blocks),
		cmocka_unit_test(families_are_apart),
		cmocka_unit_test(as_the_plain_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
