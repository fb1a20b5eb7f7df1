// SPDX-License-Identifier: Apache-2.0
// Loads configurations from texts in tests, and looks for errors.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "snap/snap.h"

#define CONFIG_TEXT_WALL INT64_C(1700000000) // 2023-11-14 22:13:20 UTC, a Tuesday

static inline int config_text_load(const char *text, const char *const *environment,
				   struct config_errors *errors, struct snap **ret_snap)
{
	struct config_source source = {
		.text = text,
		.text_len = strlen(text),
		.environment = environment,
		.wall_ns = CONFIG_TEXT_WALL * 1000000000,
	};

	return config_load(&source, errors, ret_snap);
}

// The snapshot, or the test fails and shows the errors.
static inline struct snap *config_text_snap(const char *text)
{
	struct config_errors errors;
	struct snap *snap = NULL;
	int r;

	config_errors_init(&errors);
	r = config_text_load(text, NULL, &errors, &snap);
	if (r < 0)
		config_errors_print(&errors, stderr);
	config_errors_release(&errors);
	assert_int_equal(r, 0);
	return snap;
}

static inline const struct config_error *config_text_find(const struct config_errors *errors,
							  const char *path, const char *words)
{
	for (size_t i = 0; i < errors->count; i++)
		if (strcmp(errors->items[i].path, path) == 0 &&
		    strstr(errors->items[i].message, words))
			return &errors->items[i];
	return NULL;
}

// The text must be refused, with an error at that path that has these words.
static inline void config_text_refused(const char *text, const char *path, const char *words)
{
	struct config_errors errors;
	struct snap *snap = NULL;
	int r;

	config_errors_init(&errors);
	r = config_text_load(text, NULL, &errors, &snap);
	if (r != -EINVAL || !config_text_find(&errors, path, words)) {
		fprintf(stderr, "text:\n%s\nreturned %d with\n", text, r);
		config_errors_print(&errors, stderr);
		fail_msg("expected an error at \"%s\" with \"%s\"", path, words);
	}
	config_errors_release(&errors);
}
