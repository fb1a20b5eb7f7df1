// SPDX-License-Identifier: Apache-2.0
// Datagram headers: what is parsed lies within the datagram, and an address built again is the same.
#include "fuzz_target.h"

#include "check.h"
#include "proto/socks/socks.h"
#include "proto/socks/socks_udp.h"

#include <string.h>

// The bytes as datagrams of `segment` bytes: each run has one header, and no byte is left out.
static void walk_runs(const uint8_t *data, size_t size, size_t segment)
{
	struct socks_udp_header h;

	for (size_t at = 0; at < size;) {
		size_t len = size - at < segment ? size - at : segment;
		int r = socks_udp_parse(data + at, len, &h);
		if (r < 0) {
			at += len;
			continue;
		}
		size_t run = socks_udp_run(data, size, segment, at, (size_t)r);
		CHECK(run >= len && run <= size - at);
		CHECK(run % segment == 0 || at + run == size);
		for (size_t next = 0; next < run; next += segment) {
			CHECK(run - next >= (size_t)r);
			CHECK(memcmp(data + at, data + at + next, (size_t)r) == 0);
		}
		at += run;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[SOCKS_UDP_HEADER_MAX];
	struct socks_udp_header h, again;
	struct host host;
	int r = socks_udp_parse(data, size, &h), built;

	if (r < 0) {
		CHECK(r > -SOCKS_E_COUNT);
		return 0;
	}
	walk_runs(data, size, (size_t)r + size % 5);
	CHECK((size_t)r <= size && r <= SOCKS_UDP_HEADER_MAX);
	CHECK(h.fragment == data[2]);
	CHECK(h.named != endpoint_is_set(&h.address));
	// The header needs all of its bytes.
	for (int n = 0; n < r; n++)
		CHECK(socks_udp_parse(data, (size_t)n, &again) == -SOCKS_E_TRUNCATED);
	if (h.named) {
		CHECK(h.name.len > 0 && (const uint8_t *)h.name.data + h.name.len + 2 == data + r);
		if (host_from_name(h.name.data, h.name.len, h.port, &host) < 0)
			return 0;
	} else {
		CHECK(h.address.port == h.port);
		host = host_from_endpoint(&h.address);
		built = (int)socks_udp_build(buf, &h.address);
		CHECK(built == (int)socks_udp_header_len(&h.address));
		// But for the fragment byte, and the v4-mapped form that becomes shorter.
		if (built == r) {
			buf[2] = data[2];
			CHECK(memcmp(buf, data, (size_t)r) == 0);
		}
	}
	built = (int)socks_udp_build_host(buf, &host);
	CHECK(socks_udp_parse(buf, (size_t)built, &again) == built);
	CHECK(again.port == h.port && again.fragment == 0);
	if (!again.named)
		CHECK(endpoint_equal(&again.address, &host.address));
	return 0;
}
