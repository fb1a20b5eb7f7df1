// SPDX-License-Identifier: Apache-2.0
// Time zones of the tz database as tables of offsets: reads TZif files (RFC 8536).
#include "config/zoneinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config/file.h"
#include "config/posix_tz.h"

#define ZONE_DIR "/usr/share/zoneinfo/"
#define YEAR_SECONDS (366 * INT64_C(86400))
#define SHIFTS_MAX 10000

bool zoneinfo_name_is_valid(const char *name, size_t len)
{
	if (!len || len > 64 || *name == '/' || name[len - 1] == '/')
		return false;
	// Without dots there is no way up.
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-' || c == '+' || c == '/') ||
		    (c == '/' && name[i - 1] == '/'))
			return false;
	}
	return true;
}

// One header and the data that it counts (section 3.1, 3.2).
struct block {
	uint32_t is_ut, is_std, leaps, times, types, chars;
	const uint8_t *transitions; // `times` of `width` bytes, then `times` type indices
	const uint8_t *type_rows;   // 6 bytes each
	const uint8_t *end;
	int width;
};

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t load_time(const uint8_t *p, int width)
{
	if (width == 4)
		return (int32_t)load32(p);
	return (int64_t)((uint64_t)load32(p) << 32 | load32(p + 4));
}

static bool block_read(const uint8_t *at, const uint8_t *end, int width, struct block *ret)
{
	struct block b = {.width = width};
	uint64_t size;

	if (end - at < 44 || memcmp(at, "TZif", 4) != 0)
		return false;
	b.is_ut = load32(at + 20);
	b.is_std = load32(at + 24);
	b.leaps = load32(at + 28);
	b.times = load32(at + 32);
	b.types = load32(at + 36);
	b.chars = load32(at + 40);
	size = (uint64_t)b.times * (unsigned)(width + 1) + (uint64_t)b.types * 6 + b.chars +
	       (uint64_t)b.leaps * (unsigned)(width + 4) + b.is_std + b.is_ut;
	if ((uint64_t)(end - at - 44) < size || b.times > SHIFTS_MAX)
		return false;
	b.transitions = at + 44;
	b.type_rows = b.transitions + (size_t)b.times * (unsigned)(width + 1);
	b.end = at + 44 + size;
	*ret = b;
	return true;
}

// The shifts in order; those that are over become the zone's first offset.
struct table {
	struct snap_zone_shift *rows;
	uint32_t count;
	int32_t first_offset;
	int64_t from; // what is before does not matter
};

static void table_add(struct table *t, int64_t at, int32_t offset)
{
	if (at < t->from)
		t->first_offset = offset;
	else
		t->rows[t->count++] = (struct snap_zone_shift){at, offset};
}

static int add_transitions(struct table *t, const struct block *b, int64_t *ret_last)
{
	const uint8_t *indices = b->transitions + (size_t)b->times * (unsigned)b->width;
	int64_t last = INT64_MIN;

	if (!b->types || b->leaps)
		return -EINVAL; // times with leap seconds ("right/...") are not unix time
	t->first_offset = (int32_t)load32(b->type_rows);
	for (uint32_t i = 0; i < b->times; i++) {
		int64_t at = load_time(b->transitions + (size_t)i * (unsigned)b->width, b->width);

		if (indices[i] >= b->types || (i && at <= last))
			return -EINVAL;
		table_add(t, at, (int32_t)load32(b->type_rows + indices[i] * 6));
		last = at;
	}
	*ret_last = last;
	return 0;
}

static void add_rule(struct table *t, const struct posix_tz *tz, int64_t last, int64_t wall)
{
	int year = posix_tz_year(t->from > last ? t->from : last) - 1;
	int until = posix_tz_year(wall) + ZONEINFO_YEARS;

	for (; tz->has_daylight && year <= until; year++) {
		int64_t start, end;
		bool start_first;

		posix_tz_changes(tz, year, &start, &end);
		start_first = start < end;
		if (start_first && start > last)
			table_add(t, start, tz->daylight);
		if (end > last)
			table_add(t, end, tz->standard);
		if (!start_first && start > last)
			table_add(t, start, tz->daylight);
	}
	if (!tz->has_daylight && last == INT64_MIN)
		t->first_offset = tz->standard;
}

// The POSIX TZ string between two newlines after the second block (section 3.3).
static int read_footer(const uint8_t *at, const uint8_t *end, struct posix_tz *ret, bool *ret_has)
{
	const uint8_t *newline;

	if (at == end || *at++ != '\n')
		return -EINVAL;
	newline = memchr(at, '\n', (size_t)(end - at));
	if (!newline)
		return -EINVAL;
	*ret_has = newline != at;
	return newline == at ? 0 : posix_tz_parse((const char *)at, (size_t)(newline - at), ret);
}

int zoneinfo_parse(const uint8_t *bytes, size_t len, int64_t wall_seconds, struct arena *arena,
		   struct snap_zone *ret_zone)
{
	const uint8_t *end = bytes + len;
	struct table t = {.from = wall_seconds - YEAR_SECONDS};
	struct posix_tz rule = {0};
	bool has_rule = false;
	struct block b;
	int64_t last;
	int r;

	if (wall_seconds < -YEAR_SECONDS * 1000 || wall_seconds > YEAR_SECONDS * 10000)
		return -EINVAL; // years stay within an int
	if (!block_read(bytes, end, 4, &b))
		return -EINVAL;
	if (bytes[4] >= '2') {
		if (!block_read(b.end, end, 8, &b))
			return -EINVAL;
		r = read_footer(b.end, end, &rule, &has_rule);
		if (r < 0)
			return r;
	}
	// Two changes a year; the loop begins at most two years before `from`.
	t.rows = arena_array(arena, b.times + 2 * (ZONEINFO_YEARS + 6), sizeof(*t.rows));
	if (!t.rows)
		return -ENOMEM;
	r = add_transitions(&t, &b, &last);
	if (r < 0)
		return r;
	if (has_rule && last < wall_seconds + YEAR_SECONDS * ZONEINFO_YEARS)
		add_rule(&t, &rule, last, wall_seconds);
	*ret_zone = (struct snap_zone){ret_zone->name, t.rows, t.count, t.first_offset};
	return 0;
}

int zoneinfo_load(const char *name, int64_t wall_seconds, struct arena *arena,
		  struct snap_zone *ret_zone)
{
	char path[128];
	struct config_text file;
	int r;

	if (strcmp(name, "UTC") == 0) {
		*ret_zone = (struct snap_zone){.name = ret_zone->name};
		return 0;
	}
	if (!zoneinfo_name_is_valid(name, strlen(name)))
		return -EINVAL;
	if (strcmp(name, "local") == 0)
		snprintf(path, sizeof(path), "/etc/localtime");
	else
		snprintf(path, sizeof(path), ZONE_DIR "%s", name);
	r = config_text_read(path, ZONEINFO_FILE_MAX, &file);
	if (r < 0)
		return r;
	r = zoneinfo_parse((const uint8_t *)file.text, file.len, wall_seconds, arena, ret_zone);
	config_text_release(&file);
	return r;
}
