// SPDX-License-Identifier: Apache-2.0
// What the environment and the command line say on top of the file. Internal to the room.
#pragma once

struct config_build;
struct config_source;

// Puts SLUICE_... variables into b->root. The rule is in doc/configuration.md.
int overlay_environment(struct config_build *b, const char *const *environment);

// Puts -L, SLUICE_LISTEN, --admin and --workers into b->root, and the listener of the built-in
// configuration where there is neither a file nor another listener.
int overlay_arguments(struct config_build *b, const struct config_source *source);
