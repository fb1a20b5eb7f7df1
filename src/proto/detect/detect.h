// SPDX-License-Identifier: Apache-2.0
// What a client speaks, told from the first bytes that it sends, without consuming any.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pure; any thread.
 *
 * What counts as what:
 * - SOCKS5: first byte 5. SOCKS4: first byte 4. One byte decides; their parsers report the rest.
 * - TLS: a handshake record of version 3.x, with a length of 1 to 2^14, whose first message is a
 *   ClientHello; six bytes decide.
 * - PROXY1: "PROXY ". PROXY2: its signature of twelve bytes. HTTP2: its preface of 24 bytes.
 * - HTTP1: a well-known method (RFC 9110, 5789, 4918 and kin) and a space; or an upper-case token
 *   of at most 32 bytes, a target of visible ASCII, "HTTP/1." and the line so far within
 *   DETECT_LINE_MAX; after at most two empty lines (RFC 9112, 2.2).
 * - RAW: as soon as nothing accepted is possible any more.
 *
 * An answer never changes when more bytes come. A client that sends less than it needs for a
 * decision, and waits, is the caller's business: after its time it is RAW.
 */

enum protocol {
#define PROTOCOL(name, text, help) PROTOCOL_##name,
#include "proto/detect/protocols.def"
#undef PROTOCOL
	PROTOCOL_COUNT,
};

// A set of protocols, as a listener accepts them.
#define PROTOCOL_BIT(protocol) (1u << (protocol))
// RAW needs no bit: it is what remains.
#define DETECT_ALL (PROTOCOL_BIT(PROTOCOL_COUNT) - 1)

// The unknown-method rule gives up on a request line longer than this.
#define DETECT_LINE_MAX 4096

// "socks5" and so on, as in protocols.def; "?" out of range.
const char *protocol_name(enum protocol protocol);

/*
 * `data` is everything received so far (`len` may be 0), `accept` the set of protocols in question.
 * Returns 0 and the protocol; or, when that cannot be told yet, the least number of bytes (1 or
 * more) that must still come before any accepted protocol can be recognised. A mismatch may show
 * sooner, so do not wait for that many, only use it as a hint. With an `accept` of nothing but RAW
 * the answer is RAW at once, with no byte at all.
 */
size_t detect(const uint8_t *data, size_t len, unsigned accept, enum protocol *ret_protocol);
