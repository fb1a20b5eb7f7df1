// SPDX-License-Identifier: Apache-2.0
// Reads a whole file of bounded size.
#pragma once

#include <stddef.h>

struct config_text {
	char *text; // NUL-terminated; may hold NUL bytes before
	size_t len;
};

// -EFBIG when it is longer than `max`, -EISDIR, -ENOMEM, and the errors of open(2) and read(2).
int config_text_read(const char *path, size_t max, struct config_text *ret_text);

// Frees the text after wiping it, since it may hold secrets.
void config_text_release(struct config_text *text);
