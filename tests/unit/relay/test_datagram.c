// SPDX-License-Identifier: Apache-2.0
// An association between one client and several peers on loopback, under a front that is made up: the
// first byte of a client's datagram says which peer is meant, and answers get one byte in front.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <urcu/compiler.h>

#include "alloc_fail.h"
#include "policy/account.h"
#include "relay/datagram.h"

enum { PEERS = 4, MS = 1000000, CLIENT = PEERS };

struct bench {
	struct loop loop;
	struct datagram_env env;
	struct metrics *metrics;
	struct datagram datagram;
	struct endpoint bound;
	int fds[PEERS + 2]; // peers, the client, a stranger
	struct endpoint addresses[PEERS + 2];
	bool allow;
	uint64_t moved[2], bytes[2];
	unsigned forgotten;
	enum close_reason over;
};

static struct bench *bench_of(struct datagram *d)
{
	return caa_container_of(d, struct bench, datagram);
}

static void input(struct datagram *d, struct packet *packet)
{
	struct bench *b = bench_of(d);
	unsigned to = packet->len ? packet->data[0] : 99;

	if (to >= PEERS) {
		datagram_drop(d, METRIC_DATAGRAM_DROP_MALFORMED, packet_count(packet));
		packet_free(packet);
		return;
	}
	if (!datagram_client_known(d))
		datagram_fix_client(d, &packet->peer);
	struct datagram_peer *peer = datagram_peers_get(&d->peers, &b->addresses[to]);
	assert_non_null(peer);
	peer->prefix[0] = (uint8_t)to;
	peer->prefix_len = 1;
	packet->skip = 1;
	datagram_send(d, packet, peer);
}

static bool allowed(struct datagram *d, struct datagram_peer *peer)
{
	return bench_of(d)->allow;
}

static void forget(struct datagram *d, struct datagram_peer *peer)
{
	bench_of(d)->forgotten++;
}

static void moved(struct datagram *d, enum datagram_direction direction, uint64_t datagrams,
		  uint64_t bytes)
{
	bench_of(d)->moved[direction] += datagrams;
	bench_of(d)->bytes[direction] += bytes;
}

static void over(struct datagram *d, enum close_reason reason)
{
	bench_of(d)->over = reason;
	datagram_close(d);
}

static const struct datagram_ops ops = {
	.input = input, .allowed = allowed, .forget = forget, .moved = moved, .over = over};

static int bind_loopback(struct endpoint *ret_address)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1 << 20;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, len, ret_address), 0);
	return fd;
}

static int setup(void **state)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	b.allow = true;
	b.metrics = metrics_new();
	assert_non_null(b.metrics);
	assert_int_equal(loop_init(&b.loop, 0), 0);
	datagram_env_init(&b.env, &b.loop, 0, b.metrics);
	for (int i = 0; i < PEERS + 2; i++)
		b.fds[i] = bind_loopback(&b.addresses[i]);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	datagram_close(&b->datagram);
	datagram_close(&b->datagram);
	loop_turn(&b->loop, 0);
	if (b->env.domain) // every buffer is back
		assert_int_equal(packet_domain_idle(b->env.domain), 2 * PACKET_BURST);
	datagram_env_release(&b->env);
	loop_release(&b->loop);
	metrics_free(b->metrics);
	for (int i = 0; i < PEERS + 2; i++)
		close(b->fds[i]);
	return 0;
}

static void open_with(struct bench *b, uint64_t idle_ns, struct account *account)
{
	struct endpoint local = endpoint_v4(INADDR_LOOPBACK, 0);
	struct endpoint client = endpoint_v4(INADDR_LOOPBACK, 0);

	b->datagram = (struct datagram){
		.env = &b->env,
		.ops = &ops,
		.account = {account, NULL},
		.idle_ns = idle_ns,
		.deadline = UINT64_MAX,
	};
	assert_int_equal(datagram_open(&b->datagram, &local, &client, &b->bound), 0);
}

static void send_from(struct bench *b, int who, const struct endpoint *to, const void *data,
		      size_t len, uint16_t segment)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, &sa);
	int size = segment;

	if (segment)
		assert_int_equal(
			setsockopt(b->fds[who], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	assert_int_equal(sendto(b->fds[who], data, len, 0, (struct sockaddr *)&sa, sa_len), len);
	size = 0;
	if (segment)
		setsockopt(b->fds[who], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
}

static void run(struct bench *b)
{
	for (int i = 0; i < 10; i++)
		loop_turn(&b->loop, MS);
}

// What came; -1: nothing. `ret_from` may be NULL.
static ssize_t receive_at(struct bench *b, int who, void *buf, size_t len,
			  struct endpoint *ret_from)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof(sa);
	ssize_t n = recvfrom(b->fds[who], buf, len, MSG_DONTWAIT, (struct sockaddr *)&sa, &sa_len);

	if (n >= 0 && ret_from)
		endpoint_from_sockaddr((struct sockaddr *)&sa, sa_len, ret_from);
	return n;
}

static uint64_t dropped(const struct bench *b, enum metric_datagram_drop why)
{
	return b->metrics->datagrams_dropped[why];
}

static void test_exchange(void **state)
{
	struct bench *b = *state;
	struct endpoint outside, from;
	char buf[100];

	open_with(b, 0, NULL);
	for (int i = 0; i < PEERS; i++) {
		uint8_t data[] = {(uint8_t)i, 'h', 'i'};
		send_from(b, CLIENT, &b->bound, data, sizeof(data), 0);
		run(b);
		assert_int_equal(receive_at(b, i, buf, sizeof(buf), &outside), 2);
		assert_memory_equal(buf, "hi", 2);
		send_from(b, i, &outside, "answer", 6, 0);
		run(b);
		assert_int_equal(receive_at(b, CLIENT, buf, sizeof(buf), &from), 7);
		assert_int_equal(buf[0], i);
		assert_memory_equal(buf + 1, "answer", 6);
		assert_true(endpoint_equal(&from, &b->bound));
	}
	assert_int_equal(b->moved[DATAGRAM_UP], PEERS);
	assert_int_equal(b->bytes[DATAGRAM_UP], 2 * PEERS);
	assert_int_equal(b->moved[DATAGRAM_DOWN], PEERS);
	assert_int_equal(b->bytes[DATAGRAM_DOWN], 6 * PEERS);
	assert_int_equal(b->metrics->datagrams[METRIC_DIRECTION_UP], PEERS);
	assert_int_equal(b->metrics->datagram_bytes[METRIC_DIRECTION_DOWN], 6 * PEERS);
	datagram_close(&b->datagram);
	assert_int_equal(b->forgotten, PEERS);
}

static void test_runs(void **state)
{
	struct bench *b = *state;
	struct endpoint outside = {0};
	uint8_t data[50 * 21 + 5], buf[100];
	unsigned n = 0;

	open_with(b, 0, NULL);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i % 21 ? (uint8_t)(i / 21) : 1;
	send_from(b, CLIENT, &b->bound, data, sizeof(data), 21);
	run(b);
	ssize_t len;
	while ((len = receive_at(b, 1, buf, sizeof(buf), &outside)) >= 0) {
		assert_int_equal(len, n < 50 ? 20 : 4);
		assert_int_equal(buf[0], n);
		n++;
	}
	assert_int_equal(n, 51);
	assert_int_equal(b->bytes[DATAGRAM_UP], 50 * 20 + 4);
	memset(data, 7, sizeof(data));
	send_from(b, 1, &outside, data, 30 * 33 + 1, 33);
	run(b);
	for (n = 0; (len = receive_at(b, CLIENT, buf, sizeof(buf), NULL)) >= 0; n++) {
		assert_int_equal(len, n < 30 ? 34 : 2);
		assert_int_equal(buf[0], 1);
		assert_int_equal(buf[1], 7);
	}
	assert_int_equal(n, 31);
	assert_int_equal(b->moved[DATAGRAM_DOWN], 31);
	assert_int_equal(b->bytes[DATAGRAM_DOWN], 30 * 33 + 1);
}

// Neither another client nor another source gets through, and the front may forbid a peer.
static void test_foreign(void **state)
{
	struct bench *b = *state;
	struct endpoint outside;
	char buf[100];

	open_with(b, 0, NULL);
	send_from(b, CLIENT, &b->bound, "\1x", 2, 0);
	run(b);
	assert_int_equal(receive_at(b, 1, buf, sizeof(buf), &outside), 1);
	send_from(b, CLIENT + 1, &b->bound, "\2y", 2, 0);
	send_from(b, CLIENT + 1, &outside, "z", 1, 0);
	send_from(b, 2, &outside, "z", 1, 0);
	run(b);
	assert_int_equal(receive_at(b, 2, buf, sizeof(buf), NULL), -1);
	assert_int_equal(receive_at(b, CLIENT, buf, sizeof(buf), NULL), -1);
	assert_int_equal(dropped(b, METRIC_DATAGRAM_DROP_FOREIGN), 2);
	b->allow = false;
	send_from(b, 1, &outside, "z", 1, 0);
	run(b);
	assert_int_equal(dropped(b, METRIC_DATAGRAM_DROP_DENIED), 1);
	b->allow = true;
	send_from(b, 1, &outside, "z", 1, 0);
	run(b);
	assert_int_equal(receive_at(b, CLIENT, buf, sizeof(buf), NULL), 2);
}

static void test_idle(void **state)
{
	struct bench *b = *state;
	struct endpoint outside;
	char buf[100];

	open_with(b, 300 * (uint64_t)MS, NULL);
	send_from(b, CLIENT, &b->bound, "\1x", 2, 0);
	run(b);
	assert_int_equal(receive_at(b, 1, buf, sizeof(buf), &outside), 1);
	// Only the other peer is sent to: the first one's answers are foreign after a while.
	uint64_t began = b->loop.now;
	while (b->loop.now < began + 400 * (uint64_t)MS) {
		send_from(b, CLIENT, &b->bound, "\2x", 2, 0);
		loop_turn(&b->loop, 20 * MS);
		receive_at(b, 2, buf, sizeof(buf), NULL);
	}
	send_from(b, 1, &outside, "late", 4, 0);
	run(b);
	assert_int_equal(dropped(b, METRIC_DATAGRAM_DROP_FOREIGN), 1);
	assert_int_equal(b->over, CLOSE_NONE);
	began = b->loop.now;
	while (b->over == CLOSE_NONE && b->loop.now < began + 5000 * (uint64_t)MS)
		loop_turn(&b->loop, 100 * MS);
	assert_int_equal(b->over, CLOSE_IDLE_TIMEOUT);
	assert_true(b->loop.now - began > 200 * (uint64_t)MS);
}

static void test_total_time(void **state)
{
	struct bench *b = *state;

	open_with(b, 0, NULL);
	datagram_close(&b->datagram);
	struct endpoint any = endpoint_v4(INADDR_LOOPBACK, 0);
	b->datagram = (struct datagram){
		.env = &b->env, .ops = &ops, .deadline = b->loop.now + 50 * (uint64_t)MS};
	assert_int_equal(datagram_open(&b->datagram, &any, &any, &b->bound), 0);
	for (int i = 0; i < 100 && b->over == CLOSE_NONE; i++)
		loop_turn(&b->loop, 20 * MS);
	assert_int_equal(b->over, CLOSE_TOTAL_TIMEOUT);
}

// What is above the rate is dropped by whole datagrams; accounts and counts have what went out.
static void test_limits(void **state)
{
	struct bench *b = *state;
	struct accounts_options options = {.worker_count = 1, .limit = 10};
	struct snap_limits limits = {.upload_bps = 1000};
	struct bucket_claim up[2], down[2];
	struct accounts *accounts;
	uint8_t data[60 * 1001], buf[2000];
	uint64_t sum_up, sum_down;

	assert_int_equal(accounts_new(&options, &accounts), 0);
	struct account *account = account_get_user(accounts, 1, b->loop.now);
	open_with(b, 0, account);
	account_claims(account, &limits, NULL, NULL, ACCOUNT_UP, up);
	account_claims(account, &limits, NULL, NULL, ACCOUNT_DOWN, down);
	datagram_limit(&b->datagram, up, down);
	memset(data, 1, sizeof(data));
	// The burst is 64 KiB: 60 datagrams of 1000 bytes and 5 of the next.
	send_from(b, CLIENT, &b->bound, data, sizeof(data), 1001);
	run(b);
	send_from(b, CLIENT, &b->bound, data, sizeof(data), 1001);
	run(b);
	unsigned n = 0;
	while (receive_at(b, 1, buf, sizeof(buf), NULL) == 1000)
		n++;
	assert_in_range(n, 65, 67);
	assert_int_equal(dropped(b, METRIC_DATAGRAM_DROP_RATE), 120 - n);
	assert_int_equal(b->bytes[DATAGRAM_UP], n * 1000);
	account_bytes(account, &sum_up, &sum_down);
	assert_int_equal(sum_up, n * 1000);
	assert_int_equal(sum_down, 0);
	// Without a limit everything goes again.
	limits.upload_bps = 0;
	account_claims(account, &limits, NULL, NULL, ACCOUNT_UP, up);
	datagram_limit(&b->datagram, up, down);
	send_from(b, CLIENT, &b->bound, data, sizeof(data), 1001);
	run(b);
	for (n = 0; receive_at(b, 1, buf, sizeof(buf), NULL) == 1000;)
		n++;
	assert_int_equal(n, 60);
	datagram_close(&b->datagram);
	account_unref(account, b->loop.now);
	accounts_free(accounts);
}

// More than one turn reads at once.
static void test_flood(void **state)
{
	struct bench *b = *state;
	unsigned sent = 0;
	char buf[10];

	open_with(b, 0, NULL);
	send_from(b, CLIENT, &b->bound, "\1x", 2, 0);
	run(b);
	for (int i = 0; i < 400; i++, sent++)
		send_from(b, CLIENT, &b->bound, "\1x", 2, 0);
	loop_turn(&b->loop, MS);
	assert_true(b->moved[DATAGRAM_UP] < sent);
	run(b);
	assert_int_equal(b->moved[DATAGRAM_UP], sent + 1);
	unsigned n = 0;
	while (receive_at(b, 1, buf, sizeof(buf), NULL) >= 0)
		n++;
	assert_int_equal(n, sent + 1);
	// Closed with more to be read: nothing of it is touched any more.
	for (int i = 0; i < 400; i++)
		send_from(b, CLIENT, &b->bound, "\1x", 2, 0);
	loop_turn(&b->loop, MS);
	datagram_close(&b->datagram);
	run(b);
}

static void test_no_memory(void **state)
{
	struct bench *b = *state;
	struct endpoint any = endpoint_v4(INADDR_LOOPBACK, 0);

	for (long n = 1, hit = 1; hit; n++) {
		b->datagram =
			(struct datagram){.env = &b->env, .ops = &ops, .deadline = UINT64_MAX};
		alloc_fail_at(n);
		int r = datagram_open(&b->datagram, &any, &any, &b->bound);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_int_equal(r, hit ? -ENOMEM : 0);
		datagram_close(&b->datagram);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_total_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
