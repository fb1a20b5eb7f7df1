// SPDX-License-Identifier: Apache-2.0
// A request to the admin API, and the answer to it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/http_head.h"
#include "obs/text.h"

struct control;
struct endpoint;
struct snap_admin;

struct admin_request {
	const struct http_head *head;
	struct slice path;  // without query
	struct slice query; // after "?"; may be empty
};

struct admin_reply {
	unsigned status;
	const char *type;  // Content-Type
	const char *allow; // of 405: the method that would do; NULL: no such field
	struct text body;  // the caller releases it
};

// The value of a query parameter, percent-decoded, with a NUL: its length, -ENOENT when it is not there,
// -EINVAL when it is malformed, holds a NUL or does not fit.
int admin_query(const struct admin_request *request, const char *name, char *value, size_t size);
// The same as a number; `fallback` when it is not there. -EINVAL.
int admin_query_number(const struct admin_request *request, const char *name,
		       unsigned long fallback, unsigned long *ret_number);

// A plain answer of one line.
void admin_say(struct admin_reply *reply, unsigned status, const char *text);

// Whether the request is from somebody who means this server: Host is the address, localhost or one of
// admin.hosts; Origin and Sec-Fetch-Site, where a browser sends them, say the same. NULL: yes; else why
// not, for the answer.
const char *admin_guard(const struct snap_admin *admin, const struct endpoint *bound,
			const struct http_head *head);

// Finds and runs the handler; fills the reply.
void admin_route(struct control *control, const struct admin_request *request,
		 struct admin_reply *reply);
