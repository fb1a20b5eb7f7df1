// SPDX-License-Identifier: Apache-2.0
// HTTP in schedules: every message says whose it is, and both sides check what they get.
#pragma once

#include "client.h"

#include "base/http_head.h"
#include "proto/http1/body.h"
#include "proto/http1/parser.h"

enum { HTTP_REQUESTS = 8, HTTP_FIELD_MAX = 48 };

// One request and its response, as both sides know it.
struct exchange {
	const char *host;
	bool fails;     // the host is one that nobody reaches
	uint8_t method; // enum http_method
	bool upgrade, expects, chunked, last;
	uint64_t length; // of the request's content
	// At the server.
	unsigned seen;          // how often its head came
	bool has_request;       // all of it came
	uint64_t request_bytes; // of the message
	unsigned status;
	uint64_t answer_length; // of the response's content
	bool until_close;
	bool early; // answered before all of the request was there
	bool cut;   // the server stops in the middle, on purpose
	struct end *server;
	uint64_t answer_end; // of server->out_said when all is said
	// At the client.
	bool answered, complete, by_proxy;
	unsigned code;
	uint64_t answer_bytes; // of the message, 1xx included
};

// Reads messages.
struct http_reader {
	struct http_field fields[HTTP_FIELD_MAX];
	struct http_head head;
	struct http1_parser parser;
	struct http1_body body;
	bool in_body;
	uint64_t bytes; // of this message
};

struct http_talk {
	struct exchange exchanges[HTTP_REQUESTS];
	unsigned count, said, answered; // answered: completely
	bool pipelined, over;
	bool closed; // the last answer said that the connection ends
	uint8_t version;
	const char *basic; // NULL: no log-in
	bool reverse;
	struct http_reader reader;
	uint8_t *content; // of an expecting request, not said yet
	size_t content_len;
	struct sim_event impatience;
};

// The place of content in its number's pattern.
static inline uint64_t http_place(unsigned n)
{
	return (uint64_t)n << 32;
}
#define HTTP_ANSWERS 0x800000u // added to the client's number: what servers say to it

extern const struct end_ops http_client_ops, http_server_ops;

void http_reader_begin(struct http_reader *reader, bool request, enum http_method method);
// Draws the requests of a client.
void http_client_compose(struct client *client);
void http_client_connected(struct client *client);
void http_client_check(const struct client *client);
// Whether it waits for something that should have come.
bool http_client_owed(const struct client *client);
