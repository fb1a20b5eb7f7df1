// SPDX-License-Identifier: Apache-2.0
// From a configuration file, the environment and the command line to a validated snapshot.
#include "config/config.h"

#include <errno.h>
#include <string.h>

#include "config/build.h"
#include "config/file.h"
#include "config/node.h"
#include "config/overlay.h"
#include "config/schema.h"

// The part of the path before the file's name, with its slash.
static int set_directory(struct config_build *b, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	b->dir = arena_text(&b->scratch, path, slash ? (size_t)(slash + 1 - path) : 0);
	return b->dir ? 0 : -ENOMEM;
}

static int read_text(struct config_build *b, const struct config_source *source)
{
	struct config_text file;
	const char *name;
	int r;

	if (!source->path && !source->text) {
		b->snap->source = "built-in";
		b->root = node_new(&b->scratch, NODE_MAP, "built-in");
		return b->root ? 0 : -ENOMEM;
	}
	name = source->path ? source->path : "configuration";
	name = arena_text(&b->snap->arena, name, strlen(name));
	if (!name)
		return -ENOMEM;
	b->snap->source = name;
	if (source->text)
		return node_read(&b->scratch, name, source->text, source->text_len, b->errors,
				 &b->root);
	r = build_note_file(b, name);
	if (r < 0)
		return r;
	r = config_text_read(name, CONFIG_FILE_MAX, &file);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		struct config_node *n = node_new(&b->scratch, NODE_NULL, name);

		return n ? node_error(n, b->errors, "cannot be read: %s", strerror(-r)) : -ENOMEM;
	}
	r = node_read(&b->scratch, name, file.text, file.len, b->errors, &b->root);
	config_text_release(&file);
	return r;
}

static int build(struct config_build *b, const struct config_source *source)
{
	static int (*const steps[])(struct config_build *) = {
		build_settings, build_listeners, build_parents, build_users,
		build_routes,   build_rules,     build_check,
	};
	int r = set_directory(b, source->path);

	if (r == 0)
		r = read_text(b, source);
	if (r < 0 || !b->root)
		return r; // the text could not be read: there is nothing to look at
	if (b->root->kind != NODE_MAP)
		return node_error(b->root, b->errors,
				  "expected a mapping (key: value) at the top, such as "
				  "listeners: [{address: \"127.0.0.1:8080\"}]");
	r = overlay_environment(b, source->environment);
	if (r == 0)
		r = overlay_arguments(b, source);
	if (r == 0)
		r = build_fill(b, schema_root, b->root, &b->raw);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++)
		r = steps[i](b);
	if (r < 0 || b->errors->error_count)
		return r;
	return build_dump(b, &b->snap->effective);
}

int config_load(const struct config_source *source, struct config_errors *errors,
		struct snap **ret_snap)
{
	struct config_build b = {
		.errors = errors,
		.snap = snap_new(),
		.wall_seconds = source->wall_ns / 1000000000,
		.log_modules = source->log_modules,
	};
	int r = b.snap ? 0 : -ENOMEM;

	arena_init(&b.scratch);
	if (r == 0) {
		b.snap->loaded_wall_ns = source->wall_ns;
		r = build(&b, source);
	}
	config_errors_sort(errors);
	if (r == 0 && errors->error_count)
		r = -EINVAL;
	arena_release(&b.scratch);
	if (r < 0) {
		snap_free(b.snap);
		return r;
	}
	*ret_snap = b.snap;
	return 0;
}

const char *config_dump(const struct snap *snap)
{
	return snap->effective;
}
