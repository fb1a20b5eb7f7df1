// SPDX-License-Identifier: Apache-2.0
// What a dial says over a new connection before its owner does: the handshake with a parent proxy
// (HTTP CONNECT, RFC 9110, 9.3.6; SOCKS5, RFC 1928), then the PROXY header.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http_head.h"
#include "obs/metrics.h"
#include "proto/http1/parser.h"
#include "proto/proxyproto/proxyproto.h"
#include "proto/socks/socks5_client.h"
#include "upstream/dial_internal.h"

enum {
	REPLY_MAX = 8192, // of a parent's reply; also what it may send early
	REPLY_FIELDS = 64,
	CREDENTIALS_MAX = 255, // of name and password each, as in RFC 1929
	// Two authorities, the base64 of both credentials, and the text around them.
	REQUEST_MAX = 2 * HOST_STRLEN + (2 * CREDENTIALS_MAX + 1 + 2) / 3 * 4 + 128,
};

struct dial_tunnel {
	bool parent; // else only a PROXY header
	enum snap_parent_type type;
	struct host host;
	char username[CREDENTIALS_MAX + 1], password[CREDENTIALS_MAX + 1];

	struct host destination;
	uint16_t taken; // destinations tried
	bool fixed;     // the destination is an address that was diverted here: no other one

	bool standing; // the parent's part is done
	struct socks5_client socks;
	char out[REQUEST_MAX];
	size_t out_len, out_sent;
	uint8_t in[REPLY_MAX];
	size_t in_len, in_used;
};

static int tunnel_new(struct dial *dial)
{
	if (!dial->tunnel)
		dial->tunnel = calloc(1, sizeof(*dial->tunnel));
	return dial->tunnel ? 0 : -ENOMEM;
}

void tunnel_free(struct dial_tunnel *tunnel)
{
	if (!tunnel)
		return;
	explicit_bzero(tunnel, offsetof(struct dial_tunnel, in));
	free(tunnel);
}

int tunnel_set_parent(struct dial *dial, const struct snap_parent *parent)
{
	int r = tunnel_new(dial);

	if (r < 0)
		return r;
	struct dial_tunnel *tunnel = dial->tunnel;
	tunnel->parent = true;
	tunnel->type = parent->type;
	tunnel->host = parent->target.host;
	snprintf(tunnel->username, sizeof(tunnel->username), "%s",
		 parent->username ? parent->username : "");
	snprintf(tunnel->password, sizeof(tunnel->password), "%s",
		 parent->password ? parent->password : "");
	dial->parent_id = parent->id;
	dial->plain = dial->parent_plain && parent->type == SNAP_PARENT_HTTP &&
		      dial->send_proxy == SNAP_SEND_PROXY_OFF;
	return 0;
}

int tunnel_set_preamble(struct dial *dial)
{
	return tunnel_new(dial);
}

static void count_parent(struct dial *dial, enum metric_parent result)
{
	struct metrics *metrics = dial->dialer->metrics;

	if (metrics)
		metric_inc(&metrics->parent_handshakes[result]);
}

// The next destination that may be asked for.
static bool next_destination(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	if (tunnel->fixed)
		return false;
	while (tunnel->taken < dial->target_count) {
		if (tunnel->taken++ > 0)
			dial->target = (uint16_t)((dial->target + 1) % dial->target_count);
		tunnel->destination = dial->targets[dial->target];
		if (tunnel->destination.kind != HOST_ADDRESS || !dial->permit)
			return true;
		// Which parent the rules would name does not matter: there is one.
		const struct snap_parent *ignored = NULL;
		enum close_reason reason =
			dial->permit(dial->owner, &tunnel->destination.address, &ignored);
		if (reason == CLOSE_NONE)
			return true;
		dial->peer = tunnel->destination.address;
		dial_failed(dial, reason, -EACCES);
	}
	return false;
}

static void set_out(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	tunnel->standing = false;
	tunnel->in_len = tunnel->in_used = 0;
	tunnel->out_len = tunnel->out_sent = 0;
	race_begin(dial, &tunnel->host, 1, 0, false);
}

void tunnel_begin(struct dial *dial)
{
	if (next_destination(dial))
		set_out(dial);
	else
		dial_give_up(dial);
}

void tunnel_divert(struct dial *dial, const struct endpoint *to)
{
	dial->tunnel->destination = host_from_endpoint(to);
	dial->tunnel->fixed = true;
	set_out(dial);
}

static size_t base64(const char *data, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)(uint8_t)data[i] << 16;
		if (i + 1 < len)
			v |= (uint32_t)(uint8_t)data[i + 1] << 8;
		if (i + 2 < len)
			v |= (uint8_t)data[i + 2];
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digits[v & 63] : '=';
	}
	return n;
}

static void append(struct dial_tunnel *tunnel, const char *text)
{
	size_t len = strlen(text);

	memcpy(tunnel->out + tunnel->out_len, text, len);
	tunnel->out_len += len;
}

static void write_connect(struct dial_tunnel *tunnel)
{
	char authority[HOST_STRLEN];
	char credentials[2 * CREDENTIALS_MAX + 2];

	host_format(&tunnel->destination, authority);
	append(tunnel, "CONNECT ");
	append(tunnel, authority);
	append(tunnel, " HTTP/1.1\r\nHost: ");
	append(tunnel, authority);
	if (tunnel->username[0]) {
		int len = snprintf(credentials, sizeof(credentials), "%s:%s", tunnel->username,
				   tunnel->password);
		append(tunnel, "\r\nProxy-Authorization: Basic ");
		tunnel->out_len += base64(credentials, (size_t)len, tunnel->out + tunnel->out_len);
		explicit_bzero(credentials, sizeof(credentials));
	}
	append(tunnel, "\r\n\r\n");
}

// Takes the queued SOCKS bytes over into `out`.
static void write_socks(struct dial_tunnel *tunnel)
{
	struct slice bytes = socks5_client_output(&tunnel->socks);

	if (tunnel->out_sent < tunnel->out_len || bytes.len == 0)
		return;
	memcpy(tunnel->out, bytes.data, bytes.len);
	tunnel->out_len = bytes.len;
	tunnel->out_sent = 0;
	socks5_client_sent(&tunnel->socks, bytes.len);
}

static void fail(struct dial *dial, enum close_reason reason, int error)
{
	dial_failed(dial, reason, error);
	count_parent(dial, reason == CLOSE_PARENT_REFUSED       ? METRIC_PARENT_REFUSED
			   : reason == CLOSE_PARENT_AUTH_FAILED ? METRIC_PARENT_AUTH
			   : reason == CLOSE_PARENT_MALFORMED   ? METRIC_PARENT_MALFORMED
								: METRIC_PARENT_ERROR);
	// Another target of the list may be one that the parent reaches.
	if (reason == CLOSE_PARENT_REFUSED && next_destination(dial)) {
		stream_close(dial->dialer->loop, dial->stream, STREAM_RST);
		dial->stream = NULL;
		set_out(dial);
		return;
	}
	dial_give_up(dial);
}

// 1: the tunnel stands, 0: more is needed, < 0: it failed.
static int read_connect_reply(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;
	static const struct http1_limits limits = {.max_line = REPLY_MAX, .max_head = REPLY_MAX};
	struct http_field fields[REPLY_FIELDS];
	struct http_head head;
	struct http1_parser parser;

	for (;;) {
		http_head_init(&head, fields, REPLY_FIELDS);
		http1_parser_init_response(&parser, &head, &limits, HTTP_METHOD_CONNECT);
		ssize_t n = http1_parser_feed(&parser, tunnel->in + tunnel->in_used,
					      tunnel->in_len - tunnel->in_used);
		if (n == -EAGAIN && tunnel->in_len < REPLY_MAX)
			return 0;
		if (n < 0) {
			fail(dial, CLOSE_PARENT_MALFORMED, -EBADMSG);
			return -1;
		}
		tunnel->in_used += (size_t)n;
		if (head.status >= 200)
			break;
	}
	if (head.status < 300)
		return 1;
	dial->parent_status = head.status;
	fail(dial, head.status == 407 ? CLOSE_PARENT_AUTH_FAILED : CLOSE_PARENT_REFUSED,
	     -ECONNREFUSED);
	return -1;
}

static int read_socks_reply(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;
	int n = socks5_client_input(&tunnel->socks, tunnel->in + tunnel->in_used,
				    tunnel->in_len - tunnel->in_used);

	if (n < 0) {
		enum close_reason reason = CLOSE_PARENT_MALFORMED;
		if (n == -SOCKS_E_REFUSED) {
			reason = CLOSE_PARENT_REFUSED;
			dial->parent_status = tunnel->socks.reply;
		} else if (n == -SOCKS_E_AUTHENTICATION || n == -SOCKS_E_NO_ACCEPTABLE) {
			reason = CLOSE_PARENT_AUTH_FAILED;
		}
		fail(dial, reason, -ECONNREFUSED);
		return -1;
	}
	tunnel->in_used += (size_t)n;
	if (tunnel->socks.state == SOCKS5_CLIENT_DONE)
		return 1;
	tunnel->in_len = tunnel->in_used = 0;
	write_socks(tunnel);
	return 0;
}

// 1: all is out, 0: the rest waits for room, < 0: it failed.
static int flush(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	while (tunnel->out_sent < tunnel->out_len) {
		ssize_t n = stream_write(dial->stream, tunnel->out + tunnel->out_sent,
					 tunnel->out_len - tunnel->out_sent);
		if (n == -EAGAIN)
			return 0;
		if (n < 0) {
			if (tunnel->parent && !tunnel->standing) {
				fail(dial, CLOSE_PARENT_REFUSED, (int)n);
			} else {
				dial_failed(dial, CLOSE_CONNECT_FAILED, (int)n);
				dial_give_up(dial);
			}
			return -1;
		}
		tunnel->out_sent += (size_t)n;
	}
	return 1;
}

// 1: bytes came, 0: none yet, < 0: it failed.
static int receive(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	ssize_t n =
		stream_read(dial->stream, tunnel->in + tunnel->in_len, REPLY_MAX - tunnel->in_len);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		// Some parents refuse by closing.
		fail(dial, CLOSE_PARENT_REFUSED, n < 0 ? (int)n : -ECONNRESET);
		return -1;
	}
	tunnel->in_len += (size_t)n;
	return 1;
}

static void write_preamble(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	dial->phase = DIAL_PREAMBLE;
	tunnel->out_sent = 0;
	_Static_assert(REQUEST_MAX >= PROXYPROTO_V1_BUILD_MAX, "room for a PROXY line");
	if (dial->send_proxy == SNAP_SEND_PROXY_V1)
		tunnel->out_len = proxyproto_build_v1(tunnel->out, &dial->client, &dial->local);
	else
		tunnel->out_len = proxyproto_build_v2((uint8_t *)tunnel->out, &dial->client,
						      &dial->local, PROXYPROTO_STREAM);
}

static void stand(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	tunnel->standing = true;
	if (tunnel->parent && !dial->plain) {
		count_parent(dial, METRIC_PARENT_OK);
		socks5_client_wipe(&tunnel->socks);
	}
	tunnel->out_len = tunnel->out_sent = 0;
	if (dial->send_proxy != SNAP_SEND_PROXY_OFF)
		write_preamble(dial);
}

// Says and hears what can be, until the connection is the owner's or something must be waited for.
static void go_on(struct dial *dial)
{
	struct dial_tunnel *tunnel = dial->tunnel;

	while (!tunnel->standing) {
		int r = flush(dial);
		if (r > 0)
			r = receive(dial);
		if (r > 0)
			r = tunnel->type == SNAP_PARENT_HTTP ? read_connect_reply(dial)
							     : read_socks_reply(dial);
		if (r < 0)
			return;
		if (r > 0)
			stand(dial);
		else if (tunnel->out_sent < tunnel->out_len ? !(dial->stream->ready & STREAM_OUT)
							    : !(dial->stream->ready & STREAM_IN))
			return;
	}
	if (flush(dial) <= 0)
		return;
	struct slice early = {(char *)tunnel->in + tunnel->in_used,
			      tunnel->in_len - tunnel->in_used};
	dial_succeed(dial, dial->stream, early);
}

static void tunnel_ready(struct loop *loop, struct stream *stream)
{
	go_on(stream->owner);
}

void tunnel_connected(struct dial *dial, struct stream *stream)
{
	struct dial_tunnel *tunnel = dial->tunnel;
	struct loop *loop = dial->dialer->loop;

	dial->stream = stream;
	if (!tunnel) {
		dial_succeed(dial, stream, (struct slice){0});
		return;
	}
	stream_own(stream, dial, tunnel_ready);
	if (dial->connect_deadline == UINT64_MAX)
		loop_timer_cancel(loop, &dial->timer);
	else
		loop_timer_set(loop, &dial->timer, dial->connect_deadline);
	if (!tunnel->parent || dial->plain) {
		stand(dial);
	} else {
		dial->phase = DIAL_PARENT;
		if (tunnel->type == SNAP_PARENT_HTTP) {
			write_connect(tunnel);
		} else {
			// Cannot fail: the lengths were cut, a destination there is.
			(void)socks5_client_init(&tunnel->socks, SOCKS_CONNECT,
						 &tunnel->destination,
						 slice_from_string(tunnel->username),
						 slice_from_string(tunnel->password));
			write_socks(tunnel);
		}
	}
	go_on(dial);
}

void tunnel_timer(struct dial *dial)
{
	dial->reason = CLOSE_CONNECT_TIMEOUT;
	dial->error = -ETIMEDOUT;
	if (dial->phase == DIAL_PARENT)
		count_parent(dial, METRIC_PARENT_ERROR);
	dial_give_up(dial);
}
