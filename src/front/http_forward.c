// SPDX-License-Identifier: Apache-2.0
// Rewriting heads for the next hop: framing, Via, Forwarded, credentials for a parent.
#include "front/http_forward.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "front/front.h"
#include "front/http.h"
#include "front/session.h"
#include "proto/http1/writer.h"
#include "snap/snap.h"

// Proxies of one pseudonym may stand in a chain; so many of them are one that meets itself.
enum { LOOP_ROUNDS = 5 };

enum { CREDENTIALS_MAX = 1024, VALUE_MAX = ENDPOINT_STRLEN + 64 };

// Fields that we add to a request. The texts live here until the head is written.
struct additions {
	struct http_field fields[2];
	size_t count;
	char forwarded[VALUE_MAX];
	char credentials[CREDENTIALS_MAX];
};

static void add(struct additions *additions, struct slice name, const char *value, size_t len)
{
	additions->fields[additions->count++] =
		(struct http_field){.name = name, .value = slice_make(value, len)};
}

static void add_forwarded(struct additions *additions, struct http_head *head,
			  enum snap_forwarded how, const struct session *session)
{
	char ip[ENDPOINT_STRLEN];
	struct slice value;

	if (how == SNAP_FORWARDED_OFF)
		return;
	// What the client itself says of where it comes from is not passed on as ours.
	if (how == SNAP_FORWARDED_X_FOR) {
		http_head_remove(head, HTTP_FIELD_X_FORWARDED_FOR);
		value.len = endpoint_format_ip(&session->peer, additions->forwarded);
		add(additions, SLICE("X-Forwarded-For"), additions->forwarded, value.len);
		return;
	}
	http_head_remove(head, HTTP_FIELD_FORWARDED);
	endpoint_format_ip(&session->peer, ip);
	const char *format = session->peer.family == AF_INET6 ? "for=\"[%s]\"" : "for=%s";
	int len = snprintf(additions->forwarded, sizeof(additions->forwarded), format, ip);
	add(additions, SLICE("Forwarded"), additions->forwarded, (size_t)len);
}

static int add_credentials(struct additions *additions, const struct snap_parent *parent)
{
	char plain[CREDENTIALS_MAX / 2], *out = additions->credentials;
	static const char scheme[] = "Basic ";
	size_t skip = sizeof(scheme) - 1;

	if (!parent || !parent->username)
		return 0;
	int len = snprintf(plain, sizeof(plain), "%s:%s", parent->username,
			   parent->password ? parent->password : "");
	if (len < 0 || (size_t)len >= sizeof(plain))
		return -ENOBUFS;
	memcpy(out, scheme, skip);
	sodium_bin2base64(out + skip, sizeof(additions->credentials) - skip, (unsigned char *)plain,
			  (size_t)len, sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(plain, sizeof(plain));
	add(additions, SLICE("Proxy-Authorization"), out, strlen(out));
	return 0;
}

ssize_t http_forward_request(struct http_client *client)
{
	struct session *session = client->session;
	struct http_exchange *ex = client->exchange;
	struct http_request *request = &client->request;
	const struct snap *snap = front_snap(session->front);
	struct additions additions;

	additions.count = 0;
	int r = http1_framing_forward(&request->framing, true, HTTP_VERSION_1_1, &ex->request_out);
	if (r < 0)
		return -EINVAL;
	if (http_head_via_count(&request->head, slice_from_string(snap->http.via)) >= LOOP_ROUNDS)
		return -EDEADLK;
	add_forwarded(&additions, &request->head, snap->http.forwarded, session);
	if (ex->by_parent)
		r = add_credentials(&additions, snap_parent_by_id(snap, ex->attempt.parent_id));
	if (r < 0)
		return r;
	struct http1_write_options options = {
		.framing = ex->request_out,
		.target_form = ex->by_parent ? HTTP_TARGET_ABSOLUTE : HTTP_TARGET_ORIGIN,
		.upgrade = request->framing.upgrade,
		.via = slice_from_string(snap->http.via),
		.extra = additions.fields,
		.extra_count = additions.count,
	};
	ssize_t n = http1_write_request(session->front->scratch, FRONT_SCRATCH, &request->head,
					&options);
	sodium_memzero(additions.credentials, sizeof(additions.credentials));
	return n;
}

ssize_t http_forward_response(struct http_client *client, bool upgraded)
{
	struct session *session = client->session;
	struct http_exchange *ex = client->exchange;
	struct http_request *request = &client->request;
	const struct snap *snap = front_snap(session->front);
	struct http1_write_options options = {.upgrade = upgraded,
					      .via = slice_from_string(snap->http.via)};

	if (ex->head.status < 200) {
		options.framing =
			(struct http1_framing){.kind = HTTP1_FRAMING_NONE, .keep_alive = true};
		if (upgraded)
			options.framing.kind = HTTP1_FRAMING_TUNNEL;
		return http1_write_response(session->front->scratch, FRONT_SCRATCH, &ex->head,
					    &options);
	}
	int r = http1_framing_forward(&ex->parser.framing, false,
				      (enum http_version)request->version, &ex->response_out);
	if (r < 0)
		return -EINVAL;
	if (ex->response_out.kind == HTTP1_FRAMING_UNTIL_CLOSE || front_draining(session->front))
		request->keep_alive = false;
	options.framing = ex->response_out;
	options.connection = !request->keep_alive                   ? HTTP1_CONNECTION_CLOSE
			     : request->version == HTTP_VERSION_1_0 ? HTTP1_CONNECTION_KEEP_ALIVE
								    : HTTP1_CONNECTION_DEFAULT;
	return http1_write_response(session->front->scratch, FRONT_SCRATCH, &ex->head, &options);
}
