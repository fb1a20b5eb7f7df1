// SPDX-License-Identifier: Apache-2.0
// The table behind close reasons.
#include "obs/close_reason.h"

#include <string.h>

static const struct {
	const char *name;
	const char *help;
	enum close_class cls;
} reasons[CLOSE_REASON_COUNT] = {
#define CLOSE_REASON(id, text, class_, help_)                                                      \
	[CLOSE_##id] = {.name = text, .help = help_, .cls = CLOSE_CLASS_##class_},
#include "obs/close_reasons.def"
#undef CLOSE_REASON
};

static const char *const classes[CLOSE_CLASS_COUNT] = {
	[CLOSE_CLASS_NORMAL] = "normal",     [CLOSE_CLASS_CLIENT] = "client",
	[CLOSE_CLASS_UPSTREAM] = "upstream", [CLOSE_CLASS_POLICY] = "policy",
	[CLOSE_CLASS_LIMIT] = "limit",       [CLOSE_CLASS_PROXY] = "proxy",
};

const char *close_reason_name(enum close_reason reason)
{
	return (unsigned)reason < CLOSE_REASON_COUNT ? reasons[reason].name : "invalid";
}

const char *close_reason_help(enum close_reason reason)
{
	return (unsigned)reason < CLOSE_REASON_COUNT ? reasons[reason].help : "";
}

enum close_class close_reason_class(enum close_reason reason)
{
	return (unsigned)reason < CLOSE_REASON_COUNT ? reasons[reason].cls : CLOSE_CLASS_PROXY;
}

const char *close_class_name(enum close_class cls)
{
	return (unsigned)cls < CLOSE_CLASS_COUNT ? classes[cls] : "invalid";
}

bool close_reason_abnormal(enum close_reason reason)
{
	switch (reason) {
	case CLOSE_ADMIN_CLOSED:
	case CLOSE_DRAINED:
	case CLOSE_LISTENER_REMOVED:
	case CLOSE_SHUTDOWN:
		return false;
	default:
		return close_reason_class(reason) != CLOSE_CLASS_NORMAL;
	}
}

int close_reason_parse(const char *name)
{
	for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
		if (strcmp(reasons[i].name, name) == 0)
			return i;
	}
	return -1;
}
