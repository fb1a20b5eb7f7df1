// SPDX-License-Identifier: Apache-2.0
// A byte stream: TCP now; TLS, an HTTP/2 or HTTP/3 stream, Shadowsocks stack on the same table.
//
// A stream has one owner at a time, who is told by on_ready that bits in `ready` came up. The bits
// stay up until an operation answers -EAGAIN (edge-triggered): the owner reads and writes until
// then. Streams belong to their loop's thread. stream_close frees the stream at the end of the
// turn; it must not be used afterwards, and on_ready is not called again.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "io/loop.h"

struct stream;
struct endpoint;

enum stream_ready {
	STREAM_IN = 1,    // read may bring bytes, the end, or an error
	STREAM_OUT = 2,   // write may take bytes
	STREAM_END = 4,   // the peer's end (or an error) is known to be on its way: read to it
	STREAM_ERROR = 8, // the connection has failed; what came before may still be read
	STREAM_LAST =
		16, // the last read brought all there was before the end: the next would give 0
	STREAM_URGENT = 32, // urgent data came: a read stops short of it
};

enum stream_end {
	STREAM_FIN, // orderly: what was written is still delivered
	STREAM_RST, // abort: the peer sees a reset
};

typedef void stream_ready_fn(struct loop *loop, struct stream *stream);

struct stream_ops {
	const char *name;
	// > 0 bytes, 0 the peer's end of stream, -EAGAIN, or a fatal negative errno. Clears
	// STREAM_IN when nothing more is there (so a caller may stop as soon as the bit is down).
	ssize_t (*read)(struct stream *stream, void *buf, size_t len);
	// Bytes taken, -EAGAIN (clears STREAM_OUT), or a fatal negative errno.
	ssize_t (*write)(struct stream *stream, const void *buf, size_t len);
	ssize_t (*writev)(struct stream *stream, const struct iovec *iov, int iovcnt);
	// No more bytes from us (half-close).
	int (*finish)(struct stream *stream);
	// The descriptor whose bytes in this direction are the stream's bytes, so that the kernel
	// may move them; -1 when they need a change. `out`: for writing to the stream.
	int (*raw_fd)(struct stream *stream, bool out);
	// Prompt or paced readiness (io/loop.h).
	void (*pace)(struct loop *loop, struct stream *stream, enum loop_set set);
	void (*close)(struct loop *loop, struct stream *stream, enum stream_end how);
	// The peer's and the local address, for protocols that tell them. -ENOTCONN and the like.
	int (*peer)(struct stream *stream, struct endpoint *ret_peer);
	int (*local)(struct stream *stream, struct endpoint *ret_local);
};

struct stream {
	const struct stream_ops *ops;
	stream_ready_fn *on_ready; // NULL: nobody listens, bits are kept
	void *owner;
	uint8_t ready; // enum stream_ready
};

static inline ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	return s->ops->read(s, buf, len);
}
static inline ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	return s->ops->write(s, buf, len);
}
static inline ssize_t stream_writev(struct stream *s, const struct iovec *iov, int iovcnt)
{
	return s->ops->writev(s, iov, iovcnt);
}
static inline int stream_finish(struct stream *s)
{
	return s->ops->finish(s);
}
static inline int stream_raw_fd(struct stream *s, bool out)
{
	return s->ops->raw_fd(s, out);
}
static inline void stream_close(struct loop *loop, struct stream *s, enum stream_end how)
{
	s->ops->close(loop, s, how);
}
static inline void stream_own(struct stream *s, void *owner, stream_ready_fn *on_ready)
{
	s->owner = owner;
	s->on_ready = on_ready;
}
