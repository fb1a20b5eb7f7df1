// SPDX-License-Identifier: Apache-2.0
// HTTP: keep-alive GET requests, absolute-form to a forward proxy or origin-form to a reverse one.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net.h"

#define HEAD_MAX 4096u
#define READ_MAX (64u << 10)

struct http {
	struct end *end;
	struct loop loop;
	struct io listener;
	char *message; // the origin's response or the client's request
	size_t message_len;
};

struct session {
	struct io io;
	struct http *http;
	uint64_t sent_at;
	bool connected;
	bool close_after; // the response or the options say so
	bool finishing;   // client: the response is complete, only the end is awaited
	bool body;        // client: the head is complete
	size_t body_left; // client: bytes of the body to come
	unsigned head_len;
	char head[HEAD_MAX]; // the incomplete head so far
};

static _Thread_local char buffer[READ_MAX];

static void session_free(struct session *session)
{
	close(session->io.fd);
	free(session);
}

static struct session *session_new(struct http *http, int fd, uint32_t events,
				   void (*ready)(struct io *, uint32_t))
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		close(fd);
		return NULL;
	}
	session->io = (struct io){.fd = fd, .ready = ready};
	session->http = http;
	if (loop_add(&http->loop, &session->io, events) < 0) {
		session_free(session);
		return NULL;
	}
	return session;
}

// Appends to the head and returns the length of the complete head in it, 0: incomplete, -errno.
static int head_take(struct session *session, const char *data, size_t len)
{
	const char *end;

	if (len > HEAD_MAX - session->head_len)
		return -EMSGSIZE;
	memcpy(session->head + session->head_len, data, len);
	session->head_len += (unsigned)len;
	end = memmem(session->head, session->head_len, "\r\n\r\n", 4);
	return end ? (int)(end + 4 - session->head) : 0;
}

static bool head_says_close(const char *head, size_t len)
{
	return memmem(head, len, "onnection: close", 16) ||
	       memmem(head, len, "onnection: Close", 16);
}

static void origin_ready(struct io *io, uint32_t events)
{
	struct session *session = (struct session *)io;
	struct http *http = session->http;
	ssize_t n = recv(io->fd, buffer, HEAD_MAX / 2, 0);
	bool last = false;
	int len;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		session_free(session);
		return;
	}
	len = head_take(session, buffer, (size_t)n);
	while (len > 0 && !last) {
		last = head_says_close(session->head, (size_t)len);
		if (send(io->fd, http->message, http->message_len, MSG_NOSIGNAL) < 0)
			last = true;
		memmove(session->head, session->head + len, session->head_len - (unsigned)len);
		session->head_len -= (unsigned)len;
		len = head_take(session, "", 0);
	}
	if (last || len < 0)
		session_free(session);
}

static void listener_ready(struct io *io, uint32_t events)
{
	struct http *http = (struct http *)((char *)io - offsetof(struct http, listener));
	int fd;

	while ((fd = net_accept(io->fd)) >= 0)
		session_new(http, fd, EPOLLIN, origin_ready);
}

// The response has a fixed date and as many fields as a plain static file gets.
static int response_make(struct http *http, unsigned body)
{
	http->message = calloc(1, body + 512u);
	if (!http->message)
		return -ENOMEM;
	http->message_len = (size_t)snprintf(http->message, 512,
					     "HTTP/1.1 200 OK\r\n"
					     "Server: origin\r\n"
					     "Date: Sat, 01 Aug 2026 12:00:00 GMT\r\n"
					     "Content-Type: text/plain\r\n"
					     "Content-Length: %u\r\n"
					     "Cache-Control: no-store\r\n"
					     "\r\n",
					     body);
	memset(http->message + http->message_len, 'x', body);
	http->message_len += body;
	return 0;
}

int http_server(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct http http = {.end = end};
	int r = loop_init(&http.loop);

	if (r >= 0)
		r = response_make(&http, opt->size);
	http.listener = (struct io){.fd = net_listen(opt), .ready = listener_ready};
	if (http.listener.fd < 0)
		return http.listener.fd;
	if (r >= 0)
		r = loop_add(&http.loop, &http.listener, EPOLLIN);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&http.loop, 20);
	return 0;
}

static int session_send(struct session *session)
{
	const struct http *http = session->http;
	ssize_t n = send(session->io.fd, http->message, http->message_len, MSG_NOSIGNAL);

	session->head_len = 0;
	session->body = false;
	return n == (ssize_t)http->message_len ? 0 : -EPIPE;
}

// Parses the response's head, whose first `len` bytes of session->head are complete.
static int response_head(struct session *session, size_t len)
{
	static const char field[] = "\r\nContent-Length:";
	const char *status = session->head + 8;

	session->head[session->head_len < HEAD_MAX ? session->head_len : HEAD_MAX - 1] = '\0';
	if (memcmp(status, " 200", 4))
		return -EPROTO;
	session->close_after = !session->http->end->run->opt->keepalive ||
			       !memcmp(session->head, "HTTP/1.0", 8) ||
			       head_says_close(session->head, len);
	for (const char *p = session->head; p + sizeof(field) < session->head + len; p++) {
		if (*p == '\r' && !strncasecmp(p, field, sizeof(field) - 1)) {
			session->body_left = strtoul(p + sizeof(field) - 1, NULL, 10);
			session->body = true;
			return 0;
		}
	}
	return -EPROTO; // the origin always gives a length, and no proxy here takes it away
}

// Returns 1 when a response is complete, 0 when more must come, -errno when it failed.
static int response_take(struct session *session, const char *data, size_t n)
{
	unsigned before = session->head_len;
	int len, r;

	if (!session->body) {
		size_t part = n < HEAD_MAX - before ? n : HEAD_MAX - before;

		len = head_take(session, data, part);
		if (len <= 0)
			return len < 0 || part < n ? -EMSGSIZE : 0;
		r = response_head(session, (size_t)len);
		if (r < 0)
			return r;
		n -= (size_t)len - before;
	}
	if (n > session->body_left)
		return -EPROTO;
	session->body_left -= n;
	return session->body_left == 0;
}

// Counts the response, and sends the next request or waits for the end of the connection.
static int response_done(struct session *session)
{
	struct end *end = session->http->end;

	count_add(&end->ops_atomic, 1);
	if (run_measuring(end))
		hist_add(&end->hist, now_ns() - session->sent_at);
	session->sent_at = now_ns();
	session->finishing = session->close_after;
	return session->finishing ? 0 : session_send(session);
}

static void client_ready(struct io *io, uint32_t events);

static int session_start(struct http *http)
{
	int fd = net_connect_start(http->end->run->opt);

	if (fd < 0)
		return fd;
	return session_new(http, fd, EPOLLOUT, client_ready) ? 0 : -ENOMEM;
}

static void client_ready(struct io *io, uint32_t events)
{
	struct session *session = (struct session *)io;
	struct http *http = session->http;
	struct end *end = http->end;
	int r;

	if (!session->connected) {
		session->connected = true;
		session->sent_at = now_ns(); // of a new connection: from when it stood
		r = session_send(session);
		if (r >= 0)
			r = loop_change(&http->loop, io, EPOLLIN);
	} else {
		ssize_t n = recv(io->fd, buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (session->finishing)
			r = n == 0 ? 1 : -EPROTO;
		else
			r = n <= 0 ? -ECONNRESET : response_take(session, buffer, (size_t)n);
	}
	if (r > 0 && !session->finishing)
		r = response_done(session);
	if (r < 0)
		count_add(&end->errors_atomic, run_stopping(end) ? 0 : 1);
	if (r != 0) {
		session_free(session);
		if (!run_stopping(end) && session_start(http) < 0)
			count_add(&end->errors_atomic, 1);
	}
}

static int request_make(struct http *http, const struct options *opt)
{
	char host[INET_ADDRSTRLEN], authority[64], scheme[80] = "";

	http->message = calloc(1, 1024);
	if (!http->message)
		return -ENOMEM;
	inet_ntop(AF_INET, &opt->backend.sin_addr, host, sizeof(host));
	snprintf(authority, sizeof(authority), "%s:%d", host, ntohs(opt->backend.sin_port));
	if (opt->via == VIA_FORWARD)
		snprintf(scheme, sizeof(scheme), "http://%s", authority);
	http->message_len =
		(size_t)snprintf(http->message, 1024,
				 "GET %s/some/path?query=1 HTTP/1.1\r\n"
				 "Host: %s\r\n"
				 "User-Agent: sluice-load\r\n"
				 "Accept: */*\r\n"
				 "Accept-Language: en\r\n%s\r\n",
				 scheme, authority, opt->keepalive ? "" : "Connection: close\r\n");
	return 0;
}

int http_client(struct end *end)
{
	const struct options *opt = end->run->opt;
	struct http http = {.end = end};
	int r = loop_init(&http.loop);

	if (r >= 0)
		r = request_make(&http, opt);
	for (unsigned i = 0; r >= 0 && i < opt->streams; i++)
		r = session_start(&http);
	if (r < 0)
		return r;
	atomic_store(&end->ready, true);
	while (!run_stopping(end))
		loop_turn(&http.loop, 20);
	return 0;
}
