// SPDX-License-Identifier: Apache-2.0
// Opening and closing of listeners as the configuration says.
#pragma once

struct control;
struct snap;
struct text;

// Sockets opened for a snapshot that is not in force yet.
struct listeners_plan;

// Opens a socket per worker for each listener that is new (or whose address changed). 0, or a negative
// errno with the reason appended to `why`; nothing is open then.
int listeners_open(struct control *control, const struct snap *snap, struct text *why,
		   struct listeners_plan **ret_plan);
// After the snapshot was published: gives the sockets to the workers, and closes the listeners that are
// gone. Frees the plan.
void listeners_commit(struct control *control, struct listeners_plan *plan);
// Closes what was opened. NULL is fine.
void listeners_abandon(struct listeners_plan *plan);
