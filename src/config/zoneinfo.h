// SPDX-License-Identifier: Apache-2.0
// Time zones of the tz database as tables of offsets: reads TZif files (RFC 8536).
//
// Own code rather than libc's, since tzset(3) knows one zone a process and takes it from the
// environment. Rules that go on for ever (the footer's POSIX TZ string) are expanded for
// ZONEINFO_YEARS years after `wall_seconds`; a snapshot that lives longer keeps the last offset.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snap/zone.h"

struct arena;

#define ZONEINFO_YEARS 50
#define ZONEINFO_FILE_MAX (256 * 1024)

// "UTC", "local", or letters, digits, '_', '-', '+' in parts divided by '/': never a path that leaves
// the database.
bool zoneinfo_name_is_valid(const char *name, size_t len);

// Makes a table of what a TZif file holds, from a year before `wall_seconds` on. ret_zone->name is
// not set. 0, -EINVAL when it is not a TZif file or not a sound one, -ENOMEM. Pure.
int zoneinfo_parse(const uint8_t *bytes, size_t len, int64_t wall_seconds, struct arena *arena,
		   struct snap_zone *ret_zone);

// Finds the zone by name: UTC is built in, `local` is /etc/localtime, others lie below
// /usr/share/zoneinfo. Also -ENOENT and other errors of open(2) and read(2).
int zoneinfo_load(const char *name, int64_t wall_seconds, struct arena *arena,
		  struct snap_zone *ret_zone);
