// SPDX-License-Identifier: Apache-2.0
// Log outputs and levels from the snapshot.
#include "control/logs.h"

#include <stdio.h>
#include <string.h>

#include "obs/log.h"
#include "snap/snap.h"

static enum log_format format_of(enum snap_log_format format)
{
	return format == SNAP_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
}

static struct log_config config_of(const struct snap *snap)
{
	struct log_config config = {0};

	config.targets[LOG_OUTPUT_MAIN] =
		(struct log_target){snap->log.output, format_of(snap->log.format)};
	if (snap->access_log.format != SNAP_LOG_OFF)
		config.targets[LOG_OUTPUT_ACCESS] = (struct log_target){
			snap->access_log.output, format_of(snap->access_log.format)};
	return config;
}

static enum log_level level_of(enum snap_log_level level)
{
	switch (level) {
	case SNAP_LOG_ERROR:
		return LOG_LEVEL_ERROR;
	case SNAP_LOG_WARN:
		return LOG_LEVEL_WARN;
	case SNAP_LOG_INFO:
		return LOG_LEVEL_INFO;
	default:
		return LOG_LEVEL_DEBUG;
	}
}

static void set_levels(const struct snap *snap)
{
	log_set_level_all(level_of(snap->log.level));
	for (uint32_t i = 0; i < snap->log.level_count; i++) {
		int module = log_module_parse(snap->log.levels[i].module);
		if (module >= 0)
			log_set_level((enum log_module)module, level_of(snap->log.levels[i].level));
	}
}

int logs_start(const struct snap *snap)
{
	const struct log_config config = config_of(snap);
	enum log_output failed = LOG_OUTPUT_MAIN;
	int r = log_start(&config, &failed);

	set_levels(snap);
	if (r < 0)
		fprintf(stderr, "sluice: %s: cannot open %s: %s\n",
			failed == LOG_OUTPUT_ACCESS ? "access_log.output" : "log.output",
			config.targets[failed].path, strerror(-r));
	return r;
}

void logs_update(const struct snap *snap)
{
	const struct log_config config = config_of(snap);
	enum log_output failed = LOG_OUTPUT_MAIN;
	int r = log_configure(&config, &failed);

	set_levels(snap);
	if (r < 0)
		log_error(LOG_LOG, "cannot open a log; the outputs stay as they were",
			  LOG_STR("log", log_output_name(failed)),
			  LOG_STR("output", config.targets[failed].path), LOG_ERRNO("error", r),
			  LOG_END);
}
