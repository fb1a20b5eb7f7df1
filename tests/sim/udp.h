// SPDX-License-Identifier: Apache-2.0
// Datagrams in schedules: clients of UDP ASSOCIATE, servers that echo, and strangers.
#pragma once

#include "client.h"

enum { UDP_DATAGRAMS = 64 };

#define WORLD_ECHO 5353 // of servers

// What a client sent, and what became of it.
struct udp_sent {
	bool expected;     // to where it may go, by address
	uint8_t at_server; // how often it came there
	uint8_t echoed;    // how often the server answered
	uint8_t back;      // how often an answer came back
};

struct udp_talk {
	struct client *client;
	int fd;
	struct endpoint own, relay; // relay: where datagrams are sent to
	unsigned count, sent;
	uint64_t gap;
	uint32_t size_max;
	struct sim_event timer;
	struct udp_sent datagrams[UDP_DATAGRAMS];
};

void udp_servers_begin(void);
// The association stands.
void udp_associated(struct client *client, const struct endpoint *relay);
// The control connection is over.
void udp_release(struct client *client);
void udp_check(const struct client *client);
