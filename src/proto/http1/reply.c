// SPDX-License-Identifier: Apache-2.0
// Small complete responses that the proxy makes itself.
#include "proto/http1/reply.h"

#include "proto/http1/output.h"

ssize_t http1_reply_write(void *buffer, size_t capacity, const struct http1_reply *reply)
{
	struct http1_output out = http1_output_make(buffer, capacity);
	struct slice reason = http_status_reason(reply->status);
	bool bodiless = reply->status == 204 || reply->status == 304;
	bool plain = reply->content_type.len == 0;
	bool usual = plain && reply->text.len == 0; // "407 Proxy Authentication Required"
	size_t length = usual ? 4 + reason.len : reply->text.len;
	bool newline = usual || (plain && reply->text.data[reply->text.len - 1] != '\n');

	if (reply->status < 200 || reply->status > 599)
		return -EINVAL;
	http1_output_put(&out, SLICE("HTTP/1.1 "));
	http1_output_number(&out, reply->status);
	http1_output_put(&out, SLICE(" "));
	http1_output_put(&out, reason);
	http1_output_put(&out, SLICE("\r\n"));
	int r = 0;
	if (reply->date.len > 0)
		r = http1_output_field_checked(&out, SLICE("Date"), reply->date);
	for (size_t i = 0; r == 0 && i < reply->field_count; i++)
		r = http1_output_field_checked(&out, reply->fields[i].name, reply->fields[i].value);
	if (r == 0 && !bodiless)
		r = http1_output_field_checked(&out, SLICE("Content-Type"),
					       plain ? SLICE("text/plain; charset=utf-8")
						     : reply->content_type);
	if (r < 0)
		return r;
	if (!bodiless) {
		http1_output_put(&out, SLICE("Content-Length: "));
		http1_output_number(&out, length + newline);
		http1_output_put(&out, SLICE("\r\n"));
	}
	if (reply->close)
		http1_output_put(&out, SLICE("Connection: close\r\n"));
	else if (reply->keep_alive)
		http1_output_put(&out, SLICE("Connection: keep-alive\r\n"));
	http1_output_put(&out, SLICE("\r\n"));
	if (bodiless || reply->method == HTTP_METHOD_HEAD)
		return http1_output_finish(&out, buffer);
	if (usual) {
		http1_output_number(&out, reply->status);
		http1_output_put(&out, SLICE(" "));
		http1_output_put(&out, reason);
	} else {
		http1_output_put(&out, reply->text);
	}
	if (newline)
		http1_output_put(&out, SLICE("\n"));
	return http1_output_finish(&out, buffer);
}
