// SPDX-License-Identifier: Apache-2.0
// Clients of the proxy, by what they speak.
#pragma once

#include "ends.h"
#include "world.h"

#include "base/rng.h"

enum client_kind {
	CLIENT_SOCKS4,
	CLIENT_SOCKS4A,
	CLIENT_SOCKS5,
	CLIENT_SOCKS5_AUTH,
	CLIENT_CONNECT,
	CLIENT_CONNECT_AUTH,
	CLIENT_BIND,
	CLIENT_UDP,
	CLIENT_TLS,
	CLIENT_RAW,
	CLIENT_HTTP,
	CLIENT_HTTP_AUTH,
	CLIENT_HTTP_REVERSE,
	CLIENT_FIRST, // silent until the server speaks
	CLIENT_GARBAGE,
	CLIENT_SILENT, // says nothing, or not all of it
	CLIENT_KINDS
};

enum reply {
	REPLY_CHOICE_NONE, // SOCKS5: no log-in
	REPLY_CHOICE_PASSWORD,
	REPLY_AUTH,
	REPLY_SOCKS5,
	REPLY_SOCKS4,
	REPLY_CONNECT,
};

enum expect {
	EXPECT_OK,
	EXPECT_FAIL,   // a refusal by the protocol's own means
	EXPECT_CLOSED, // ended without a word, or with some
	EXPECT_ANY,
};

enum { CLIENT_STEPS = 4 };

struct client {
	struct end end; // first
	enum client_kind kind;
	enum expect expect;
	struct endpoint from, to;
	struct sim_event begin;
	struct {
		const uint8_t *bytes;
		size_t len;
		enum reply reply;
	} steps[CLIENT_STEPS];
	unsigned step_count, step, said;
	bool optimistic; // says everything at once, the stream too
	bool connected;  // the proxy granted it
	bool refused;
	unsigned code;    // of the refusal
	const char *user; // NULL: none
	const char *dest;
	uint32_t prefix; // bytes of the stream before its number (a ClientHello)
	struct record *records;
	struct http_talk *http; // NULL: no HTTP
	struct udp_talk *udp;   // NULL: no datagrams
};

// A client that begins at that time.
void client_new(enum client_kind kind, uint64_t at);
const char *client_kind_name(enum client_kind kind);
// The server's end of a client's stream; NULL: none is known.
struct end *client_server(const struct client *client);
