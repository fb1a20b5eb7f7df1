// SPDX-License-Identifier: Apache-2.0
// The answers that the proxy itself gives to HTTP requests.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "front/front.h"
#include "front/http.h"
#include "front/outcome.h"
#include "front/report.h"
#include "front/session.h"
#include "io/sys.h"
#include "obs/metrics.h"
#include "proto/http1/reply.h"

static const char *text_of(enum close_reason reason)
{
	switch (reason) {
	case CLOSE_AUTH_REQUIRED:
		return "This proxy asks for a user name and password.";
	case CLOSE_AUTH_FAILED:
		return "The user name or password is wrong.";
	case CLOSE_AUTH_THROTTLED:
		return "Too many failed log-ins from this address; try again later.";
	case CLOSE_ACL_DENIED:
		return "The proxy's rules do not allow this destination.";
	case CLOSE_LOCAL_DESTINATION_DENIED:
		return "Addresses local to the proxy are not reached through it.";
	case CLOSE_ADMIN_DESTINATION_DENIED:
		return "The proxy's own admin address is not reached through it.";
	case CLOSE_LOOP_DETECTED:
		return "The request has passed this proxy before.";
	case CLOSE_USER_LIMIT:
		return "The user's connection limit is reached.";
	case CLOSE_ADDRESS_LIMIT:
		return "The connection limit of this address is reached.";
	case CLOSE_RATE_LIMITED:
		return "Too many new connections per second.";
	case CLOSE_RESOLVE_FAILED:
		return "The destination's name cannot be resolved.";
	case CLOSE_RESOLVE_TIMEOUT:
		return "The destination's name was not resolved in time.";
	case CLOSE_CONNECT_REFUSED:
		return "The destination refused the connection.";
	case CLOSE_CONNECT_UNREACHABLE:
		return "The destination cannot be reached.";
	case CLOSE_CONNECT_TIMEOUT:
		return "The destination did not accept the connection in time.";
	case CLOSE_UPSTREAM_TIMEOUT:
		return "The destination did not answer in time.";
	case CLOSE_UPSTREAM_MALFORMED:
		return "The destination's answer is not valid HTTP.";
	case CLOSE_UPSTREAM_RESET:
	case CLOSE_UPSTREAM_ABORTED:
		return "The destination closed the connection without a complete answer.";
	case CLOSE_PARENT_REFUSED:
	case CLOSE_PARENT_AUTH_FAILED:
	case CLOSE_PARENT_MALFORMED:
		return "The next proxy on the way refused the request.";
	case CLOSE_NO_MEMORY:
	case CLOSE_NO_DESCRIPTORS:
	case CLOSE_NO_PORTS:
	case CLOSE_NO_BUFFERS:
	case CLOSE_HELPER_BUSY:
	case CLOSE_RESOLVER_BUSY:
	case CLOSE_CONNECTION_LIMIT:
		return "The proxy is at its limits; try again later.";
	default:
		return close_reason_help(reason);
	}
}

static struct slice date_now(char text[40])
{
	time_t now = (time_t)(sys_wall() / 1000000000);
	struct tm tm;

	gmtime_r(&now, &tm);
	return slice_make(text, strftime(text, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}

void http_answer(struct http_client *client, unsigned status, enum close_reason reason,
		 const char *text)
{
	struct session *session = client->session;
	struct http_request *request = &client->request;
	char date[40], out[2048];
	const struct http_field challenge = {SLICE("Proxy-Authenticate"),
					     SLICE("Basic realm=\"sluice\", charset=\"UTF-8\""), 0};
	const struct http_field retry = {SLICE("Retry-After"), SLICE("1"), 0};

	// With content of the request still to come, the next request cannot be found.
	bool content = request->framing.kind == HTTP1_FRAMING_CHUNKED ||
		       (request->framing.kind == HTTP1_FRAMING_LENGTH && request->framing.length);
	if (content || front_draining(session->front))
		request->keep_alive = false;
	struct http1_reply reply = {
		.status = status,
		.method = request->method,
		.close = !request->keep_alive,
		.keep_alive = request->keep_alive && request->version == HTTP_VERSION_1_0,
		.date = date_now(date),
		.text = slice_from_string(text),
	};
	if (status == 407)
		reply.fields = &challenge;
	else if (status == 429 || status == 503)
		reply.fields = &retry;
	reply.field_count = reply.fields ? 1 : 0;
	ssize_t n = http1_reply_write(out, sizeof(out), &reply);
	http_report(client, status, true, reason);
	http_exchange_cancel(client);
	if (n < 0) {
		session_close(session, CLOSE_INTERNAL, true);
		return;
	}
	session_send(session, out, (size_t)n);
	if (session->phase != SESSION_TALK)
		return;
	if (request->keep_alive)
		http_next(client);
	else
		session_finish(session, reason == CLOSE_NONE ? CLOSE_DONE : reason);
}

void http_refuse(struct http_client *client, enum close_reason reason)
{
	http_answer(client, (unsigned)outcome_http(reason), reason, text_of(reason));
}

static unsigned method_label(uint8_t method)
{
	switch ((enum http_method)method) {
	case HTTP_METHOD_GET:
		return METRIC_METHOD_GET;
	case HTTP_METHOD_HEAD:
		return METRIC_METHOD_HEAD;
	case HTTP_METHOD_POST:
		return METRIC_METHOD_POST;
	case HTTP_METHOD_PUT:
		return METRIC_METHOD_PUT;
	case HTTP_METHOD_DELETE:
		return METRIC_METHOD_DELETE;
	case HTTP_METHOD_OPTIONS:
		return METRIC_METHOD_OPTIONS;
	case HTTP_METHOD_PATCH:
		return METRIC_METHOD_PATCH;
	case HTTP_METHOD_CONNECT:
		return METRIC_METHOD_CONNECT;
	default:
		return METRIC_METHOD_OTHER;
	}
}

void http_report(struct http_client *client, unsigned status, bool by_proxy,
		 enum close_reason reason)
{
	struct metrics *metrics = client->session->front->metrics;
	unsigned class = status / 100 >= 1 && status / 100 <= 5 ? status / 100 - 1 : 4;
	unsigned denial = metric_denial_of(reason);

	metric_inc(&metrics->http_requests[method_label(client->request.method)]);
	if (status)
		metric_inc(&metrics->http_responses[class][by_proxy ? METRIC_SOURCE_PROXY
								    : METRIC_SOURCE_UPSTREAM]);
	// A connection that goes on counts its refusals here; one that ends is counted at its close.
	if (by_proxy && client->request.keep_alive && denial != METRIC_DENIAL_COUNT)
		metric_inc(&metrics->requests_denied[denial]);
	report_request(client, status, by_proxy, reason);
}
