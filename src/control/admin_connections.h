// SPDX-License-Identifier: Apache-2.0
// Live and recently ended connections, as the admin API shows them.
#pragma once

struct admin_reply;
struct admin_request;
struct control;

// GET /connections ? user, client, protocol, destination, phase, limit, sort=id|bytes|age
void admin_connections(struct control *control, const struct admin_request *request,
		       struct admin_reply *reply);
// GET /connections/closed: abnormal ends with their last events.
void admin_connections_closed(struct control *control, const struct admin_request *request,
			      struct admin_reply *reply);
// GET /connections/ID: one, with its flight recorder.
void admin_connection(struct control *control, const struct admin_request *request,
		      struct admin_reply *reply);
// POST /connections/ID/close
void admin_connection_close(struct control *control, const struct admin_request *request,
			    struct admin_reply *reply);
