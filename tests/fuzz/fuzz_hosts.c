// SPDX-License-Identifier: Apache-2.0
// The hosts file: whatever it holds, each word that is a name is found or was on no valid line.
#include "fuzz_target.h"

#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/host.h"
#include "check.h"
#include "upstream/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct endpoint addresses[4];
	struct hosts hosts;

	if (hosts_parse(&hosts, text, size) < 0)
		return 0;
	for (size_t i = 0, begin = 0; i <= size; i++) {
		char name[HOST_NAME_MAX_LEN + 1];
		if (i < size && !strchr(" \t\n", text[i]))
			continue;
		int len = host_normalise_name(text + begin, i - begin, name);
		begin = i + 1;
		if (len < 0)
			continue;
		unsigned n4 = hosts_addresses(&hosts, name, (size_t)len, AF_INET, addresses, 4);
		unsigned n6 = hosts_addresses(&hosts, name, (size_t)len, AF_INET6, addresses, 4);
		CHECK(hosts_find(&hosts, name, (size_t)len) == (n4 + n6 > 0));
	}
	hosts_release(&hosts);
	return 0;
}
