// SPDX-License-Identifier: Apache-2.0
// Heads as they go on: every forwarded message is written anew (RFC 9110, 7.6).
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct http_client;

// Writes the request's head for upstream to front->scratch, and sets exchange->request_out. Gives the
// length; -ENOBUFS, -EINVAL, -ELOOP (Max-Forwards is used up) as http1_write_request; -EDEADLK: the request goes
// in a loop.
ssize_t http_forward_request(struct http_client *client);
// Writes the response's head for the client to front->scratch, sets exchange->response_out, and takes
// into account what it means for the client's connection. Errors as http1_write_response.
ssize_t http_forward_response(struct http_client *client, bool upgraded);
