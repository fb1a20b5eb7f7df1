// SPDX-License-Identifier: Apache-2.0
// A bounded place to write a message to; private to this folder.
#pragma once

#include "base/http_head.h"

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

struct http1_output {
	char *at;
	char *end;
	bool full; // something did not fit; nothing is written after that
};

static inline struct http1_output http1_output_make(void *buffer, size_t capacity)
{
	return (struct http1_output){buffer, (char *)buffer + capacity, false};
}

static inline bool http1_output_room(struct http1_output *out, size_t n)
{
	out->full |= n > (size_t)(out->end - out->at);
	return !out->full;
}

static inline void http1_output_put(struct http1_output *out, struct slice text)
{
	if (text.len == 0 || !http1_output_room(out, text.len))
		return;
	memcpy(out->at, text.data, text.len);
	out->at += text.len;
}

static inline void http1_output_field(struct http1_output *out, struct slice name,
				      struct slice value)
{
	if (!http1_output_room(out, name.len + value.len + 4))
		return;
	memcpy(out->at, name.data, name.len);
	out->at += name.len;
	*out->at++ = ':';
	*out->at++ = ' ';
	if (value.len > 0)
		memcpy(out->at, value.data, value.len);
	out->at += value.len;
	*out->at++ = '\r';
	*out->at++ = '\n';
}

// The same for a field from anywhere: -EINVAL when the name is no token or the value could split
// the head.
int http1_output_field_checked(struct http1_output *out, struct slice name, struct slice value);
void http1_output_number(struct http1_output *out, uint64_t number);

// The length of what was written from buffer on; -ENOBUFS when something did not fit.
static inline ssize_t http1_output_finish(const struct http1_output *out, const void *buffer)
{
	return out->full ? -ENOBUFS : out->at - (const char *)buffer;
}
