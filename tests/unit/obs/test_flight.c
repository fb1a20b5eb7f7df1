// SPDX-License-Identifier: Apache-2.0
// Tests of the flight recorder: order, bounds, closes, JSON, and reading while the worker writes.
#include "obs/flight.h"

#include "obs/metrics.h"
#include "obs/text.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "alloc_fail.h"

static void events_of_a_session_come_in_order(void **state)
{
	struct flight *f = flight_new(0);
	struct flight_tag tags[3];
	struct flight_event events[64];

	assert_non_null(f);
	for (uint32_t s = 0; s < 3; s++)
		flight_tag_init(&tags[s], f, UINT64_C(0x700000000) + s);
	for (uint32_t i = 0; i < 30; i++)
		flight_event(f, &tags[i % 3], 1000 + i, EVENT_END_READ, (uint16_t)(i % 3), i);
	for (uint32_t s = 0; s < 3; s++) {
		assert_int_equal(flight_read(f, UINT64_C(0x700000000) + s, events, 64), 10);
		for (uint32_t i = 0; i < 10; i++) {
			assert_int_equal(events[i].time, 1000 + 3 * i + s);
			assert_int_equal(events[i].code, EVENT_END_READ);
			assert_int_equal(events[i].a, s);
			assert_int_equal(events[i].b, 3 * i + s);
		}
		// Only so many: the newest.
		assert_int_equal(flight_read(f, s, events, 4), 4);
		assert_int_equal(events[0].b, 3 * 6 + s);
		assert_int_equal(events[3].b, 3 * 9 + s);
	}
	assert_int_equal(flight_read(f, 77, events, 64), 0);
	flight_free(f);
	flight_free(NULL);
}

static void what_was_overwritten_is_gone(void **state)
{
	struct flight *f = flight_new(1024);
	struct flight_tag slow, busy;
	struct flight_event events[64];

	flight_tag_init(&slow, f, 1);
	flight_tag_init(&busy, f, 2);
	for (uint32_t i = 0; i < 20; i++)
		flight_event(f, &slow, i, EVENT_END_READ, 0, i);
	for (uint32_t i = 0; i < 1010; i++)
		flight_event(f, &busy, i, EVENT_END_READ, 1, i);
	// 1030 events in 1024 slots; the one being overwritten next counts as lost, too.
	assert_int_equal(flight_read(f, 1, events, 64), 13);
	assert_int_equal(events[0].b, 7);
	assert_int_equal(events[12].b, 19);
	for (uint32_t i = 0; i < 1024; i++)
		flight_event(f, &busy, i, EVENT_END_READ, 1, i);
	assert_int_equal(flight_read(f, 1, events, 64), 0);
	assert_int_equal(flight_read(f, 2, events, 64), 64);
	assert_int_equal(events[63].b, 1023);
	// It may go on: its chain begins anew.
	flight_event(f, &slow, 5, EVENT_CLOSED, 0, 0);
	assert_int_equal(flight_read(f, 1, events, 64), 1);
	flight_free(f);
}

static void indices_beyond_32_bits(void **state)
{
	struct flight *f = flight_new(1024);
	struct flight_tag tag;
	struct flight_event events[64];
	struct flight_closed closed[1];

	f->head = UINT64_C(0x1fffffff8);
	flight_tag_init(&tag, f, 1);
	for (uint32_t i = 0; i < 20; i++)
		flight_event(f, &tag, i, EVENT_END_READ, 0, i);
	assert_int_equal(flight_read(f, 1, events, 64), 20);
	assert_int_equal(events[0].b, 0);
	flight_close(f, &tag, &(struct flight_summary){.session = 1});
	assert_int_equal(flight_closes_read(f, closed, 1), 1);
	assert_int_equal(closed[0].summary.events, 20);
	assert_int_equal(closed[0].events[19].b, 19);
	flight_free(f);
}

static void abnormal_closes_keep_their_events(void **state)
{
	struct flight *f = flight_new(1024);
	struct flight_closed *closed = calloc(FLIGHT_CLOSES, sizeof *closed);
	struct flight_tag tag;

	assert_int_equal(flight_closes_read(f, closed, FLIGHT_CLOSES), 0);
	// Without any event of its own.
	flight_tag_init(&tag, f, 1000);
	flight_close(f, &tag, &(struct flight_summary){.session = 1000});
	assert_int_equal(flight_closes_read(f, closed, FLIGHT_CLOSES), 1);
	assert_int_equal(closed[0].summary.events, 0);
	for (uint32_t s = 0; s < 100; s++) {
		struct flight_summary summary = {.session = s, .reason = CLOSE_CLIENT_RESET};
		memset(summary.host, 'h', sizeof summary.host); // no NUL
		flight_tag_init(&tag, f, s);
		for (uint32_t i = 0; i < s; i++)
			flight_event(f, &tag, i, EVENT_END_READ, 0, i);
		flight_close(f, &tag, &summary);
	}
	// The ring goes on; the closes keep theirs.
	flight_tag_init(&tag, f, 5000);
	for (uint32_t i = 0; i < 3000; i++)
		flight_event(f, &tag, i, EVENT_END_READ, 0, i);
	assert_int_equal(flight_closes_count(f), 101);
	assert_int_equal(flight_closes_read(f, closed, FLIGHT_CLOSES), FLIGHT_CLOSES);
	for (uint32_t i = 0; i < FLIGHT_CLOSES; i++) {
		uint32_t s = 99 - i;
		assert_int_equal(closed[i].summary.session, s);
		assert_int_equal(closed[i].summary.events,
				 s < FLIGHT_CLOSE_EVENTS ? s : FLIGHT_CLOSE_EVENTS);
		assert_int_equal(closed[i].events[closed[i].summary.events - 1].b, s - 1);
		assert_int_equal(strlen(closed[i].summary.host), 95);
	}
	assert_int_equal(flight_closes_read(f, closed, 3), 3);
	free(closed);
	flight_free(f);
}

static void without_memory_there_is_none(void **state)
{
	for (long n = 1, hit = 1; hit; n++) {
		alloc_fail_at(n);
		struct flight *f = flight_new(2000);
		hit = alloc_fail_hit();
		alloc_fail_at(0);
		assert_true(hit ? f == NULL : f != NULL);
		flight_free(f);
	}
}

static const char *state_name(unsigned s)
{
	return s == 1 ? "detect" : "relay";
}

static void json(void **state)
{
	struct flight_view view = {.wall_offset = INT64_C(1795266597000000000),
				   .state_name = state_name};
	struct flight_closed closed = {
		.summary = {.session = 0xabc,
			    .opened = 1000000000,
			    .closed = 3000000000,
			    .bytes_up = 5,
			    .client = endpoint_v4(0xc0000201, 5000),
			    .port = 443,
			    .protocol = METRIC_PROTOCOL_SOCKS5,
			    .reason = CLOSE_CONNECT_REFUSED,
			    .events = 6,
			    .user = "a\"\n",
			    .host = "ex\xff.com"},
		.events = {{.time = 1000000000, .code = EVENT_ACCEPTED, .a = 1, .b = 5000},
			   {.time = 1000500000, .code = EVENT_STATE, .a = 1, .b = 2},
			   {.time = 1001000000,
			    .code = EVENT_MOVER,
			    .a = 1,
			    .b = METRIC_MOVER_SPLICE},
			   {.time = 1002000000,
			    .code = EVENT_CONNECT_FAILED,
			    .a = 1,
			    .b = ECONNREFUSED},
			   {.time = 1003000000, .code = EVENT_RESOLVED, .b = 1500},
			   {.time = 1004000000, .code = 999, .a = 2, .b = 1500}},
	};
	struct text t;
	json_error_t error;

	text_init(&t, 0);
	flight_closed_json(&t, &view, &closed);
	json_t *o = json_loadb(t.data, t.len, JSON_REJECT_DUPLICATES, &error);
	if (!o)
		fail_msg("%s: %.*s", error.text, (int)t.len, t.data);
	assert_string_equal(json_string_value(json_object_get(o, "user")), "a\"\n");
	assert_string_equal(json_string_value(json_object_get(o, "reason")), "connect_refused");
	assert_string_equal(json_string_value(json_object_get(o, "class")), "upstream");
	assert_string_equal(json_string_value(json_object_get(o, "client")), "192.0.2.1:5000");
	assert_int_equal(json_integer_value(json_object_get(o, "duration_us")), 2000000);
	assert_null(json_object_get(o, "address"));
	json_t *events = json_object_get(o, "events");
	assert_int_equal(json_array_size(events), 6);
	json_decref(o);
	text_truncate(&t, 0);
	flight_events_json(&t, &view, closed.events, 5);
	static const char want[] =
		"[{\"time\":\"2026-11-21T13:09:58.000000Z\",\"at_us\":0,\"event\":\"accepted\","
		"\"listener\":1,\"client_port\":5000},"
		"{\"time\":\"2026-11-21T13:09:58.000500Z\",\"at_us\":500,\"event\":\"state\","
		"\"from\":\"detect\",\"to\":\"relay\"},"
		"{\"time\":\"2026-11-21T13:09:58.001000Z\",\"at_us\":1000,\"event\":\"mover\","
		"\"direction\":\"down\",\"mover\":\"splice\"},"
		"{\"time\":\"2026-11-21T13:09:58.002000Z\",\"at_us\":2000,\"event\":"
		"\"connect_failed\",\"attempts\":1,\"error\":\"ECONNREFUSED\"},"
		"{\"time\":\"2026-11-21T13:09:58.003000Z\",\"at_us\":3000,\"event\":\"resolved\","
		"\"took_us\":1500}]";
	assert_int_equal(t.len, sizeof want - 1);
	assert_memory_equal(t.data, want, t.len);
	text_release(&t);
}

static void every_event_has_a_name_and_valid_json(void **state)
{
	struct flight_view view = {0};
	struct text t;

	text_init(&t, 0);
	for (uint32_t code = 0; code < EVENT_COUNT; code++) {
		const char *name = flight_code_name(code);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (uint32_t v = 0; v < 3; v++) {
			struct flight_event e = {.code = (uint16_t)code,
						 .a = v == 2 ? UINT16_MAX : (uint16_t)v,
						 .b = v == 2 ? UINT32_MAX : v};
			text_truncate(&t, 0);
			flight_events_json(&t, &view, &e, 1);
			json_t *o = json_loadb(t.data, t.len, JSON_REJECT_DUPLICATES, NULL);
			assert_non_null(o);
			json_decref(o);
		}
	}
	assert_string_equal(flight_code_name(EVENT_COUNT), "invalid");
	assert_int_equal(flight_a(70000), 65535);
	assert_int_equal(flight_b(UINT64_MAX), UINT32_MAX);
	text_release(&t);
}

// ---- One thread writes, another reads: whatever is seen must be whole and in order.

enum { RACE_SESSIONS = 8, RACE_EVENTS = 400000 };

struct race {
	struct flight *f;
	bool done;
};

static void *race_write(void *arg)
{
	struct race *race = arg;
	struct flight_tag tags[RACE_SESSIONS];

	for (uint32_t s = 0; s < RACE_SESSIONS; s++)
		flight_tag_init(&tags[s], race->f, s);
	for (uint32_t i = 0; i < RACE_EVENTS; i++) {
		uint32_t s = i % RACE_SESSIONS;
		flight_event(race->f, &tags[s], i, EVENT_END_READ, (uint16_t)i, i);
		if (i % 16 == 0)
			flight_close(
				race->f, &tags[s],
				&(struct flight_summary){.session = s, .opened = i, .closed = i});
		if (i % 4096 == 0)
			sched_yield();
	}
	__atomic_store_n(&race->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void check_whole(const struct flight_event *events, size_t n, uint32_t session)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(events[i].code, EVENT_END_READ);
		assert_int_equal(events[i].time, events[i].b);
		assert_int_equal(events[i].a, events[i].b & 0xffff);
		assert_int_equal(events[i].b % RACE_SESSIONS, session);
		if (i > 0)
			assert_int_equal(events[i].b, events[i - 1].b + RACE_SESSIONS);
	}
}

static void a_reader_sees_whole_events_only(void **state)
{
	struct race race = {.f = flight_new(1024)};
	struct flight_event events[200];
	struct flight_closed *closed = calloc(FLIGHT_CLOSES, sizeof *closed);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, race_write, &race), 0);
	while (!__atomic_load_n(&race.done, __ATOMIC_ACQUIRE)) {
		for (uint32_t s = 0; s < RACE_SESSIONS; s++) {
			size_t n = flight_read(race.f, s, events, 200);
			check_whole(events, n, s);
		}
		size_t n = flight_closes_read(race.f, closed, FLIGHT_CLOSES);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(closed[i].summary.opened, closed[i].summary.closed);
			check_whole(closed[i].events, closed[i].summary.events,
				    (uint32_t)closed[i].summary.session);
		}
	}
	pthread_join(thread, NULL);
	size_t n = flight_read(race.f, 3, events, 200);
	assert_int_equal(n, 128);
	assert_true(flight_closes_read(race.f, closed, FLIGHT_CLOSES) == FLIGHT_CLOSES);
	free(closed);
	flight_free(race.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_of_a_session_come_in_order),
		cmocka_unit_test(what_was_overwritten_is_gone),
		cmocka_unit_test(indices_beyond_32_bits),
		cmocka_unit_test(abnormal_closes_keep_their_events),
		cmocka_unit_test(without_memory_there_is_none),
		cmocka_unit_test(json),
		cmocka_unit_test(every_event_has_a_name_and_valid_json),
		cmocka_unit_test(a_reader_sees_whole_events_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
