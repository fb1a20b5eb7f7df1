// SPDX-License-Identifier: Apache-2.0
// The driver for HTTP/1.
#include "front/driver.h"
#include "front/session.h"
#include "obs/metrics.h"

static void http_input(struct session *session)
{
	session_close(session, CLOSE_HTTP_UNSUPPORTED, false);
}

const struct driver driver_http = {
	.name = "http",
	.protocol = METRIC_PROTOCOL_HTTP,
	.input = http_input,
};
