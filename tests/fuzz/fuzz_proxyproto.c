// SPDX-License-Identifier: Apache-2.0
// PROXY protocol headers: a prefix needs more or has the same answer, TLVs lie within the header, and
// addresses that were parsed can be built and parsed again in both versions.
#include "fuzz_target.h"

#include "check.h"
#include "proto/proxyproto/proxyproto.h"

#include <string.h>

static void check_tlvs(const struct proxyproto *h, const uint8_t *data, int used)
{
	struct slice tlvs = h->tlvs, value;
	uint8_t type;

	while (proxyproto_next_tlv(&tlvs, &type, &value))
		CHECK((const uint8_t *)value.data >= data + 16 &&
		      (const uint8_t *)value.data + value.len <= data + used);
	CHECK(tlvs.len == 0);
}

static void round_trip(const struct endpoint *source, const struct endpoint *destination)
{
	char line[PROXYPROTO_V1_BUILD_MAX];
	uint8_t header[PROXYPROTO_V2_BUILD_MAX];
	struct proxyproto h;
	size_t len = proxyproto_build_v1(line, source, destination);

	CHECK(len <= PROXYPROTO_V1_MAX && line[len] == '\0');
	CHECK(proxyproto_parse((uint8_t *)line, len, &h, NULL) == (int)len);
	CHECK(h.kind == PROXYPROTO_PROXIED && h.version == 1);
	CHECK(endpoint_equal(&h.source, source) && endpoint_equal(&h.destination, destination));
	len = proxyproto_build_v2(header, source, destination, PROXYPROTO_STREAM);
	CHECK(len <= sizeof(header));
	CHECK(proxyproto_parse(header, len, &h, NULL) == (int)len);
	CHECK(h.kind == PROXYPROTO_PROXIED && h.version == 2);
	CHECK(endpoint_equal(&h.source, source) && endpoint_equal(&h.destination, destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxyproto h, other;
	size_t need = 0;
	int whole = proxyproto_parse(data, size, &h, &need);

	if (whole > 0) {
		CHECK((size_t)whole <= size && whole <= PROXYPROTO_MAX);
		CHECK((h.kind == PROXYPROTO_PROXIED) == endpoint_is_set(&h.source));
		CHECK(endpoint_is_set(&h.source) == endpoint_is_set(&h.destination));
		check_tlvs(&h, data, whole);
		if (h.kind == PROXYPROTO_PROXIED)
			round_trip(&h.source, &h.destination);
	} else if (whole == 0) {
		CHECK(need > size && need <= PROXYPROTO_MAX);
	} else {
		CHECK(whole > -PROXYPROTO_E_COUNT);
	}
	for (size_t n = 0; n < size && n <= PROXYPROTO_MAX; n += n < 256 ? 1 : 1 + n / 16) {
		int r = proxyproto_parse(data, n, &other, &need);

		if (r != 0) {
			CHECK(r == whole);
			break;
		}
		CHECK(need > n && need <= PROXYPROTO_MAX);
		CHECK(whole <= 0 || need <= (size_t)whole);
	}
	if (size >= 36) {
		struct endpoint a = endpoint_v6(data, (uint16_t)(data[32] << 8 | data[33]), 0);
		struct endpoint b = endpoint_v6(data + 16, (uint16_t)(data[34] << 8 | data[35]), 0);

		round_trip(&a, &b);
	}
	return 0;
}
