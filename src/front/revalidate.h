// SPDX-License-Identifier: Apache-2.0
// Whether the sessions under way may go on under a new snapshot.
#pragma once

struct session;

// Ends the session when the snapshot in force no longer allows it; else renews its limits.
void revalidate_session(struct session *session);
