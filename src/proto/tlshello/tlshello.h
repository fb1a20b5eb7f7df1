// SPDX-License-Identifier: Apache-2.0
// Reads a TLS ClientHello (SNI, ALPN, versions) out of the bytes of a connection, decrypting
// nothing.
#pragma once

#include "base/host.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RFC 8446 (4.1.2, 5.1), 6066 (3), 7301, 8701. Sans-IO; one thread; about 1.1 KB, nothing to
 * release.
 *
 * The ClientHello may come in any segments and be split over any number of records, at any place.
 * Each byte is looked at once, however many calls there are. The result holds copies, no pointers
 * into the input.
 */

// Bytes of ALPN (with their length bytes), SNI or versions that a hello may have; a real one has
// some 30.
#define TLSHELLO_EXTENSION_MAX 512
// A good limit for tlshello_init: a post-quantum hello is below 2 KB, and one with client hints and
// tickets below 16 KB.
#define TLSHELLO_LIMIT_DEFAULT (64 * 1024)

enum tlshello_error {
	TLSHELLO_OK,
#define TLSHELLO_ERROR(name, text, help) TLSHELLO_E_##name,
#include "proto/tlshello/tlshello_errors.def"
#undef TLSHELLO_ERROR
	TLSHELLO_E_COUNT,
};

// Take an error as returned (negative) or as it is; "?" out of range.
const char *tlshello_error_name(int error);
const char *tlshello_error_text(int error);

// Bits of tlshello.versions.
enum tlshello_versions {
	TLSHELLO_SSL3 = 1 << 0,
	TLSHELLO_TLS10 = 1 << 1,
	TLSHELLO_TLS11 = 1 << 2,
	TLSHELLO_TLS12 = 1 << 3,
	TLSHELLO_TLS13 = 1 << 4,
};

struct tlshello {
	/* the result, when tlshello_feed returned 1 */
	uint16_t legacy_version; // as in the message: 0x0303 for TLS 1.2 and 1.3
	uint8_t versions;        // supported_versions without GREASE and drafts; without that
				 // extension all from TLS 1.0 (or SSL 3) up to legacy_version
	bool has_sni;            // there was a host_name
	/*
	 * 0, or why base/host.h does not take it: its negative errno, and -EDOM for an IPv4 address
	 * (RFC 6066 has none; so a name never is an address). `sni` is then empty.
	 */
	int sni_error;
	uint8_t sni_len;
	bool has_alpn;
	bool ech;        // encrypted_client_hello is there: `sni` is the outer, public name
	bool early_data; // the client sends 0-RTT data right behind
	uint16_t alpn_len;
	char sni[HOST_NAME_MAX_LEN + 1]; // lower case, no trailing dot, NUL-terminated
	/* private */
	size_t limit, seen;    // bytes on the wire
	uint32_t record_left;  // payload still to come of this record; 0: its header is next
	uint32_t message_left; // of the message, beginning with its header
	uint32_t skip;         // bytes to pass over before the field
	uint16_t scratch_len, scratch_want;
	uint16_t extension_type;
	uint8_t state, seen_extensions, record_len;
	bool bare, finished;
	int error;
	uint8_t record[5];
	uint8_t alpn[TLSHELLO_EXTENSION_MAX]; // see tlshello_next_alpn
	uint8_t scratch[TLSHELLO_EXTENSION_MAX];
};

// `limit` bounds what is taken off the wire for one hello, record headers included.
void tlshello_init(struct tlshello *t, size_t limit);

/*
 * `data` is everything received since the connection (or TLS on it) began: each call gets what the
 * last one got, and more behind it. Returns 1 when the ClientHello is complete (and from then on),
 * 0 when more is needed, -TLSHELLO_E_x as soon as it can only be wrong (and from then on).
 */
int tlshello_feed(struct tlshello *t, const uint8_t *data, size_t len);

/*
 * The same for a hello that comes without records, as in QUIC CRYPTO frames: `data` is only what is
 * new, in order. Not to be mixed with tlshello_feed.
 */
int tlshello_feed_message(struct tlshello *t, const uint8_t *data, size_t len);

// After a 0: how many bytes must come at least; 1 or more.
size_t tlshello_missing(const struct tlshello *t);

/*
 * The client's protocols in order of preference, without GREASE: start with `*pos` 0; false at the
 * end. The slice points into `t`, has 1 to 255 bytes of any kind, and is to be escaped in logs.
 */
bool tlshello_next_alpn(const struct tlshello *t, size_t *pos, struct slice *ret_protocol);
// Whether the client offers `protocol`, such as SLICE("h2").
bool tlshello_offers(const struct tlshello *t, struct slice protocol);
// The highest of `versions` as "TLSv1.3"; "?" if there is none.
const char *tlshello_version_name(const struct tlshello *t);
