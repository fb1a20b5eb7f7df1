// SPDX-License-Identifier: Apache-2.0
// The hosts file (hosts(5)): names that the machine's owner has given addresses.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;
struct hosts_line;

#define HOSTS_BYTES_MAX (4u << 20) // of the file; what is behind is not read

struct hosts {
	struct hosts_line *lines; // a name with an address each, in the file's order
	uint32_t count;
	char *names;
	uint32_t names_len;
	uint32_t *slots; // open hash of the first line of each name, +1
	uint32_t mask;
	size_t bytes;
};

// Reads the file; one that is not there, or path "", gives an empty table. Lines that cannot be
// understood are skipped. -ENOMEM.
int hosts_read(struct hosts *ret_hosts, const char *path);
// The same over bytes in memory.
int hosts_parse(struct hosts *ret_hosts, const char *text, size_t len);
void hosts_release(struct hosts *hosts);

// Whether the file has that (normalised) name, with addresses of any family.
bool hosts_find(const struct hosts *hosts, const char *name, size_t len);
// Its addresses of one family, in the file's order: at most `max`, port 0.
unsigned hosts_addresses(const struct hosts *hosts, const char *name, size_t len, int family,
			 struct endpoint *ret_addresses, unsigned max);
