// SPDX-License-Identifier: Apache-2.0
// Why sessions end: the enum, names and classes made from close_reasons.def.
#pragma once

#include <stdbool.h>

enum close_reason {
#define CLOSE_REASON(name, text, cls, help) CLOSE_##name,
#include "obs/close_reasons.def"
#undef CLOSE_REASON
	CLOSE_REASON_COUNT
};

enum close_class {
	CLOSE_CLASS_NORMAL,   // ended as it should
	CLOSE_CLASS_CLIENT,   // the client's doing
	CLOSE_CLASS_UPSTREAM, // the destination's or the parent's doing
	CLOSE_CLASS_POLICY,   // decided by rule or operator
	CLOSE_CLASS_LIMIT,    // a limit or a shortage
	CLOSE_CLASS_PROXY,    // the proxy's own doing
	CLOSE_CLASS_COUNT
};

// All of these take any value (out of range gives "invalid" / INTERNAL's class) and any thread.
const char *close_reason_name(enum close_reason reason);
const char *close_reason_help(enum close_reason reason);
enum close_class close_reason_class(enum close_reason reason);
const char *close_class_name(enum close_class cls);

// Whether the flight recorder keeps the session's events: everything but NORMAL, and not the
// operator's own acts (admin_closed, drained, listener_removed, shutdown).
bool close_reason_abnormal(enum close_reason reason);

// The reason by its text name; -1 if there is none.
int close_reason_parse(const char *name);
