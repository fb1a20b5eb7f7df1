// SPDX-License-Identifier: Apache-2.0
// Reads SNI, ALPN and supported versions out of their extensions.
#include "proto/tlshello/tlshello_extensions.h"

#include <string.h>

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

// RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa are there to be ignored.
static bool is_grease(uint16_t value)
{
	return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

// RFC 6066, 3: a list of {type, length, name}, of which only host_name (0) was ever defined.
int tlshello_read_server_name(struct tlshello *t, const uint8_t *data, size_t len)
{
	if (len < 2 || get16(data) != len - 2 || len == 2)
		return -TLSHELLO_E_SERVER_NAME;
	data += 2;
	len -= 2;
	while (len > 0) {
		size_t size;
		int r;

		if (len < 3 || get16(data + 1) > len - 3)
			return -TLSHELLO_E_SERVER_NAME;
		size = get16(data + 1);
		if (data[0] == 0) {
			// "MUST NOT contain more than one name of the same name_type."
			if (t->has_sni || size == 0)
				return -TLSHELLO_E_SERVER_NAME;
			t->has_sni = true;
			r = host_normalise_name((const char *)data + 3, size, t->sni);
			if (r < 0) {
				memset(t->sni, 0, sizeof(t->sni));
				t->sni_error = r;
			} else {
				t->sni_len = (uint8_t)r;
			}
		}
		data += 3 + size;
		len -= 3 + size;
	}
	return 0;
}

// RFC 7301, 3.1: a list of {length, name}. Kept as it is, but for GREASE.
int tlshello_read_alpn(struct tlshello *t, const uint8_t *data, size_t len)
{
	if (len < 4 || get16(data) != len - 2 || len - 2 > sizeof(t->alpn))
		return -TLSHELLO_E_ALPN;
	data += 2;
	len -= 2;
	while (len > 0) {
		size_t size = 1u + data[0];

		if (size == 1 || size > len)
			return -TLSHELLO_E_ALPN;
		if (size != 3 || !is_grease(get16(data + 1))) {
			memcpy(t->alpn + t->alpn_len, data, size);
			t->alpn_len = (uint16_t)(t->alpn_len + size);
		}
		data += size;
		len -= size;
	}
	t->has_alpn = true;
	return 0;
}

// RFC 8446, 4.2.1.
int tlshello_read_versions(struct tlshello *t, const uint8_t *data, size_t len)
{
	if (len < 3 || data[0] != len - 1 || data[0] % 2 != 0)
		return -TLSHELLO_E_SUPPORTED_VERSIONS;
	t->versions = 0;
	for (size_t i = 1; i < len; i += 2) {
		uint16_t version = get16(data + i);

		if (version >= 0x0300 && version <= 0x0304)
			t->versions |= (uint8_t)(1u << (version - 0x0300));
	}
	return 0;
}

bool tlshello_next_alpn(const struct tlshello *t, size_t *pos, struct slice *ret_protocol)
{
	if (*pos >= t->alpn_len)
		return false;
	*ret_protocol = slice_make((const char *)t->alpn + *pos + 1, t->alpn[*pos]);
	*pos += 1u + t->alpn[*pos];
	return true;
}

bool tlshello_offers(const struct tlshello *t, struct slice protocol)
{
	struct slice offered;
	size_t pos = 0;

	while (tlshello_next_alpn(t, &pos, &offered))
		if (slice_equal(offered, protocol))
			return true;
	return false;
}

const char *tlshello_version_name(const struct tlshello *t)
{
	static const char *const names[] = {"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"};

	for (int i = 4; i >= 0; i--)
		if (t->versions & 1u << i)
			return names[i];
	return "?";
}
