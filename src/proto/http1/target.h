// SPDX-License-Identifier: Apache-2.0
// The target of a request and its Host field: the four forms, and which host is meant.
//
// RFC 9112 3.2. Pure functions; the slices that they set point into their arguments.
#pragma once

#include "base/http_head.h"
#include "proto/http1/error.h"

// Takes the target of a request whose method is set, and sets target_form, scheme, authority and
// path. Every byte of the target must be HTTP_CHAR_TARGET already.
enum http1_error http1_target_parse(struct http_head *head, struct slice target, bool allow_https);

// When all fields are there: exactly one valid Host for HTTP/1.1, at most one for 1.0. It becomes
// the authority unless the target named one.
enum http1_error http1_target_check_host(struct http_head *head);
