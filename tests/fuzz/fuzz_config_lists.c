// SPDX-License-Identifier: Apache-2.0
// Lists of domains and users files of any text: every line is taken or reported.
#include <string.h>

#include "base/arena.h"
#include "base/host.h"
#include "config/errors.h"
#include "config/lists.h"
#include "config/node.h"
#include "fuzz_target.h"
#include "snap/names.h"

static void domains(const char *text, size_t len)
{
	struct snap_names_builder names;
	struct config_errors errors;
	struct snap_names set;
	struct arena arena = {0};

	config_errors_init(&errors);
	snap_names_builder_init(&names);
	fuzz_require(domains_file_parse("file", text, len, &errors, &names) == 0);
	fuzz_require(snap_names_builder_build(&names, &arena, &set) == 0);
	fuzz_require(set.count <= names.count);
	// A text that is one plain name is in the set that it makes.
	if (len && !memchr(text, '\n', len)) {
		char name[HOST_NAME_MAX_LEN + 1];
		int n = host_normalise_name(text, len, name);

		if (n > 0)
			fuzz_require(snap_names_match(&set, name, (size_t)n));
	}
	snap_names_match(&set, "a.b.example.com", 15);
	snap_names_builder_release(&names);
	config_errors_release(&errors);
	arena_release(&arena);
}

static void users(const char *text, size_t len)
{
	struct config_errors errors;
	struct arena arena = {0};
	struct config_node *list = node_new(&arena, NODE_LIST, "file");

	config_errors_init(&errors);
	fuzz_require(list && users_file_parse(&arena, "file", text, len, &errors, list) == 0);
	for (const struct config_node *n = list->first; n; n = n->next)
		fuzz_require(node_get(n, "name") && node_get(n, "password_hash"));
	config_errors_release(&errors);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	domains((const char *)data, size);
	users((const char *)data, size);
	return 0;
}
