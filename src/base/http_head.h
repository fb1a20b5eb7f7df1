// SPDX-License-Identifier: Apache-2.0
// The head of a request or response as every HTTP version has it: control data and fields.
//
// Ownership and lifetime: a head owns nothing. Its slices point into the bytes it was parsed from
// (the receive buffer), into what a caller gave to an append or set, or into static text, and are
// good as long as those; when the receive buffer moves, http_head_rebase() follows it. The array
// of fields belongs to the caller, and its size is the limit on the number of fields.
// Threads: a head belongs to one thread; look-ups in tables are pure.
// The order of the fields is kept by everything here.
#pragma once

#include "base/slice.h"

#include <stdint.h>

enum http_method {
	HTTP_METHOD_OTHER, // any other token: look at method_name
#define M(id, name, flags, help) HTTP_METHOD_##id,
#include "base/http_methods.def"
#undef M
	HTTP_METHODS
};

enum http_method_flag {
	HTTP_METHOD_SAFE = 1 << 0,      // RFC 9110 9.2.1
	HTTP_METHOD_IDEMPOTENT = 1 << 1 // RFC 9110 9.2.2: may be retried
};

enum http_field_id {
	HTTP_FIELD_OTHER, // any other name
#define F(slot, id, name, flags, help) HTTP_FIELD_##id,
#include "base/http_fields.def"
#undef F
	HTTP_FIELDS
};

enum http_field_flag {
	HTTP_FIELD_HOP = 1 << 0,       // hop by hop: never forwarded as it is
	HTTP_FIELD_NO_TRAILER = 1 << 1 // must not count when it comes in a trailer section
};

enum http_version {
	HTTP_VERSION_NONE,
	HTTP_VERSION_1_0 = 10,
	HTTP_VERSION_1_1 = 11,
	HTTP_VERSION_2 = 20,
	HTTP_VERSION_3 = 30
};

// How a request names its target (RFC 9112 3.2); for HTTP/2 and 3 what it would be in HTTP/1.1.
enum http_target_form {
	HTTP_TARGET_ORIGIN,    // "/path?query"
	HTTP_TARGET_ABSOLUTE,  // "http://host:port/path?query"
	HTTP_TARGET_AUTHORITY, // "host:port", CONNECT only
	HTTP_TARGET_ASTERISK   // "*", OPTIONS only
};

struct http_field {
	struct slice name;
	struct slice value; // without white space at both ends
	uint8_t id;         // enum http_field_id
};

struct http_head {
	bool is_request;
	uint8_t version;     // enum http_version, of the message
	uint8_t method;      // enum http_method
	uint8_t target_form; // enum http_target_form
	uint16_t status;     // of a response: 100 to 999
	uint16_t field_count;
	uint16_t field_max;
	struct slice method_name;
	struct slice scheme; // "http", "https"; empty in origin-form
	// The effective one, host[:port]: absolute-form before Host. May be empty in HTTP/1.0.
	struct slice authority;
	// "/path?query", "*", or, after an absolute-form with an empty path, "?query": the writer
	// puts the "/" before that. Empty for CONNECT.
	struct slice path;
	struct slice protocol; // ":protocol" of an extended CONNECT (RFC 8441), else empty
	struct slice reason;   // of a response; may be empty
	struct http_field *fields;
	uint64_t maybe[2]; // a bit for each id that was ever appended: a quick "no" for look-ups
};
_Static_assert(HTTP_FIELDS <= 128, "http_head.maybe is too small");

// An empty head over a caller's array of max fields. All else is zero.
void http_head_init(struct http_head *head, struct http_field *fields, uint16_t max);

// Tables. Names are compared without regard to case for fields, with it for methods.
enum http_field_id http_field_lookup(struct slice name);
struct slice http_field_name(enum http_field_id id); // lower case; empty for HTTP_FIELD_OTHER
unsigned http_field_flags(enum http_field_id id);    // set of enum http_field_flag
enum http_method http_method_lookup(struct slice name);
struct slice http_method_name(enum http_method method); // empty for HTTP_METHOD_OTHER
unsigned http_method_flags(enum http_method method);    // set of enum http_method_flag
struct slice http_status_reason(unsigned status);       // empty when unknown

// Iteration: for (const struct http_field *f = head->fields; f < http_head_end(head); f++)
static inline struct http_field *http_head_end(const struct http_head *head)
{
	return head->fields + head->field_count;
}

static inline bool http_head_may_have(const struct http_head *head, enum http_field_id id)
{
	return head->maybe[id >> 6] >> (id & 63) & 1;
}

// The first field of that id or name, or the next one after `after` (NULL: the first). NULL: none.
struct http_field *http_head_find(const struct http_head *head, enum http_field_id id);
struct http_field *http_head_find_after(const struct http_head *head, enum http_field_id id,
					const struct http_field *after);
struct http_field *http_head_find_name(const struct http_head *head, struct slice name);
unsigned http_head_count(const struct http_head *head, enum http_field_id id);
// The value of the first such field; empty when there is none.
struct slice http_head_value(const struct http_head *head, enum http_field_id id);

// Appends a field; the slices are kept, not copied. 0, or
// -ENOBUFS: the array is full;
// -EINVAL: the name is no token, or the value has a byte that no field value may have, or space at
// an end. So nothing that is in a head can split a message.
int http_head_append(struct http_head *head, enum http_field_id id, struct slice value);
int http_head_append_name(struct http_head *head, struct slice name, struct slice value);
// The same without the checks, for a parser that has made them. The id must be the name's.
int http_head_append_checked(struct http_head *head, enum http_field_id id, struct slice name,
			     struct slice value);
// Replaces all fields of that id by one, at the place of the first. Errors as append.
int http_head_set(struct http_head *head, enum http_field_id id, struct slice value);
// These give the number of fields that they removed.
unsigned http_head_remove(struct http_head *head, enum http_field_id id);
unsigned http_head_remove_name(struct http_head *head, struct slice name);

// Whether a list-valued field (`Connection: close, foo`) has that member, in any of its lines,
// without regard to case. Parameters after ";" do not count: "trailers;q=0.5" has the member
// "trailers".
bool http_head_has_token(const struct http_head *head, enum http_field_id id, struct slice token);
// Whether Connection lists that field name. Its options have no parameters.
bool http_head_connection_lists(const struct http_head *head, struct slice name);

// Content-Length. 0; -ENOENT: there is none; -EBADMSG: several, a list, not a number, too large.
int http_head_content_length(const struct http_head *head, uint64_t *ret_length);
// Max-Forwards (RFC 9110 7.6.2). 0; -ENOENT; -EBADMSG.
int http_head_max_forwards(const struct http_head *head, uint64_t *ret_count);
// How often Via names this pseudonym: a request that comes back goes in a loop (RFC 9110 7.6.3).
unsigned http_head_via_count(const struct http_head *head, struct slice pseudonym);

// The bytes [from, from + len) are now at `to`: every slice inside moves along.
void http_head_rebase(struct http_head *head, const char *from, size_t len, const char *to);
