// SPDX-License-Identifier: Apache-2.0
// From a configuration file, the environment and the command line to a validated snapshot.
//
// Reads files and interface addresses, else it has no effect outside. One thread at a time a call;
// several calls may run at once.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/errors.h"

struct snap;

#define CONFIG_FILE_MAX (64u * 1024 * 1024)

struct config_source {
	const char
		*path; // the file; NULL = the built-in configuration (127.0.0.1:8080, or `listen`)
	const char
		*text; // instead of the file's contents; then `path` only names it. NULL = read it
	size_t text_len;
	const char *const *environment; // "NAME=value", ends with NULL; NULL = none
	const char *const *listen;      // -L: [user:password@]host:port
	size_t listen_count;
	const char *admin;   // --admin: host:port or off; NULL = not given
	const char *workers; // --workers: a number or auto; NULL = not given
	const char *const
		*log_modules; // names that log.levels may have, ends with NULL; NULL = any
	int64_t wall_ns;      // now, unix nanoseconds: for time zones and the snapshot's date
};

// 0 and a snapshot that the caller publishes and frees (`errors` may hold warnings then); -EINVAL
// with everything that is wrong in `errors`; -ENOMEM. `errors` must be initialised and empty.
//
// A listener or admin address with port 0 is left so: whoever binds it writes the real port into
// snap->admin.address before publishing, since the guard of the admin address compares it.
int config_load(const struct config_source *source, struct config_errors *errors,
		struct snap **ret_snap);

// The effective configuration as JSON, secrets shown as "***": a text inside the snapshot.
const char *config_dump(const struct snap *snap);

// Writes the reference of all keys, in Markdown. -EIO.
int config_reference(FILE *out);
