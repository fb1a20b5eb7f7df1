// SPDX-License-Identifier: Apache-2.0
// Parses PROXY protocol headers.
#include "proto/proxyproto/proxyproto.h"

#include <string.h>

static const uint8_t SIGNATURE[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
				      '\n', 'Q',  'U',  'I',  'T', '\n'};

#define V2_HEADER 16

static const struct {
	const char *name, *text;
} ERRORS[] = {
	{"ok", "no error"},
#define PROXYPROTO_ERROR(name, text, help) {text, help},
#include "proto/proxyproto/proxyproto_errors.def"
#undef PROXYPROTO_ERROR
};

const char *proxyproto_error_name(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < PROXYPROTO_E_COUNT ? ERRORS[i].name : "?";
}

const char *proxyproto_error_text(int error)
{
	unsigned i = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return i < PROXYPROTO_E_COUNT ? ERRORS[i].text : "?";
}

static bool begins(const uint8_t *data, size_t len, const void *prefix, size_t prefix_len)
{
	return memcmp(data, prefix, len < prefix_len ? len : prefix_len) == 0;
}

// Takes the text up to the next space, or up to the end, off `*line`; false if that is empty.
static bool next_field(struct slice *line, struct slice *ret_field)
{
	const char *space = line->len ? memchr(line->data, ' ', line->len) : NULL;
	size_t len = space ? (size_t)(space - line->data) : line->len;

	if (len == 0)
		return false;
	*ret_field = slice_make(line->data, len);
	line->data += len;
	line->len -= len;
	if (space) {
		line->data++;
		line->len--;
		// A space has something behind it.
		return line->len > 0;
	}
	return true;
}

static bool parse_address(struct slice ip, struct slice port, bool v6, struct endpoint *ret_ep)
{
	// The text tells the family, since an IPv4-mapped address will come out as IPv4.
	if ((memchr(ip.data, ':', ip.len) != NULL) != v6 ||
	    endpoint_parse_ip(ip.data, ip.len, ret_ep) < 0)
		return false;
	if (port.len > 1 && port.data[0] == '0')
		return false;
	return endpoint_parse_port(port.data, port.len, &ret_ep->port) == 0;
}

// `line` is what stands between "PROXY " and the CRLF.
static int parse_line(struct slice line, struct proxyproto *h)
{
	struct slice protocol, field[4];
	bool v6;

	if (slice_equal(line, SLICE("UNKNOWN")) ||
	    (line.len > 8 && memcmp(line.data, "UNKNOWN ", 8) == 0)) {
		// Whatever stands there is to be ignored.
		h->kind = PROXYPROTO_UNKNOWN;
		return 0;
	}
	if (!next_field(&line, &protocol))
		return -PROXYPROTO_E_LINE_FORMAT;
	v6 = slice_equal(protocol, SLICE("TCP6"));
	if (!v6 && !slice_equal(protocol, SLICE("TCP4")))
		return -PROXYPROTO_E_LINE_FORMAT;
	for (int i = 0; i < 4; i++)
		if (!next_field(&line, &field[i]))
			return -PROXYPROTO_E_LINE_FORMAT;
	if (line.len > 0)
		return -PROXYPROTO_E_LINE_FORMAT;
	if (!parse_address(field[0], field[2], v6, &h->source) ||
	    !parse_address(field[1], field[3], v6, &h->destination))
		return -PROXYPROTO_E_ADDRESS;
	h->kind = PROXYPROTO_PROXIED;
	h->transport = PROXYPROTO_STREAM;
	return 0;
}

static int parse_v1(const uint8_t *data, size_t len, struct proxyproto *ret_header,
		    size_t *ret_need)
{
	struct proxyproto h = {.version = 1};
	size_t i = 6;
	int r;

	while (i < len && i < PROXYPROTO_V1_MAX && data[i] >= ' ' && data[i] < 0x7f)
		i++;
	// The CR and the LF must be within the limit too.
	if (i >= PROXYPROTO_V1_MAX - 1)
		return -PROXYPROTO_E_LINE_LENGTH;
	*ret_need = len < i + 2 ? i + 2 : len + 1;
	if (i >= len)
		return 0;
	if (data[i] != '\r')
		return -PROXYPROTO_E_LINE_FORMAT;
	if (i + 1 >= len)
		return 0;
	if (data[i + 1] != '\n')
		return -PROXYPROTO_E_LINE_FORMAT;
	r = parse_line(slice_make((const char *)data + 6, i - 6), &h);
	if (r < 0)
		return r;
	*ret_header = h;
	return (int)i + 2;
}

// CRC32c (Castagnoli) of the header with the checksum's own four bytes taken as zero.
static uint32_t crc32c(const uint8_t *data, size_t len, size_t zero_at)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= i - zero_at < 4 ? 0 : data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

bool proxyproto_next_tlv(struct slice *tlvs, uint8_t *ret_type, struct slice *ret_value)
{
	const uint8_t *p = (const uint8_t *)tlvs->data;
	size_t len;

	if (tlvs->len < 3)
		return false;
	len = (size_t)p[1] << 8 | p[2];
	if (len > tlvs->len - 3)
		return false;
	*ret_type = p[0];
	*ret_value = slice_make(tlvs->data + 3, len);
	tlvs->data += 3 + len;
	tlvs->len -= 3 + len;
	return true;
}

static int check_tlvs(const uint8_t *data, size_t len, struct slice tlvs)
{
	bool checked = false;
	struct slice value;
	uint8_t type;

	while (proxyproto_next_tlv(&tlvs, &type, &value)) {
		const uint8_t *v = (const uint8_t *)value.data;
		uint32_t want;

		if (type != PROXYPROTO_TLV_CRC32C)
			continue;
		if (value.len != 4 || checked)
			return -PROXYPROTO_E_TLV;
		checked = true;
		want = (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
		if (crc32c(data, len, (size_t)(v - data)) != want)
			return -PROXYPROTO_E_CHECKSUM;
	}
	return tlvs.len == 0 ? 0 : -PROXYPROTO_E_TLV;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static int parse_v2(const uint8_t *data, size_t len, struct proxyproto *ret_header,
		    size_t *ret_need)
{
	static const uint8_t sizes[] = {0, 12, 36, 216};
	struct proxyproto h = {.version = 2};
	const uint8_t *a = data + V2_HEADER;
	size_t total, addresses;
	unsigned family;
	int r;

	*ret_need = V2_HEADER;
	if (len > 12 && data[12] >> 4 != 2)
		return -PROXYPROTO_E_VERSION;
	if (len > 12 && (data[12] & 0xf) > 1)
		return -PROXYPROTO_E_COMMAND;
	if (len > 13 && (data[13] >> 4 > 3 || (data[13] & 0xf) > 2))
		return -PROXYPROTO_E_FAMILY;
	if (len < V2_HEADER)
		return 0;
	total = V2_HEADER + (size_t)get16(data + 14);
	family = data[13] >> 4;
	addresses = sizes[family];
	if (total > PROXYPROTO_MAX)
		return -PROXYPROTO_E_TOO_LONG;
	h.kind = (data[12] & 0xf) == 0 ? PROXYPROTO_LOCAL : PROXYPROTO_UNKNOWN;
	if (h.kind != PROXYPROTO_LOCAL && total < V2_HEADER + addresses)
		return -PROXYPROTO_E_TOO_SHORT;
	*ret_need = total;
	if (len < total)
		return 0;
	if (h.kind == PROXYPROTO_LOCAL) {
		// All that follows is to be discarded, whatever the family says.
		*ret_header = h;
		return (int)total;
	}
	h.tlvs = slice_make((const char *)a + addresses, total - V2_HEADER - addresses);
	r = check_tlvs(data, total, h.tlvs);
	if (r < 0)
		return r;
	h.transport = data[13] & 0xf;
	if (h.transport != PROXYPROTO_UNSPECIFIED) {
		if (family == 1) {
			h.kind = PROXYPROTO_PROXIED;
			h.source = endpoint_v4_bytes(a, get16(a + 8));
			h.destination = endpoint_v4_bytes(a + 4, get16(a + 10));
		} else if (family == 2) {
			h.kind = PROXYPROTO_PROXIED;
			h.source = endpoint_v6(a, get16(a + 32), 0);
			h.destination = endpoint_v6(a + 16, get16(a + 34), 0);
		}
	}
	*ret_header = h;
	return (int)total;
}

int proxyproto_parse(const uint8_t *data, size_t len, struct proxyproto *ret_header,
		     size_t *ret_need)
{
	size_t need;

	if (!ret_need)
		ret_need = &need;
	if (len == 0) {
		*ret_need = 15; // "PROXY UNKNOWN\r\n"
		return 0;
	}
	if (begins(data, len, "PROXY ", 6)) {
		*ret_need = 15;
		return len < 6 ? 0 : parse_v1(data, len, ret_header, ret_need);
	}
	if (begins(data, len, SIGNATURE, sizeof(SIGNATURE))) {
		*ret_need = V2_HEADER;
		return len < sizeof(SIGNATURE) ? 0 : parse_v2(data, len, ret_header, ret_need);
	}
	return -PROXYPROTO_E_SIGNATURE;
}
