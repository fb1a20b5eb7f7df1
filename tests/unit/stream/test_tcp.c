// SPDX-License-Identifier: Apache-2.0
// A TCP stream on loopback: connecting, ready bits, the end, a reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/sys.h"
#include "stream/stream.h"
#include "stream/tcp.h"

enum { MS = 1000000 };

struct pair {
	struct loop loop;
	struct stream *near, *far;
	struct endpoint address;
};

static void turn_until(struct loop *loop, struct stream *stream, uint8_t bits)
{
	for (int i = 0; i < 200 && (stream->ready & bits) != bits; i++)
		loop_turn(loop, 20 * MS);
	assert_int_equal(stream->ready & bits, bits);
}

static void open_pair(struct pair *pair)
{
	struct endpoint any = endpoint_v4(INADDR_LOOPBACK, 0);
	struct sockaddr_storage addr, peer;
	int fd = -EAGAIN;

	assert_int_equal(loop_init(&pair->loop, 0), 0);
	int listener = listener_socket(&any, false, true);
	assert_true(listener >= 0);
	assert_int_equal(sys_getsockname(listener, &addr), 0);
	assert_int_equal(
		endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), &pair->address), 0);
	assert_int_equal(tcp_stream_connect(&pair->loop, &pair->address, NULL, &pair->near), 0);
	turn_until(&pair->loop, pair->near, STREAM_OUT);
	assert_int_equal(tcp_stream_connected(pair->near), 0);
	for (int i = 0; i < 200 && fd == -EAGAIN; i++)
		fd = sys_accept(listener, &peer);
	assert_true(fd >= 0);
	assert_int_equal(tcp_stream_new(&pair->loop, fd, STREAM_OUT, &pair->far), 0);
	sys_close(listener);
}

static void close_pair(struct pair *pair)
{
	stream_close(&pair->loop, pair->near, STREAM_FIN);
	if (pair->far)
		stream_close(&pair->loop, pair->far, STREAM_FIN);
	loop_turn(&pair->loop, 0);
	loop_release(&pair->loop);
}

static void test_bytes_and_end(void **state)
{
	static struct pair pair;
	char text[16];
	struct endpoint peer;

	open_pair(&pair);
	assert_int_equal(pair.near->ops->peer(pair.near, &peer), 0);
	assert_true(endpoint_equal(&peer, &pair.address));
	assert_int_equal(stream_write(pair.far, "hello", 5), 5);
	turn_until(&pair.loop, pair.near, STREAM_IN);
	assert_int_equal(stream_read(pair.near, text, sizeof(text)), 5);
	assert_false(pair.near->ready & STREAM_IN); // a short read has drained it
	assert_int_equal(stream_read(pair.near, text, sizeof(text)), -EAGAIN);
	assert_int_equal(stream_write(pair.far, "bye", 3), 3);
	assert_int_equal(stream_finish(pair.far), 0);
	turn_until(&pair.loop, pair.near, STREAM_IN | STREAM_END);
	assert_int_equal(stream_read(pair.near, text, sizeof(text)), 3);
	assert_true(pair.near->ready & STREAM_LAST); // the end was known to be there already
	assert_int_equal(stream_read(pair.near, text, sizeof(text)), 0);
	assert_int_equal(stream_write(pair.near, "still", 5), 5); // half-closed only
	turn_until(&pair.loop, pair.far, STREAM_IN);
	assert_int_equal(stream_read(pair.far, text, sizeof(text)), 5);
	close_pair(&pair);
}

static void test_reset(void **state)
{
	static struct pair pair;
	char text[16];

	open_pair(&pair);
	stream_close(&pair.loop, pair.far, STREAM_RST);
	pair.far = NULL;
	turn_until(&pair.loop, pair.near, STREAM_IN | STREAM_ERROR);
	assert_int_equal(stream_read(pair.near, text, sizeof(text)), -ECONNRESET);
	close_pair(&pair);
}

static void test_refused(void **state)
{
	struct endpoint any = endpoint_v4(INADDR_LOOPBACK, 0), address;
	struct sockaddr_storage addr;
	struct stream *stream;
	static struct loop loop;

	assert_int_equal(loop_init(&loop, 0), 0);
	int fd = listener_socket(&any, false, true);
	assert_int_equal(sys_getsockname(fd, &addr), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), &address),
			 0);
	sys_close(fd);
	int r = tcp_stream_connect(&loop, &address, NULL, &stream);
	if (r == 0) {
		turn_until(&loop, stream, STREAM_OUT);
		r = tcp_stream_connected(stream);
		stream_close(&loop, stream, STREAM_FIN);
	}
	assert_int_equal(r, -ECONNREFUSED);
	loop_turn(&loop, 0);
	loop_release(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_and_end),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
