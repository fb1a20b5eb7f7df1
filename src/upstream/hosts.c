// SPDX-License-Identifier: Apache-2.0
// The hosts file: one pass over its text, then a hash over the names.
#include "upstream/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/hash.h"
#include "base/host.h"

struct hosts_line {
	struct endpoint address;
	uint32_t next; // the next line of the same name, +1; 0: none
	uint32_t name; // offset in hosts.names
	uint8_t name_len;
};

static uint32_t *slot_of(const struct hosts *hosts, const char *name, size_t len)
{
	uint32_t i = (uint32_t)hash_bytes(name, len) & hosts->mask;

	for (;; i = (i + 1) & hosts->mask) {
		if (hosts->slots[i] == 0)
			return &hosts->slots[i];
		const struct hosts_line *line = &hosts->lines[hosts->slots[i] - 1];
		if (line->name_len == len && memcmp(hosts->names + line->name, name, len) == 0)
			return &hosts->slots[i];
	}
}

static int index_lines(struct hosts *hosts)
{
	uint32_t slots = 8;

	while (slots < hosts->count * 2)
		slots *= 2;
	hosts->slots = calloc(slots, sizeof(*hosts->slots));
	if (!hosts->slots)
		return -ENOMEM;
	hosts->mask = slots - 1;
	hosts->bytes = slots * sizeof(*hosts->slots) + hosts->count * sizeof(*hosts->lines) +
		       hosts->names_len;
	// Backwards, so that each name's chain begins with its first line.
	for (uint32_t i = hosts->count; i-- > 0;) {
		struct hosts_line *line = &hosts->lines[i];
		uint32_t *slot = slot_of(hosts, hosts->names + line->name, line->name_len);
		line->next = *slot;
		*slot = i + 1;
	}
	return 0;
}

static int add_line(struct hosts *hosts, uint32_t *room, const struct endpoint *address,
		    const char *name, size_t len)
{
	char buf[HOST_NAME_MAX_LEN + 1];
	int n = host_normalise_name(name, len, buf);

	if (n < 0)
		return 0;
	if (hosts->count == *room) {
		uint32_t more = *room ? *room * 2 : 16;
		struct hosts_line *lines = realloc(hosts->lines, more * sizeof(*lines));
		if (!lines)
			return -ENOMEM;
		hosts->lines = lines;
		*room = more;
	}
	struct hosts_line *line = &hosts->lines[hosts->count++];
	*line = (struct hosts_line){
		.address = *address, .name = hosts->names_len, .name_len = (uint8_t)n};
	// A normalised name is not longer than the text it came from: there is room.
	memcpy(hosts->names + hosts->names_len, buf, (size_t)n);
	hosts->names_len += (uint32_t)n;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// Takes the next word off the line.
static size_t next_word(const char **text, const char *end, const char **ret_word)
{
	while (*text < end && is_blank(**text))
		(*text)++;
	*ret_word = *text;
	while (*text < end && !is_blank(**text))
		(*text)++;
	return (size_t)(*text - *ret_word);
}

static int parse_line(struct hosts *hosts, uint32_t *room, const char *text, const char *end)
{
	struct endpoint address;
	const char *word;
	int r = 0;

	size_t len = next_word(&text, end, &word);
	if (len == 0 || endpoint_parse_ip(word, len, &address) < 0)
		return 0;
	while (r == 0 && (len = next_word(&text, end, &word)) > 0)
		r = add_line(hosts, room, &address, word, len);
	return r;
}

int hosts_parse(struct hosts *ret_hosts, const char *text, size_t len)
{
	struct hosts hosts = {0};
	const char *end = text + len;
	uint32_t room = 0;
	int r = 0;

	if (len) {
		hosts.names = malloc(len);
		if (!hosts.names)
			return -ENOMEM;
	}
	while (text < end && r == 0) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;
		const char *comment = memchr(text, '#', (size_t)(stop - text));
		r = parse_line(&hosts, &room, text, comment ? comment : stop);
		text = stop + 1;
	}
	if (r == 0 && hosts.count)
		r = index_lines(&hosts);
	if (r < 0) {
		hosts_release(&hosts);
		return r;
	}
	*ret_hosts = hosts;
	return 0;
}

int hosts_read(struct hosts *ret_hosts, const char *path)
{
	size_t len = 0, room = 0;
	char *text = NULL;
	int r = 0;

	int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	while (fd >= 0 && len < HOSTS_BYTES_MAX) {
		if (len == room) {
			room = room ? room * 2 : 4096;
			char *more = realloc(text, room);
			if (!more) {
				r = -ENOMEM;
				break;
			}
			text = more;
		}
		ssize_t n = read(fd, text + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (r == 0)
		r = hosts_parse(ret_hosts, text ? text : "", len);
	free(text);
	return r;
}

void hosts_release(struct hosts *hosts)
{
	free(hosts->lines);
	free(hosts->slots);
	free(hosts->names);
	*hosts = (struct hosts){0};
}

static uint32_t first_of(const struct hosts *hosts, const char *name, size_t len)
{
	return hosts->count ? *slot_of(hosts, name, len) : 0;
}

bool hosts_find(const struct hosts *hosts, const char *name, size_t len)
{
	return first_of(hosts, name, len) != 0;
}

unsigned hosts_addresses(const struct hosts *hosts, const char *name, size_t len, int family,
			 struct endpoint *ret_addresses, unsigned max)
{
	unsigned n = 0;

	for (uint32_t i = first_of(hosts, name, len); i && n < max; i = hosts->lines[i - 1].next)
		if (hosts->lines[i - 1].address.family == family)
			ret_addresses[n++] = hosts->lines[i - 1].address;
	return n;
}
