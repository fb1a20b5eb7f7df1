// SPDX-License-Identifier: Apache-2.0
// A stream over a TCP socket.
#pragma once

#include <stdint.h>

struct loop;
struct stream;
struct endpoint;

// Takes the connected (or just accepted) socket and starts to watch it. On success the stream owns
// fd; on failure (-ENOMEM, -ENOSPC) the caller still does. `ready`: bits known to be up already
// (STREAM_OUT for a fresh connection).
int tcp_stream_new(struct loop *loop, int fd, uint8_t ready, struct stream **ret_stream);
// Starts to connect; the stream is told STREAM_OUT when the attempt ended, and tcp_stream_connected
// tells how. `source` (may be NULL) is the local address to bind. Immediate refusals are returned:
// -EMFILE, -ENFILE, -ENOMEM, -EADDRNOTAVAIL (ports are out), -ENETUNREACH, -ECONNREFUSED, ...
int tcp_stream_connect(struct loop *loop, const struct endpoint *to, const struct endpoint *source,
		       struct stream **ret_stream);
// 0 connected, -EINPROGRESS, or the errno of the failed attempt.
int tcp_stream_connected(struct stream *stream);
