// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration: a bounded list of findings, each with its place and its mend.
//
// One owner, one thread. Texts are escaped (printable ASCII), so they may go to logs and terminals.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"

#define CONFIG_ERRORS_MAX 100 // findings that are kept; the rest is only counted

struct config_error {
	const char *origin;  // file name, "environment", "command line"
	unsigned line;       // from 1; 0 = the origin has no lines
	unsigned column;     // from 1
	const char *path;    // "listeners[0].address"; "" = the file as a whole
	const char *message; // what was found, what was expected, how to mend it
	bool warning;        // does not keep the configuration from loading
};

struct config_errors {
	struct arena arena;
	struct config_error items[CONFIG_ERRORS_MAX];
	size_t count;         // in items
	size_t error_count;   // errors found in all, kept or not
	size_t warning_count; // warnings found in all
};

void config_errors_init(struct config_errors *errors);
void config_errors_release(struct config_errors *errors);

// Where a finding is.
struct config_place {
	const char *origin;
	unsigned line, column;
	const char *path;
};

// Adds one; texts are copied and escaped. Past the limit it is only counted. -ENOMEM.
int config_errors_add(struct config_errors *errors, const struct config_place *place, bool warning,
		      const char *format, va_list args) __attribute__((format(printf, 4, 0)));

// Puts them in the order of their files and lines; files stay in the order in which they came up.
void config_errors_sort(struct config_errors *errors);

// Writes every finding, a line each, and a last line when some were left out:
//   sluice.yaml:12:5: listeners[0].address: found "x"; expected ...
//   sluice.yaml:14:3: warning: admin.address: ...
void config_errors_print(const struct config_errors *errors, FILE *out);
