// SPDX-License-Identifier: Apache-2.0
// The live page: three files that are part of the program.
#pragma once

struct admin_reply;
struct admin_request;
struct control;

void admin_page(struct control *control, const struct admin_request *request,
		struct admin_reply *reply);
