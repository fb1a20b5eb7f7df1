// SPDX-License-Identifier: Apache-2.0
// The server's side of SOCKS4, 4a and 5: requests are parsed, replies are built.
#pragma once

#include "base/addr.h"
#include "base/host.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pure; any thread; nothing is allocated.
 *
 * Every parser gets all bytes received and not yet consumed, and returns
 *   > 0  how many of them the message took; `*ret_x` is filled, and its slices point into `data`
 *   0    more is needed; nothing is consumed or written, but `*ret_need` (where there is one and it
 *        is not NULL) is the least length at which the answer can be another; a message never
 *        needs more than its _MAX
 *   < 0  -SOCKS_E_x: what is there can never become a message. The reply to send, if there is one,
 *        comes from socks4_reply_of_error or socks5_reply_of_error, and then the connection closes.
 *
 * Order for a SOCKS5 server: socks5_parse_greeting, socks5_build_choice; for the method
 * SOCKS5_METHOD_PASSWORD socks5_parse_auth, socks5_build_auth_reply; socks5_parse_request,
 * socks5_build_reply (twice for BIND). A client may send several of these at once.
 */

enum socks_error {
	SOCKS_OK,
#define SOCKS_ERROR(name, text, help) SOCKS_E_##name,
#include "proto/socks/socks_errors.def"
#undef SOCKS_ERROR
	SOCKS_E_COUNT,
};

// Take an error as returned (negative) or as it is. "command"; "?" out of range.
const char *socks_error_name(int error);
// A sentence without full stop for logs: "the command is none of ...".
const char *socks_error_text(int error);

enum socks_command {
	SOCKS_CONNECT = 1,
	SOCKS_BIND = 2,
	SOCKS_UDP_ASSOCIATE = 3, // SOCKS5 only
};

// "connect", "bind", "udp-associate"; "?" otherwise.
const char *socks_command_name(unsigned command);

struct socks_request {
	uint8_t version; // 4 or 5
	uint8_t command; // enum socks_command
	bool named; // the client gave a name (4a, or address type 3), even if it holds an address
	/*
	 * The framing is right, but base/host.h does not take the name: 0, or its negative errno.
	 * `host` is then all zero but for its port; answer SOCKS5_REPLY_HOST_UNREACHABLE (or
	 * SOCKS4_REPLY_REJECTED).
	 */
	int host_error;
	struct host host;
	struct slice name; // as the client wrote it, unchecked: for logs, escaped; empty if !named
	struct slice user_id; // SOCKS4: without its NUL, unchecked; may be empty
};

/* SOCKS4 and 4a */

// 8 bytes, a user id and a name of at most 255 bytes, each with its NUL.
#define SOCKS4_REQUEST_MAX (8 + 256 + 256)
#define SOCKS4_REPLY_LEN 8

enum socks4_reply {
	SOCKS4_REPLY_GRANTED = 90,
	SOCKS4_REPLY_REJECTED = 91,
	SOCKS4_REPLY_NO_IDENTD = 92,
	SOCKS4_REPLY_USER_ID = 93,
};

int socks4_parse_request(const uint8_t *data, size_t len, struct socks_request *ret_request,
			 size_t *ret_need);
// `bound` may be NULL; an IPv6 address, which the reply cannot carry, is sent as 0.0.0.0.
size_t socks4_build_reply(uint8_t buf[static SOCKS4_REPLY_LEN], enum socks4_reply reply,
			  const struct endpoint *bound);
enum socks4_reply socks4_reply_of_error(int error);

/* SOCKS5 */

#define SOCKS5_GREETING_MAX (2 + 255)
#define SOCKS5_CHOICE_LEN 2
#define SOCKS5_AUTH_MAX (1 + 1 + 255 + 1 + 255)
#define SOCKS5_AUTH_REPLY_LEN 2
#define SOCKS5_REQUEST_MAX (4 + 1 + 255 + 2)
// What a server here sends; what a client must be able to read is as large as a request.
#define SOCKS5_REPLY_MAX (4 + 16 + 2)

enum socks5_method {
	SOCKS5_METHOD_NONE = 0x00,
	SOCKS5_METHOD_GSSAPI = 0x01,
	SOCKS5_METHOD_PASSWORD = 0x02,
	SOCKS5_METHOD_NO_ACCEPTABLE = 0xff,
};

enum socks5_reply {
#define SOCKS5_REPLY(name, code, error, text) SOCKS5_REPLY_##name = (code),
#include "proto/socks/socks_replies.def"
#undef SOCKS5_REPLY
};

struct socks5_greeting {
	struct slice methods; // one byte each, 1 to 255
};

struct socks5_auth {
	struct slice user;     // 0 to 255 bytes without a NUL, else unchecked
	struct slice password; // the same
};

int socks5_parse_greeting(const uint8_t *data, size_t len, struct socks5_greeting *ret_greeting,
			  size_t *ret_need);
bool socks5_greeting_offers(const struct socks5_greeting *greeting, enum socks5_method method);
size_t socks5_build_choice(uint8_t buf[static SOCKS5_CHOICE_LEN], enum socks5_method method);

// RFC 1929. An empty user name or password is passed on, since clients send them.
int socks5_parse_auth(const uint8_t *data, size_t len, struct socks5_auth *ret_auth,
		      size_t *ret_need);
size_t socks5_build_auth_reply(uint8_t buf[static SOCKS5_AUTH_REPLY_LEN], bool accepted);

int socks5_parse_request(const uint8_t *data, size_t len, struct socks_request *ret_request,
			 size_t *ret_need);
// `bound` may be NULL or AF_UNSPEC: 0.0.0.0:0 is sent. Returns the length: 10 or 22.
size_t socks5_build_reply(uint8_t buf[static SOCKS5_REPLY_MAX], enum socks5_reply reply,
			  const struct endpoint *bound);
// The code that answers a bad request: SOCKS_E_COMMAND is 7, SOCKS_E_ADDRESS_TYPE 8, others 1.
enum socks5_reply socks5_reply_of_error(int error);
// "host unreachable"; "?" for a code that RFC 1928 does not have.
const char *socks5_reply_text(unsigned reply);

/*
 * What became of a request, as a positive or negative errno, to the code that tells the client:
 * 0 succeeded; EACCES, EPERM not allowed; ENETUNREACH, ENETDOWN; EHOSTUNREACH, EHOSTDOWN, and
 * ENOENT, ENODATA, ENXIO for a name that does not resolve; ECONNREFUSED; ETIMEDOUT, ETIME to
 * TTL_EXPIRED (as other servers do); EOPNOTSUPP; EAFNOSUPPORT; everything else FAILURE.
 */
enum socks5_reply socks5_reply_of_errno(int error);
// 0 granted, else rejected.
enum socks4_reply socks4_reply_of_errno(int error);
// The other way, for a client: a negative errno (0 for SUCCEEDED), as in socks_replies.def; -EPROTO
// for an unknown code.
int socks5_errno_of_reply(unsigned reply);
