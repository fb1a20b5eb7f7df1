// SPDX-License-Identifier: Apache-2.0
// A destination as a client or the configuration names it: an address or a checked DNS name.
#pragma once

#include "base/addr.h"

/*
 * Pure; any thread.
 *
 * A name that has got into a `struct host` is safe for a resolver, a log line and a comparison:
 * - letters are lower case; one trailing dot ("example.com.") is dropped;
 * - 1 to 253 bytes; each label has 1 to 63 of a-z, 0-9, hyphen and underscore, and the name does
 *   not begin with a hyphen (it might be taken for an option); other hyphens are where they like,
 *   since such names exist;
 * - it is not a number in disguise: the last label is neither all digits nor "0x" with hex digits.
 *   "127.1", "0x7f000001", "2130706433", "017700000001", "1.2.3.4.5" and "010.0.0.1" are refused
 *   (-EDOM), since some resolvers take them for addresses;
 * - it is not an address: "127.0.0.1", "127.0.0.1.", "::1", "[::1]" and "[::ffff:127.0.0.1]"
 *   become HOST_ADDRESS. A zone ("fe80::1%eth0") is refused: a client has no say in interfaces.
 * So IDNs come as their A-labels ("xn--..."); raw UTF-8 is refused.
 */

#define HOST_NAME_MAX_LEN 253
#define HOST_LABEL_MAX_LEN 63
// Room for a formatted host with its port and a NUL.
#define HOST_STRLEN 264

enum host_kind {
	HOST_NONE, // the all-zero value
	HOST_ADDRESS,
	HOST_NAME,
};

// No undefined byte when made by these functions; unused ones are zero.
struct host {
	uint8_t kind;     // enum host_kind
	uint8_t name_len; // HOST_NAME: 1..253
	uint16_t port;    // host order; for HOST_ADDRESS the same as address.port
	union {
		struct endpoint address;          // HOST_ADDRESS
		char name[HOST_NAME_MAX_LEN + 3]; // HOST_NAME; NUL-terminated, zero-filled
	};
};

/*
 * The errors of all parsers here, on which `*ret_host` is not touched. host_error_text says each in
 * a few words that fit after "host name: ".
 * -EINVAL        empty, an empty label, bad brackets or address, missing or bad port
 * -EILSEQ        a byte that a name may not have (NUL, space, '/', '@', ':', non-ASCII ...)
 * -ENAMETOOLONG  a label over 63 or a name over 253 bytes
 * -EDOM          a number in disguise
 */
const char *host_error_text(int error);

// `name` as it stands in a SOCKS request: a name or an address, bracketed or not, without a port.
int host_from_name(const char *name, size_t len, uint16_t port, struct host *ret_host);
// `ep` must be set.
struct host host_from_endpoint(const struct endpoint *ep);

/*
 * "example.com:443", "192.0.2.1:443", "[2001:db8::1]:443" (RFC 9110 authority without userinfo; an
 * IPv6 address needs its brackets). Without a port, or with an empty one ("example.com:"),
 * `default_port` is taken, or it is -EINVAL when that is 0. Port 0 is -EINVAL.
 */
int host_parse(const char *text, size_t len, uint16_t default_port, struct host *ret_host);

bool host_equal(const struct host *a, const struct host *b);

// "example.com:443", "192.0.2.1:443", "[2001:db8::1]:443"; "-" for HOST_NONE. Returns the length.
size_t host_format(const struct host *host, char buf[static HOST_STRLEN]);
// The same without the port: "example.com", "192.0.2.1", "2001:db8::1".
size_t host_format_name(const struct host *host, char buf[static HOST_STRLEN]);

/*
 * Only the rules for names: check `name` and write it lower-cased, without trailing dot, to
 * `buf[0..len]` with a NUL. Returns its length, or one of the errors above; -EDOM also for a
 * well-formed IPv4 address.
 */
int host_normalise_name(const char *name, size_t len, char buf[static HOST_NAME_MAX_LEN + 1]);
