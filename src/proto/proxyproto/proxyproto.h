// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, versions 1 and 2: parsed from trusted peers, built towards targets.
#pragma once

#include "base/addr.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * After haproxy's doc/proxy-protocol.txt. Pure; any thread; nothing is allocated. Strict: version 1
 * has single spaces, no leading zeros and CRLF; in version 2 all lengths fit, and a CRC32c that is
 * there is right.
 */

// A version 1 line with its CRLF is never longer.
#define PROXYPROTO_V1_MAX 107
// The longest version 2 header that is accepted, TLVs and all.
#define PROXYPROTO_MAX 4096
// What the builders write at most.
#define PROXYPROTO_V1_BUILD_MAX (PROXYPROTO_V1_MAX + 1)
#define PROXYPROTO_V2_BUILD_MAX (16 + 36)

enum proxyproto_error {
	PROXYPROTO_OK,
#define PROXYPROTO_ERROR(name, text, help) PROXYPROTO_E_##name,
#include "proto/proxyproto/proxyproto_errors.def"
#undef PROXYPROTO_ERROR
	PROXYPROTO_E_COUNT,
};

// Take an error as returned (negative) or as it is; "?" out of range.
const char *proxyproto_error_name(int error);
const char *proxyproto_error_text(int error);

enum proxyproto_kind {
	PROXYPROTO_LOCAL,   // the sender's own connection (a health check): use the real addresses
	PROXYPROTO_UNKNOWN, // v1 UNKNOWN, v2 unspecified or UNIX: proxied, but for whom is not said
	PROXYPROTO_PROXIED, // `source` and `destination` are set
};

enum proxyproto_transport {
	PROXYPROTO_UNSPECIFIED,
	PROXYPROTO_STREAM,
	PROXYPROTO_DATAGRAM,
};

struct proxyproto {
	uint8_t version;   // 1 or 2
	uint8_t kind;      // enum proxyproto_kind
	uint8_t transport; // enum proxyproto_transport
	struct endpoint source;
	struct endpoint destination;
	struct slice tlvs; // v2, unless LOCAL: all TLVs, well-formed; in `data`
};

/*
 * `data` is everything received so far. Returns the header's length (what follows is the client's)
 * and fills `*ret_header`; 0 when more is needed, with the least length at which the answer can be
 * another in `*ret_need` (may be NULL); or -PROXYPROTO_E_x, as early as it is certain.
 */
int proxyproto_parse(const uint8_t *data, size_t len, struct proxyproto *ret_header,
		     size_t *ret_need);

enum proxyproto_tlv {
	PROXYPROTO_TLV_ALPN = 0x01,
	PROXYPROTO_TLV_AUTHORITY = 0x02,
	PROXYPROTO_TLV_CRC32C = 0x03,
	PROXYPROTO_TLV_NOOP = 0x04,
	PROXYPROTO_TLV_UNIQUE_ID = 0x05,
	PROXYPROTO_TLV_SSL = 0x20,
	PROXYPROTO_TLV_NETNS = 0x30,
};

// Takes the first TLV off `*tlvs`; false when there is none.
bool proxyproto_next_tlv(struct slice *tlvs, uint8_t *ret_type, struct slice *ret_value);

/*
 * Headers towards a target; the length is returned. Addresses of two families are both written as
 * IPv6. If either is NULL or unset: v1 says UNKNOWN; v2 is LOCAL if both are, else PROXY with an
 * unspecified family. v1 knows only streams and has a NUL behind its line.
 */
size_t proxyproto_build_v1(char buf[static PROXYPROTO_V1_BUILD_MAX], const struct endpoint *source,
			   const struct endpoint *destination);
size_t proxyproto_build_v2(uint8_t buf[static PROXYPROTO_V2_BUILD_MAX],
			   const struct endpoint *source, const struct endpoint *destination,
			   enum proxyproto_transport transport);
