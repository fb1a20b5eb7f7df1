// SPDX-License-Identifier: Apache-2.0
// What can be wrong with an HTTP/1.1 message, by number.
#pragma once

#include "base/slice.h"

enum http1_error {
	HTTP1_OK,
#define E(id, status, text) HTTP1_ERROR_##id,
#include "proto/http1/errors.def"
#undef E
	HTTP1_ERRORS
};

// The status that answers a request with that fault; a faulty response is answered with 502.
unsigned http1_error_status(enum http1_error error);
// A sentence without a full stop, for the log and the body of the answer. Never holds a peer's
// bytes.
struct slice http1_error_text(enum http1_error error);
// The id, for metrics and tests: "BARE_LF".
const char *http1_error_name(enum http1_error error);
