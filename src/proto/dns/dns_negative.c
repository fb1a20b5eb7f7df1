// SPDX-License-Identifier: Apache-2.0
// Walks over the sections of a DNS reply to the SOA of the authority section (RFC 1035, 4.1).
#include "proto/dns/dns_negative.h"

#include <errno.h>

enum {
	HEADER_LEN = 12,
	QUESTION_TAIL = 4, // QTYPE, QCLASS
	RECORD_TAIL = 10,  // TYPE, CLASS, TTL, RDLENGTH
	TYPE_SOA = 6,
	CLASS_IN = 1,
	SOA_TAIL = 20, // SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM
	POINTER = 0xc0,
};

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

// The offset behind the name at `at`, 0 if it is broken. A pointer ends a name: it is not followed.
static size_t skip_name(const uint8_t *message, size_t len, size_t at)
{
	while (at < len) {
		uint8_t label = message[at];
		if (label == 0)
			return at + 1;
		if ((label & POINTER) == POINTER)
			return at + 2 <= len ? at + 2 : 0;
		if (label & POINTER)
			return 0;
		at += 1U + label;
	}
	return 0;
}

// RFC 2181, 8: a TTL with its top bit set is zero.
static uint32_t ttl_of(uint32_t value)
{
	return value >> 31 ? 0 : value;
}

int64_t dns_negative_ttl(const uint8_t *message, size_t len)
{
	if (len < HEADER_LEN)
		return -EBADMSG;
	uint32_t questions = get16(message + 4), answers = get16(message + 6);
	uint32_t records = answers + get16(message + 8);
	size_t at = HEADER_LEN;

	for (uint32_t i = 0; i < questions; i++) {
		at = skip_name(message, len, at);
		if (at == 0 || len - at < QUESTION_TAIL)
			return -EBADMSG;
		at += QUESTION_TAIL;
	}
	for (uint32_t i = 0; i < records; i++) {
		at = skip_name(message, len, at);
		if (at == 0 || len - at < RECORD_TAIL)
			return -EBADMSG;
		const uint8_t *record = message + at;
		size_t data_len = get16(record + 8);
		at += RECORD_TAIL;
		if (len - at < data_len)
			return -EBADMSG;
		if (i >= answers && get16(record) == TYPE_SOA && get16(record + 2) == CLASS_IN &&
		    data_len >= SOA_TAIL) {
			uint32_t ttl = ttl_of(get32(record + 4));
			uint32_t minimum = ttl_of(get32(message + at + data_len - 4));
			return ttl < minimum ? ttl : minimum;
		}
		at += data_len;
	}
	return -ENODATA;
}
