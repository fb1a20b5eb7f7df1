// SPDX-License-Identifier: Apache-2.0
// HTTP servers: check each request as it comes out of the proxy, and answer in all ways there are.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <urcu/compiler.h>

#include "http.h"
#include "io/sim_internal.h"
#include "server.h"

#define MS UINT64_C(1000000)

static struct client *client_of(struct slice id, unsigned *ret_n)
{
	char text[32];
	unsigned number;

	snprintf(text, sizeof(text), "%.*s", (int)id.len, id.data);
	if (sscanf(text, "%u-%u", &number, ret_n) != 2 || number == 0 || number > end_count ||
	    ends[number]->ops != &http_client_ops)
		sim_fail("a server gets a request of nobody: %s", text);
	return caa_container_of(ends[number], struct client, end);
}

static void check_head(const struct server *server, const struct client *client, unsigned n)
{
	const struct http_head *head = &server->reader.head;
	const struct exchange *ex = &client->http->exchanges[n];
	static const char *const forbidden[] = {"x-hop", "proxy-authorization", "proxy-connection",
						"keep-alive"};
	char path[64];

	int len = snprintf(path, sizeof(path), "/c%u/n%u?q=1", client->end.number, n);
	if (n >= client->http->said || head->method != ex->method ||
	    !slice_equal(head->path, slice_make(path, (size_t)len)))
		sim_fail("client %u: request %u comes out as another: %.*s", client->end.number, n,
			 (int)head->path.len, head->path.data);
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		bool own = server->parent && i == 1;
		if (http_head_find_name(head, slice_from_string(forbidden[i])) && !own)
			sim_fail("client %u: request %u comes out with %s", client->end.number, n,
				 forbidden[i]);
	}
	if (!http_head_find(head, HTTP_FIELD_VIA))
		sim_fail("client %u: request %u comes out without Via", client->end.number, n);
	if (!slice_equal(head->authority, slice_from_string(ex->host)) &&
	    !slice_equal(head->authority, SLICE("web.sim")))
		sim_fail("client %u: request %u comes out for %.*s", client->end.number, n,
			 (int)head->authority.len, head->authority.data);
}

/*
 * Answers.
 */

static size_t write_answer_head(char out[1024], const struct client *client, unsigned n,
				const char *framing, bool closes)
{
	const struct exchange *ex = &client->http->exchanges[n];

	return (size_t)snprintf(out, 1024,
				"HTTP/1.1 %u Some\r\nX-Id: %u-%u\r\nX-Secret: s\r\nConnection: "
				"x-secret%s\r\n%s\r\n",
				ex->status, client->end.number, n, closes ? ", close" : "",
				framing);
}

static void say_content(struct end *end, const struct client *client, unsigned n, bool chunked)
{
	const struct exchange *ex = &client->http->exchanges[n];
	uint8_t *out = sim_alloc(ex->answer_length + ex->answer_length / 8 * 20 + 4096);
	struct rng *rng = sim_rng();
	uint64_t at = 0;
	size_t len = 0;

	while (at < ex->answer_length) {
		uint64_t part = chunked ? sim_spread(rng, 8, 40000) : ex->answer_length;
		if (part > ex->answer_length - at)
			part = ex->answer_length - at;
		if (chunked)
			len += (size_t)sprintf((char *)out + len, "%" PRIx64 "\r\n", part);
		end_pattern(client->end.number + HTTP_ANSWERS, http_place(n) + at, out + len, part);
		len += part;
		if (chunked)
			len += (size_t)sprintf((char *)out + len, "\r\n");
		at += part;
	}
	if (chunked)
		len += (size_t)sprintf((char *)out + len,
				       rng_below(rng, 3) ? "0\r\n\r\n" : "0\r\nX-Trail: t\r\n\r\n");
	if (len)
		end_say(end, out, len);
}

// Stops in the midst of what is said, or says what should not be said.
static void misbehave(struct server *server, struct exchange *ex, uint64_t from)
{
	struct end *end = &server->end;
	struct rng *rng = sim_rng();
	uint64_t all = end->out_said + end->out_len - end->out_off;

	switch (rng_below(rng, 8)) {
	case 0:
	case 1:
		end->out_stop = from + rng_below(rng, all - from + 1);
		end->out_reset = rng_below(rng, 2);
		end->out_after = rng_below(rng, 2) ? AFTER_CLOSE : AFTER_FIN;
		ex->cut = true;
		break;
	case 2: // more than the answer
		if (ex->until_close)
			break;
		world.poisoned = true;
		end_say(end, "HTTP/1.1 200 Yes\r\nX-Id: 0-0\r\nContent-Length: 3\r\n\r\nbad", 53);
		break;
	case 3: // closes a connection that should live on
		end->out_stop = all;
		end->out_after = rng_below(rng, 2) ? AFTER_CLOSE : AFTER_FIN;
		break;
	default:
		break;
	}
}

static void answer(struct server *server)
{
	struct end *end = &server->end;
	struct client *client = server->client;
	unsigned n = server->n;
	struct exchange *ex = &client->http->exchanges[n];
	struct rng *rng = sim_rng();
	char head[1024], framing[64] = "";
	uint64_t from = end->out_said + end->out_len - end->out_off;
	bool closes = rng_below(rng, 6) == 0, chunked = false;

	if (server->answered)
		return;
	server->answered = true;
	ex->early = !server->has_request;
	ex->server = end;
	if (rng_below(rng, 8) == 0)
		end_say(end, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 40);
	if (ex->upgrade && rng_below(rng, 4)) {
		ex->status = 101;
		size_t len = (size_t)snprintf(head, sizeof(head),
					      "HTTP/1.1 101 On\r\nX-Id: %u-%u\r\nConnection: "
					      "upgrade\r\nUpgrade: sim\r\n\r\n",
					      client->end.number, n);
		end_say(end, head, len);
		ex->answer_end = end->out_said + end->out_len - end->out_off;
		end_stream(end);
		return;
	}
	static const unsigned statuses[] = {200, 200, 200, 200, 404, 500, 204, 304};
	ex->status = statuses[rng_below(rng, 8)];
	bool none = ex->method == HTTP_METHOD_HEAD || ex->status == 204 || ex->status == 304;
	ex->answer_length =
		rng_below(rng, 5) ? sim_spread(rng, 1, world.options.size_max / 2 + 2) : 0;
	ex->until_close = false;
	unsigned how = (unsigned)rng_below(rng, 5);
	if (ex->status == 204) {
		ex->answer_length = 0;
	} else if (how < 2) {
		snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n",
			 ex->answer_length);
	} else if (how < 4) {
		snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
		chunked = true;
	} else {
		ex->until_close = !none;
		closes |= !none;
	}
	size_t len = write_answer_head(head, client, n, framing, closes);
	end_say(end, head, len);
	if (!none)
		say_content(end, client, n, chunked);
	ex->answer_end = end->out_said + end->out_len - end->out_off;
	// Who has answered early may go on reading, and serve the next one.
	if (closes || (ex->early && rng_below(rng, 2)))
		end->out_last = true;
	if (world.options.rude)
		misbehave(server, ex, from);
}

static void later(struct sim_event *event)
{
	struct server *server = caa_container_of(event, struct server, delay);

	if (end_over(&server->end) || !server->client)
		return;
	answer(server);
	end_pump(&server->end);
}

/*
 * Requests.
 */

static void request_came(struct server *server)
{
	struct rng *rng = sim_rng();

	server->has_request = true;
	server->client->http->exchanges[server->n].has_request = true;
	server->client->http->exchanges[server->n].request_bytes = server->reader.bytes;
	if (server->answered)
		return;
	if (rng_below(rng, 3) == 0) {
		server->delay.run = later;
		sim_event_set(&server->delay, sim.now + sim_spread(rng, 1000, 300 * MS));
	} else {
		answer(server);
	}
}

static void head_came(struct server *server, size_t len)
{
	struct http_reader *reader = &server->reader;
	static const struct http1_body_limits limits = HTTP1_BODY_LIMITS_DEFAULT;
	const struct http_field *id = http_head_find_name(&reader->head, SLICE("x-id"));
	struct rng *rng = sim_rng();

	if (!id)
		sim_fail("a server gets a request of nobody");
	server->client = client_of(id->value, &server->n);
	server->answered = server->has_request = false;
	check_head(server, server->client, server->n);
	struct exchange *ex = &server->client->http->exchanges[server->n];
	ex->seen++;
	reader->bytes += len;
	reader->in_body = true;
	if (reader->parser.framing.expect_continue && rng_below(rng, 2))
		end_say(&server->end, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	http1_body_init(&reader->body, &reader->parser.framing, &limits, NULL);
	// Answers before it has heard all, and ends.
	if (world.options.rude && ex->length && rng_below(rng, 10) == 0)
		answer(server);
}

static void check_content(const struct server *server, const uint8_t *data, size_t len)
{
	static uint8_t expected[END_IN];
	const struct client *client = server->client;
	uint64_t at = server->reader.body.received - len;

	end_pattern(client->end.number, http_place(server->n) + at, expected, len);
	if (memcmp(expected, data, len) != 0)
		sim_fail("client %u: the content of request %u is not what was said",
			 client->end.number, server->n);
}

static void input(struct end *end)
{
	struct server *server = caa_container_of(end, struct server, end);
	struct http_reader *reader = &server->reader;

	if (!server->begun) {
		server->begun = true;
		end->paced_reading = true;
		http_reader_begin(reader, true, HTTP_METHOD_OTHER);
	}
	while (end->fd >= 0 && !end->deaf && !end->streaming) {
		// A proxy does not pipeline.
		if (!world.options.rude && server->has_request && end->in_len && server->answered &&
		    end->out_off < end->out_len)
			sim_fail("a server gets a request before it has answered the last one");
		if (!reader->in_body) {
			ssize_t n = end->in_len ? http1_parser_feed(&reader->parser, end->in,
								    end->in_len)
						: -EAGAIN;
			if (n == -EAGAIN)
				return;
			if (n < 0)
				sim_fail("a server gets what is no request: %s",
					 http1_error_name(reader->parser.error));
			head_came(server, (size_t)n);
			end_take(end, (size_t)n);
		}
		struct http1_body_part part = {0};
		if (http1_body_feed(&reader->body, end->in, end->in_len, &part) < 0)
			sim_fail("a server gets content that is none: %s",
				 http1_error_name(reader->body.error));
		if (part.data.len)
			check_content(server, (const uint8_t *)part.data.data, part.data.len);
		reader->bytes += part.consumed;
		end_take(end, part.consumed);
		if (part.done) {
			if (reader->body.received !=
			    server->client->http->exchanges[server->n].length)
				sim_fail("client %u: request %u looks whole with %" PRIu64 " bytes",
					 server->client->end.number, server->n,
					 reader->body.received);
			request_came(server);
			http_reader_begin(reader, true, HTTP_METHOD_OTHER);
		} else if (!part.consumed) {
			return;
		}
	}
}

static void ended(struct end *end)
{
	struct server *server = caa_container_of(end, struct server, end);

	sim_event_cancel(&server->delay);
	end_close(end, false);
}

const struct end_ops http_server_ops = {.input = input, .ended = ended};
