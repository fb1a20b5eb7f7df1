// SPDX-License-Identifier: Apache-2.0
// ClientHellos: two bytes choose the limit and the cut, the rest is the wire. However the bytes are
// cut, the answer comes at the same place and is the same; so it is when the records are others.
#include "fuzz_target.h"

#include "check.h"
#include "proto/tlshello/tlshello.h"

#include <string.h>

// Feeds in steps of `cut` until there is an answer.
static int feed(struct tlshello *t, const uint8_t *data, size_t size, size_t limit, size_t cut)
{
	size_t n = 0;
	int r;

	tlshello_init(t, limit);
	do {
		n = size - n < cut ? size : n + cut;
		r = tlshello_feed(t, data, n);
		if (r == 0)
			CHECK(tlshello_missing(t) > 0 && tlshello_missing(t) <= limit - n);
	} while (r == 0 && n < size);
	return r;
}

static void check_result(const struct tlshello *t)
{
	struct slice protocol;
	char buf[HOST_NAME_MAX_LEN + 1];
	size_t pos = 0, total = 0;

	CHECK(t->sni_len <= HOST_NAME_MAX_LEN && strlen(t->sni) == t->sni_len);
	CHECK(t->has_sni || (t->sni_len == 0 && t->sni_error == 0));
	if (t->has_sni)
		CHECK((t->sni_error == 0) == (t->sni_len > 0));
	if (t->sni_len > 0)
		CHECK(host_normalise_name(t->sni, t->sni_len, buf) == t->sni_len &&
		      memcmp(buf, t->sni, t->sni_len) == 0);
	while (tlshello_next_alpn(t, &pos, &protocol)) {
		CHECK(protocol.len >= 1 && protocol.len <= 255);
		CHECK(tlshello_offers(t, protocol));
		total += 1 + protocol.len;
	}
	CHECK(total == t->alpn_len);
	CHECK(t->legacy_version >> 8 == 3);
}

static void same_result(const struct tlshello *a, const struct tlshello *b)
{
	CHECK(a->legacy_version == b->legacy_version && a->versions == b->versions);
	CHECK(a->has_sni == b->has_sni && a->sni_error == b->sni_error);
	CHECK(memcmp(a->sni, b->sni, sizeof(a->sni)) == 0);
	CHECK(a->alpn_len == b->alpn_len && memcmp(a->alpn, b->alpn, a->alpn_len) == 0);
	CHECK(a->ech == b->ech && a->early_data == b->early_data);
}

// The same message, told without records and with records of one byte.
static void check_other_records(const struct tlshello *want, const uint8_t *data, size_t size)
{
	static uint8_t message[1 << 16], wire[6 << 16];
	static struct tlshello t;
	size_t len = 0, at = 0, total;

	while (at + 5 <= size) {
		size_t n = (size_t)data[at + 3] << 8 | data[at + 4];

		at += 5;
		n = n < size - at ? n : size - at;
		if (n > sizeof(message) - len)
			return;
		memcpy(message + len, data + at, n);
		len += n;
		at += n;
		// What follows the message is no concern of the parser's, and may be anything.
		if (len >= 4) {
			total = 4 +
				((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
			if (len >= total) {
				len = total;
				break;
			}
		}
	}
	tlshello_init(&t, sizeof(message));
	CHECK(tlshello_feed_message(&t, message, len) == 1);
	same_result(want, &t);
	for (size_t i = 0; i < len; i++) {
		memcpy(wire + 6 * i, "\x16\3\1\0\1", 5);
		wire[6 * i + 5] = message[i];
	}
	tlshello_init(&t, sizeof(wire));
	CHECK(tlshello_feed(&t, wire, 6 * len) == 1);
	same_result(want, &t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlshello whole, cut, bytes;
	size_t limit, step;
	int r;

	if (size < 2)
		return 0;
	limit = data[0] == 0 ? TLSHELLO_LIMIT_DEFAULT : (size_t)data[0] * 32;
	step = 1 + data[1];
	data += 2;
	size -= 2;
	r = feed(&whole, data, size, limit, SIZE_MAX / 2);
	CHECK(feed(&cut, data, size, limit, step) == r);
	CHECK(feed(&bytes, data, size, limit, 1) == r);
	CHECK(whole.seen == bytes.seen || r != 0);
	CHECK(r <= 1 && r > -TLSHELLO_E_COUNT);
	if (r == 1) {
		check_result(&whole);
		same_result(&whole, &cut);
		same_result(&whole, &bytes);
		check_other_records(&whole, data, size);
	}
	return 0;
}
