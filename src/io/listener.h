// SPDX-License-Identifier: Apache-2.0
// A listening TCP socket of one loop: accepts in bounded batches, pauses when resources are out.
//
// Several loops listen on one address by SO_REUSEPORT, each with a listener of its own. When accept
// fails for want of descriptors or memory the listener stops watching and tries again after
// LISTENER_PAUSE_NS, so that it never spins; clients wait in the kernel's queue meanwhile.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "io/loop.h"

struct endpoint;
struct listener;

enum { LISTENER_BATCH = 64 };
#define LISTENER_PAUSE_NS 100000000ULL

// A connection was accepted; `fd` is the callee's.
typedef void listener_accepted_fn(struct listener *listener, int fd, const struct sockaddr *peer);
// Accepting stopped (error: negative errno) or went on (0).
typedef void listener_paused_fn(struct listener *listener, int error);

struct listener {
	struct loop *loop;
	struct watch watch;
	struct timer timer;
	struct deferred deferred;
	listener_accepted_fn *accepted;
	listener_paused_fn *paused; // may be NULL
	bool is_paused;
	int burst; // how many to accept at the next event
};

// Makes a listening socket: SO_REUSEADDR, TCP_NODELAY, non-blocking. `dual`: an IPv6 wildcard takes
// IPv4 too. Returns the descriptor; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, ... Any thread.
// `shared`: several sockets may have the address (SO_REUSEPORT).
int listener_socket(const struct endpoint *address, bool dual, bool shared);
// Begins to accept on fd. On success the listener owns fd.
int listener_init(struct listener *listener, struct loop *loop, int fd,
		  listener_accepted_fn *accepted, listener_paused_fn *paused);
// Accepts whoever is in the queue already, then closes it.
void listener_release(struct listener *listener);
// Stops and goes on, on the caller's behalf (draining, connection limit).
void listener_pause(struct listener *listener);
