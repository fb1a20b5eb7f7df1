// SPDX-License-Identifier: Apache-2.0
// Takes records and the ClientHello apart, as a machine that is pushed bytes and never goes back.
#include "proto/tlshello/tlshello.h"

#include "proto/tlshello/tlshello_extensions.h"

#include <string.h>

#define RECORD_HEADER 5
#define RECORD_MAX (1 << 14)
#define HANDSHAKE_HEADER 4
#define EXTENSION_HEADER 4
// Version, random and the lengths, with one cipher suite and one compression method.
#define MESSAGE_MIN (2 + 32 + 1 + 2 + 2 + 1 + 1)

static const struct {
	const char *name, *text;
} ERRORS[] = {
	{"ok", "no error"},
#define TLSHELLO_ERROR(name, text, help) {text, help},
#include "proto/tlshello/tlshello_errors.def"
#undef TLSHELLO_ERROR
};

const char *tlshello_error_name(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < TLSHELLO_E_COUNT ? ERRORS[i].name : "?";
}

const char *tlshello_error_text(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < TLSHELLO_E_COUNT ? ERRORS[i].text : "?";
}

/*
 * The message is a row of fields. A state first passes over `skip` bytes, which belong to the field
 * before, then gathers `scratch_want` bytes in `scratch`; its step looks at them and says what is
 * next. Nothing is entered that the rest of the message has no room for.
 */
enum state {
	STATE_HEADER,      // type and length of the message
	STATE_VERSION,     // legacy_version, then the random is passed over
	STATE_SESSION_ID,  // length; the id is passed over
	STATE_CIPHERS,     // length; the suites are passed over
	STATE_COMPRESSION, // length; the methods are passed over
	STATE_EXTENSIONS,  // length of all extensions, unless the message ends before
	STATE_EXTENSION,   // type and length of one
	STATE_BODY,        // the whole body of one that is read
};

static int enter(struct tlshello *t, enum state state, uint16_t want, uint32_t skip)
{
	uint32_t rest;

	if (skip > t->message_left)
		return -TLSHELLO_E_LENGTH;
	rest = t->message_left - skip;
	// The message may end where extensions, or another one, could begin.
	if (want > rest && !(rest == 0 && (state == STATE_EXTENSIONS || state == STATE_EXTENSION)))
		return -TLSHELLO_E_LENGTH;
	t->state = (uint8_t)state;
	t->scratch_len = 0;
	t->scratch_want = want;
	t->skip = skip;
	return 0;
}

void tlshello_init(struct tlshello *t, size_t limit)
{
	memset(t, 0, sizeof(*t));
	t->limit = limit;
	t->message_left = HANDSHAKE_HEADER;
	enter(t, STATE_HEADER, HANDSHAKE_HEADER, 0);
}

static int step_header(struct tlshello *t)
{
	uint32_t len = (uint32_t)t->scratch[1] << 16 | (uint32_t)t->scratch[2] << 8 | t->scratch[3];

	if (len + HANDSHAKE_HEADER > t->limit)
		return -TLSHELLO_E_TOO_LARGE;
	t->message_left = len;
	return enter(t, STATE_VERSION, 2, 0);
}

static int step_version(struct tlshello *t)
{
	if (t->scratch[0] != 3)
		return -TLSHELLO_E_VERSION;
	t->legacy_version = (uint16_t)(t->scratch[0] << 8 | t->scratch[1]);
	// What a client without supported_versions says by this: any version up to it, and TLS 1.3
	// cannot be said so.
	if (t->scratch[1] == 0)
		t->versions = TLSHELLO_SSL3;
	else
		t->versions = (uint8_t)((2u << (t->scratch[1] > 3 ? 3 : t->scratch[1])) - 2);
	return enter(t, STATE_SESSION_ID, 1, 32);
}

// Whether the extension is one that is read; a bit for each, to find duplicates.
static uint8_t extension_bit(unsigned type)
{
	switch (type) {
	case TLSHELLO_EXTENSION_SERVER_NAME:
		return 1 << 0;
	case TLSHELLO_EXTENSION_ALPN:
		return 1 << 1;
	case TLSHELLO_EXTENSION_SUPPORTED_VERSIONS:
		return 1 << 2;
	case TLSHELLO_EXTENSION_EARLY_DATA:
		return 1 << 3;
	case TLSHELLO_EXTENSION_ECH:
		return 1 << 4;
	default:
		return 0;
	}
}

static int read_body_error(const struct tlshello *t)
{
	switch (t->extension_type) {
	case TLSHELLO_EXTENSION_SERVER_NAME:
		return -TLSHELLO_E_SERVER_NAME;
	case TLSHELLO_EXTENSION_ALPN:
		return -TLSHELLO_E_ALPN;
	default:
		return -TLSHELLO_E_SUPPORTED_VERSIONS;
	}
}

static int read_body(struct tlshello *t)
{
	switch (t->extension_type) {
	case TLSHELLO_EXTENSION_SERVER_NAME:
		return tlshello_read_server_name(t, t->scratch, t->scratch_len);
	case TLSHELLO_EXTENSION_ALPN:
		return tlshello_read_alpn(t, t->scratch, t->scratch_len);
	default:
		return tlshello_read_versions(t, t->scratch, t->scratch_len);
	}
}

static int step_extension(struct tlshello *t)
{
	uint32_t len = (uint32_t)t->scratch[2] << 8 | t->scratch[3];
	uint8_t bit;

	t->extension_type = (uint16_t)(t->scratch[0] << 8 | t->scratch[1]);
	if (len > t->message_left)
		return -TLSHELLO_E_LENGTH;
	bit = extension_bit(t->extension_type);
	if (t->seen_extensions & bit)
		return -TLSHELLO_E_DUPLICATE;
	t->seen_extensions |= bit;
	switch (t->extension_type) {
	case TLSHELLO_EXTENSION_SERVER_NAME:
	case TLSHELLO_EXTENSION_ALPN:
	case TLSHELLO_EXTENSION_SUPPORTED_VERSIONS:
		if (len > 0 && len <= sizeof(t->scratch))
			return enter(t, STATE_BODY, (uint16_t)len, 0);
		return read_body_error(t);
	case TLSHELLO_EXTENSION_EARLY_DATA:
		t->early_data = true;
		break;
	case TLSHELLO_EXTENSION_ECH:
		t->ech = true;
		break;
	default:
		break;
	}
	return enter(t, STATE_EXTENSION, EXTENSION_HEADER, len);
}

// The field of this state is complete.
static int step(struct tlshello *t)
{
	uint32_t value =
		t->scratch_want == 1 ? t->scratch[0] : (uint32_t)t->scratch[0] << 8 | t->scratch[1];
	int r;

	switch ((enum state)t->state) {
	case STATE_HEADER:
		return step_header(t);
	case STATE_VERSION:
		return step_version(t);
	case STATE_SESSION_ID:
		if (value > 32)
			return -TLSHELLO_E_SESSION_ID;
		return enter(t, STATE_CIPHERS, 2, value);
	case STATE_CIPHERS:
		if (value == 0 || value % 2 != 0)
			return -TLSHELLO_E_CIPHER_SUITES;
		return enter(t, STATE_COMPRESSION, 1, value);
	case STATE_COMPRESSION:
		if (value == 0)
			return -TLSHELLO_E_COMPRESSION;
		return enter(t, STATE_EXTENSIONS, 2, value);
	case STATE_EXTENSIONS:
		if (value != t->message_left)
			return -TLSHELLO_E_EXTENSIONS;
		return enter(t, STATE_EXTENSION, EXTENSION_HEADER, 0);
	case STATE_EXTENSION:
		return step_extension(t);
	case STATE_BODY:
		r = read_body(t);
		return r < 0 ? r : enter(t, STATE_EXTENSION, EXTENSION_HEADER, 0);
	}
	return -TLSHELLO_E_LENGTH;
}

/*
 * Bytes of the message, without records. Returns 1 at its end, an error, or 0: then all are used, or
 * those up to the message's length, so that the caller can hold that against its limit before an
 * error further on is found (and the answer does not depend on how the bytes were cut).
 */
static int push(struct tlshello *t, const uint8_t *data, size_t len, size_t *ret_used)
{
	size_t used = 0;
	bool header;
	int r;

	while (used < len && t->message_left > 0) {
		size_t left = len - used, n;

		if (t->skip > 0) {
			n = t->skip < left ? t->skip : left;
			t->skip -= (uint32_t)n;
		} else {
			n = (size_t)(t->scratch_want - t->scratch_len);
			n = n < left ? n : left;
			memcpy(t->scratch + t->scratch_len, data + used, n);
			t->scratch_len = (uint16_t)(t->scratch_len + n);
			// Told from the first byte, not after a length that may never come.
			if (t->state == STATE_HEADER && t->scratch[0] != 1)
				return -TLSHELLO_E_NOT_CLIENT_HELLO;
		}
		used += n;
		t->message_left -= (uint32_t)n;
		if (t->skip > 0 || t->scratch_len < t->scratch_want)
			continue;
		header = t->state == STATE_HEADER;
		r = step(t);
		if (r < 0)
			return r;
		if (header)
			break;
	}
	*ret_used = used;
	return t->message_left == 0;
}

static int finish(struct tlshello *t, int r)
{
	if (r < 0)
		t->error = r;
	else if (r > 0)
		t->finished = true;
	return r;
}

// One more byte of a record's header.
static int push_record_header(struct tlshello *t, uint8_t byte)
{
	unsigned len;

	t->record[t->record_len++] = byte;
	switch (t->record_len) {
	case 1:
		return byte == 22 ? 0 : -TLSHELLO_E_RECORD_TYPE;
	case 2:
		return byte == 3 ? 0 : -TLSHELLO_E_RECORD_VERSION;
	case 3:
		return byte <= 4 ? 0 : -TLSHELLO_E_RECORD_VERSION;
	case 4:
		return byte <= RECORD_MAX >> 8 ? 0 : -TLSHELLO_E_RECORD_LENGTH;
	default:
		len = (unsigned)t->record[3] << 8 | byte;
		if (len == 0 || len > RECORD_MAX)
			return -TLSHELLO_E_RECORD_LENGTH;
		t->record_left = len;
		t->record_len = 0;
		return 0;
	}
}

int tlshello_feed(struct tlshello *t, const uint8_t *data, size_t len)
{
	if (t->error < 0)
		return t->error;
	if (t->finished)
		return 1;
	while (t->seen < len) {
		size_t room = t->limit - t->seen, n = 1;
		int r;

		if (tlshello_missing(t) > room)
			return finish(t, -TLSHELLO_E_TOO_LARGE);
		if (t->record_left == 0) {
			r = push_record_header(t, data[t->seen]);
		} else {
			n = len - t->seen;
			n = n < t->record_left ? n : t->record_left;
			n = n < room ? n : room;
			r = push(t, data + t->seen, n, &n);
			if (r >= 0)
				t->record_left -= (uint32_t)n;
		}
		if (r != 0)
			return finish(t, r);
		t->seen += n;
	}
	return tlshello_missing(t) > t->limit - t->seen ? finish(t, -TLSHELLO_E_TOO_LARGE) : 0;
}

int tlshello_feed_message(struct tlshello *t, const uint8_t *data, size_t len)
{
	size_t used = 0, n;
	int r = 0;

	if (t->error < 0)
		return t->error;
	if (t->finished)
		return 1;
	t->bare = true;
	while (r == 0 && used < len) {
		r = push(t, data + used, len - used, &n);
		if (r >= 0)
			used += n;
	}
	return finish(t, r);
}

size_t tlshello_missing(const struct tlshello *t)
{
	size_t missing = t->message_left;

	if (t->state == STATE_HEADER)
		missing += MESSAGE_MIN;
	if (t->bare)
		return missing;
	if (t->record_left == 0)
		missing += RECORD_HEADER - t->record_len;
	else if (missing > t->record_left)
		missing += RECORD_HEADER;
	return missing;
}
