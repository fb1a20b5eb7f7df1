// SPDX-License-Identifier: Apache-2.0
// What can be wrong with an HTTP/1.1 message, by number.
#include "proto/http1/error.h"

#include <stdint.h>

static const struct {
	uint16_t status;
	struct slice text;
	const char *name;
} errors[HTTP1_ERRORS] = {
	[HTTP1_OK] = {200, SLICE_LITERAL("no error"), "OK"},
#define E(id, status, text) [HTTP1_ERROR_##id] = {status, SLICE_LITERAL(text), #id},
#include "proto/http1/errors.def"
#undef E
};

unsigned http1_error_status(enum http1_error error)
{
	return errors[error].status;
}

struct slice http1_error_text(enum http1_error error)
{
	return errors[error].text;
}

const char *http1_error_name(enum http1_error error)
{
	return errors[error].name;
}
