// SPDX-License-Identifier: Apache-2.0
// HTTP clients: requests of all kinds, one after the other or all at once; each response must be the
// one to its request, and whole where it looks whole.
#include "http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <urcu/compiler.h>

#include "io/sim_internal.h"

#define MS UINT64_C(1000000)

static const struct {
	const char *name;
	bool fails;
} hosts[] = {
	{"h1.sim", false},    {"h2.sim", false},   {"10.2.0.1", false}, {"viaweb.sim", false},
	{"vias.sim", false},  {"h1.sim", false},   {"nx.sim", true},    {"refuse.sim", true},
	{"denied.sim", true}, {"inner.sim", true}, {"dark.sim", true},
};
enum { HOSTS = sizeof(hosts) / sizeof(hosts[0]), HOSTS_OK = 6 };

void http_reader_begin(struct http_reader *reader, bool request, enum http_method method)
{
	static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;

	http_head_init(&reader->head, reader->fields, HTTP_FIELD_MAX);
	if (request)
		http1_parser_init_request(&reader->parser, &reader->head, &limits);
	else
		http1_parser_init_response(&reader->parser, &reader->head, &limits, method);
	reader->in_body = false;
	reader->bytes = 0;
}

static uint8_t draw_method(struct rng *rng)
{
	static const uint8_t methods[] = {HTTP_METHOD_GET,    HTTP_METHOD_GET,  HTTP_METHOD_HEAD,
					  HTTP_METHOD_POST,   HTTP_METHOD_POST, HTTP_METHOD_PUT,
					  HTTP_METHOD_DELETE, HTTP_METHOD_PATCH};

	return methods[rng_below(rng, sizeof(methods))];
}

void http_client_compose(struct client *client)
{
	struct http_talk *talk = sim_alloc(sizeof(*talk));
	struct rng *rng = sim_rng();

	memset(talk, 0, sizeof(*talk));
	client->http = talk;
	talk->count = 1 + (unsigned)rng_below(rng, HTTP_REQUESTS);
	talk->pipelined = rng_below(rng, 3) == 0;
	talk->version = rng_below(rng, 8) ? 11 : 10;
	talk->reverse = client->kind == CLIENT_HTTP_REVERSE;
	unsigned host = (unsigned)rng_below(rng, HOSTS_OK);
	for (unsigned i = 0; i < talk->count; i++) {
		struct exchange *ex = &talk->exchanges[i];
		if (rng_below(rng, 4) == 0)
			host = (unsigned)rng_below(rng, rng_below(rng, 4) ? HOSTS_OK : HOSTS);
		ex->host = talk->reverse ? "web.sim" : hosts[host].name;
		ex->fails = !talk->reverse && hosts[host].fails;
		ex->method = draw_method(rng);
		ex->last = i + 1 == talk->count && rng_below(rng, 2);
		if (ex->method == HTTP_METHOD_POST || ex->method == HTTP_METHOD_PUT ||
		    ex->method == HTTP_METHOD_PATCH) {
			ex->length = rng_below(rng, 4)
					     ? sim_spread(rng, 1, world.options.size_max / 4 + 2)
					     : 0;
			ex->chunked = talk->version == 11 && rng_below(rng, 2);
			ex->expects = talk->version == 11 && !talk->pipelined && ex->length &&
				      rng_below(rng, 4) == 0;
		}
		if (talk->version == 10 && rng_below(rng, 2))
			ex->last = true;
		if (ex->last)
			talk->count = i + 1;
	}
	// The last one may become something else.
	struct exchange *last = &talk->exchanges[talk->count - 1];
	if (talk->version == 11 && !talk->pipelined && rng_below(rng, 5) == 0) {
		last->upgrade = true;
		last->method = HTTP_METHOD_GET;
		last->length = 0;
		last->chunked = last->expects = last->last = false;
	}
	client->end.paced_reading = true;
	if (client->end.out_piece && client->end.out_piece < world.options.size_max / 300)
		client->end.out_piece = (uint32_t)(world.options.size_max / 300);
	http_reader_begin(&talk->reader, false, (enum http_method)talk->exchanges[0].method);
}

static size_t write_head(const struct client *client, unsigned n, char out[2048])
{
	const struct http_talk *talk = client->http;
	const struct exchange *ex = &talk->exchanges[n];
	struct slice method = http_method_name((enum http_method)ex->method);
	size_t len = (size_t)snprintf(out, 2048, "%.*s %s%s/c%u/n%u?q=1 HTTP/1.%u\r\nHost: %s\r\n",
				      (int)method.len, method.data, talk->reverse ? "" : "http://",
				      talk->reverse ? "" : ex->host, client->end.number, n,
				      talk->version - 10U, ex->host);

	len += (size_t)snprintf(out + len, 2048 - len, "X-Id: %u-%u\r\nX-Hop: secret\r\n",
				client->end.number, n);
	len += (size_t)snprintf(out + len, 2048 - len, "Connection: x-hop%s%s%s\r\n",
				ex->last ? ", close" : "", ex->upgrade ? ", upgrade" : "",
				talk->version == 10 && !ex->last ? ", keep-alive" : "");
	if (ex->upgrade)
		len += (size_t)snprintf(out + len, 2048 - len, "Upgrade: sim\r\n");
	if (talk->basic)
		len += (size_t)snprintf(out + len, 2048 - len, "Proxy-Authorization: Basic %s\r\n",
					talk->basic);
	if (ex->expects)
		len += (size_t)snprintf(out + len, 2048 - len, "Expect: 100-continue\r\n");
	if (ex->chunked)
		len += (size_t)snprintf(out + len, 2048 - len, "Transfer-Encoding: chunked\r\n");
	else if (ex->length || ex->method == HTTP_METHOD_POST)
		len += (size_t)snprintf(out + len, 2048 - len, "Content-Length: %" PRIu64 "\r\n",
					ex->length);
	len += (size_t)snprintf(out + len, 2048 - len, "\r\n");
	return len;
}

// The content as it goes over the wire.
static size_t write_content(const struct client *client, unsigned n, uint8_t **ret)
{
	const struct exchange *ex = &client->http->exchanges[n];
	uint8_t *out = sim_alloc(ex->length + ex->length / 8 * 20 + 4096);
	struct rng *rng = sim_rng();
	uint64_t at = 0;
	size_t len = 0;

	while (ex->chunked && at < ex->length) {
		uint64_t part = sim_spread(rng, 8, 20000);
		if (part > ex->length - at)
			part = ex->length - at;
		len += (size_t)sprintf(
			(char *)out + len,
			rng_below(rng, 4) ? "%" PRIx64 "\r\n" : "%" PRIX64 ";a=b\r\n", part);
		end_pattern(client->end.number, http_place(n) + at, out + len, part);
		len += part;
		len += (size_t)sprintf((char *)out + len, "\r\n");
		at += part;
	}
	if (ex->chunked) {
		len += (size_t)sprintf((char *)out + len,
				       rng_below(rng, 3) ? "0\r\n\r\n" : "0\r\nX-Trail: t\r\n\r\n");
	} else {
		end_pattern(client->end.number, http_place(n), out, ex->length);
		len = ex->length;
	}
	*ret = out;
	return len;
}

static void say_content(struct client *client)
{
	struct http_talk *talk = client->http;

	if (talk->content)
		end_say(&client->end, talk->content, talk->content_len);
	talk->content = NULL;
	sim_event_cancel(&talk->impatience);
}

static void impatient(struct sim_event *event)
{
	struct http_talk *talk = caa_container_of(event, struct http_talk, impatience);

	for (uint32_t i = 1; i <= end_count; i++) {
		struct client *client = caa_container_of(ends[i], struct client, end);
		if (ends[i]->ops == &http_client_ops && client->http == talk) {
			say_content(client);
			end_pump(ends[i]);
		}
	}
}

static void say(struct client *client)
{
	struct http_talk *talk = client->http;
	char head[2048];
	uint8_t *content;

	while (talk->said < talk->count && (talk->pipelined || talk->said == talk->answered)) {
		unsigned n = talk->said++;
		const struct exchange *ex = &talk->exchanges[n];
		size_t head_len = write_head(client, n, head);
		size_t len = write_content(client, n, &content);
		end_say(&client->end, head, head_len);
		if (ex->expects) {
			talk->content = content;
			talk->content_len = len;
			talk->impatience.run = impatient;
			sim_event_set(&talk->impatience, sim.now + 500 * MS);
		} else {
			end_say(&client->end, content, len);
		}
	}
}

void http_client_connected(struct client *client)
{
	say(client);
}

// The exchange is complete: on with the next one, or the end.
static void complete(struct client *client)
{
	struct http_talk *talk = client->http;
	struct exchange *ex = &talk->exchanges[talk->answered];
	bool closes = !talk->reader.parser.framing.keep_alive;

	ex->complete = true;
	ex->answer_bytes = talk->reader.bytes;
	talk->answered++;
	talk->reader.in_body = false;
	// Who is answered before all was said has said enough.
	sim_event_cancel(&talk->impatience);
	if (talk->content) {
		talk->content = NULL;
		end_leave(&client->end);
		talk->over = true;
		return;
	}
	if (talk->answered == talk->count || closes) {
		talk->over = true;
		talk->closed = closes;
		if (rng_below(sim_rng(), 3))
			end_leave(&client->end);
		else if (!closes)
			client->end.plan.life = sim.now - client->end.born + 15000 * MS;
		return;
	}
	http_reader_begin(&talk->reader, false,
			  (enum http_method)talk->exchanges[talk->answered].method);
	say(client);
}

// False: it is another one, which a server has slipped in.
static bool check_id(const struct client *client, unsigned n, struct slice id)
{
	char expected[32];
	int len = snprintf(expected, sizeof(expected), "%u-%u", client->end.number, n);

	if (slice_equal(id, slice_make(expected, (size_t)len)))
		return true;
	if (!world.poisoned)
		sim_fail("client %u: the answer to request %u is that to %.*s", client->end.number,
			 n, (int)id.len, id.data);
	return false;
}

// True: it was the final one.
static bool head_came(struct client *client, size_t head_len)
{
	struct http_talk *talk = client->http;
	struct http_reader *reader = &talk->reader;
	unsigned n = talk->answered;
	struct exchange *ex = &talk->exchanges[n];
	static const struct http1_body_limits limits = HTTP1_BODY_LIMITS_DEFAULT;
	const struct http_field *id = http_head_find_name(&reader->head, SLICE("x-id"));

	reader->bytes += head_len;
	if (reader->head.status < 200 && reader->head.status != 101) {
		if (reader->head.status == 100)
			say_content(client);
		uint64_t bytes = reader->bytes;
		http_reader_begin(reader, false, (enum http_method)ex->method);
		reader->bytes = bytes;
		return false;
	}
	ex->answered = true;
	ex->code = reader->head.status;
	ex->by_proxy = !id;
	if (id && !check_id(client, n, id->value)) {
		ex->answered = false;
		talk->over = true;
		end_close(&client->end, true);
		return true;
	}
	if (id && ex->code != ex->status)
		sim_fail("client %u: status %u of request %u, and the server said %u",
			 client->end.number, ex->code, n, ex->status);
	if (http_head_find_name(&reader->head, SLICE("x-secret")))
		sim_fail("client %u: a hop-by-hop field of the server's came through",
			 client->end.number);
	if (ex->code == 101) {
		if (!ex->upgrade)
			sim_fail("client %u: 101 out of the blue", client->end.number);
		talk->over = ex->complete = true;
		talk->answered++;
		client->connected = true;
		end_stream(&client->end);
		return true;
	}
	reader->in_body = true;
	http1_body_init(&reader->body, &reader->parser.framing, &limits, NULL);
	return true;
}

static void check_content(const struct client *client, const uint8_t *data, size_t len)
{
	static uint8_t expected[END_IN];
	const struct http_talk *talk = client->http;
	uint64_t at = talk->reader.body.received - len;

	end_pattern(client->end.number + HTTP_ANSWERS, http_place(talk->answered) + at, expected,
		    len);
	if (memcmp(expected, data, len) != 0)
		sim_fail("client %u: the content of answer %u is not what was said, in the %zu "
			 "bytes from %" PRIu64,
			 client->end.number, talk->answered, len, at);
}

static void check_length(const struct client *client)
{
	const struct http_talk *talk = client->http;
	const struct exchange *ex = &talk->exchanges[talk->answered];
	bool none = ex->method == HTTP_METHOD_HEAD || ex->code == 204 || ex->code == 304;

	if (ex->by_proxy || none)
		return;
	// The end of the connection is all that says so: then a cut answer looks whole.
	if (ex->cut && ex->until_close && !ex->server->did_reset)
		return;
	if (talk->reader.body.received != ex->answer_length)
		sim_fail("client %u: answer %u looks whole with %" PRIu64 " of %" PRIu64 " bytes",
			 client->end.number, talk->answered, talk->reader.body.received,
			 ex->answer_length);
}

static void input(struct end *end)
{
	struct client *client = caa_container_of(end, struct client, end);
	struct http_talk *talk = client->http;
	struct http_reader *reader = &talk->reader;

	while (end->in_len && end->fd >= 0 && !end->deaf && !end->streaming) {
		if (talk->answered >= talk->said)
			sim_fail("client %u: an answer to nothing: %.*s", end->number,
				 (int)(end->in_len < 60 ? end->in_len : 60), (char *)end->in);
		if (!reader->in_body) {
			ssize_t n = http1_parser_feed(&reader->parser, end->in, end->in_len);
			if (n == -EAGAIN)
				return;
			if (n < 0)
				sim_fail("client %u: an answer that is none: %s", end->number,
					 http1_error_name(reader->parser.error));
			head_came(client, (size_t)n);
			end_take(end, (size_t)n);
			if (end->fd < 0)
				return;
			// One without content is complete here.
			if (!reader->in_body)
				continue;
		}
		struct http1_body_part part = {0};
		if (http1_body_feed(&reader->body, end->in, end->in_len, &part) < 0)
			sim_fail("client %u: content that is none: %s", end->number,
				 http1_error_name(reader->body.error));
		if (part.data.len && !talk->exchanges[talk->answered].by_proxy)
			check_content(client, (const uint8_t *)part.data.data, part.data.len);
		reader->bytes += part.consumed;
		end_take(end, part.consumed);
		if (part.done) {
			check_length(client);
			complete(client);
		} else if (!part.consumed) {
			return;
		}
	}
}

static void ended(struct end *end)
{
	struct client *client = caa_container_of(end, struct client, end);
	struct http_talk *talk = client->http;

	if (!end->error && talk->reader.in_body && talk->answered < talk->count &&
	    !talk->exchanges[talk->answered].complete && http1_body_eof(&talk->reader.body) == 0) {
		check_length(client);
		talk->exchanges[talk->answered].complete = true;
		talk->exchanges[talk->answered].answer_bytes = talk->reader.bytes;
		talk->answered++;
		talk->closed = true;
	}
	talk->over = true;
	sim_event_cancel(&talk->impatience);
	end_close(end, false);
}

static void connected(struct end *end)
{
	http_client_connected(caa_container_of(end, struct client, end));
}

const struct end_ops http_client_ops = {.input = input, .connected = connected, .ended = ended};

/*
 * Checks.
 */

bool http_client_owed(const struct client *client)
{
	const struct http_talk *talk = client->http;

	if (end_over(&client->end) || client->end.stalled || talk->over ||
	    talk->answered >= talk->said)
		return false;
	const struct exchange *ex = &talk->exchanges[talk->answered];
	return ex->server && ex->server->out_said >= ex->answer_end && !ex->cut && ex->has_request;
}

static const struct record *record_of(const struct client *client, unsigned n)
{
	const struct record *record = client->records;

	while (record && record->request != n + 1)
		record = record->next;
	return record;
}

static void check_record(const struct client *client, unsigned n)
{
	const struct exchange *ex = &client->http->exchanges[n];
	const struct record *record = record_of(client, n);

	if (ex->upgrade && ex->code == 101)
		return; // has the record of a tunnel
	if (!record)
		sim_fail("client %u: request %u is answered and has no record", client->end.number,
			 n);
	if (record->status != ex->code)
		sim_fail("client %u: the record of request %u has status %u, the client got %u",
			 client->end.number, n, record->status, ex->code);
	if (ex->by_proxy)
		return;
	if (record->bytes_down != ex->answer_bytes)
		sim_fail("client %u: the record of request %u has %" PRIu64
			 " bytes down, the client got %" PRIu64,
			 client->end.number, n, record->bytes_down, ex->answer_bytes);
	// Sent once more where a kept connection had died: written twice.
	bool twice = record->bytes_up == 2 * ex->request_bytes && !ex->length && n > 0;
	if (ex->has_request && ex->seen == 1 && !ex->early && !twice &&
	    record->bytes_up != ex->request_bytes)
		sim_fail("client %u: the record of request %u has %" PRIu64
			 " bytes up, the server got %" PRIu64,
			 client->end.number, n, record->bytes_up, ex->request_bytes);
}

void http_client_check(const struct client *client)
{
	const struct http_talk *talk = client->http;
	bool excused = world_excuses() || world.options.rude || client->expect != EXPECT_OK;

	for (unsigned i = 0; i < talk->count; i++) {
		const struct exchange *ex = &talk->exchanges[i];
		bool idempotent =
			http_method_flags((enum http_method)ex->method) & HTTP_METHOD_IDEMPOTENT;
		if (ex->complete)
			check_record(client, i);
		if (ex->seen > 1 && (!idempotent || ex->length))
			sim_fail("client %u: request %u came to servers %u times",
				 client->end.number, i, ex->seen);
		if (ex->fails && ex->answered && !ex->by_proxy)
			sim_fail("client %u: an answer from %s, where nobody gets",
				 client->end.number, ex->host);
		if (i >= talk->said || excused)
			continue;
		if (i == talk->answered && !ex->complete && !talk->closed)
			sim_fail("client %u: no reason not to get answer %u (%u%s)",
				 client->end.number, i, ex->code,
				 ex->by_proxy ? " of the proxy" : "");
		if (ex->complete && !ex->fails && ex->by_proxy)
			sim_fail("client %u: no reason to be refused request %u: %u",
				 client->end.number, i, ex->code);
	}
}
