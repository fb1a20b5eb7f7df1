// SPDX-License-Identifier: Apache-2.0
// Compares the reference part of doc/configuration.md with the schema: --check FILE; or writes it:
// --write FILE.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/file.h"

#define BEGIN "<!-- reference: begin -->\n"
#define END "<!-- reference: end -->"

static int fail(const char *path, const char *text)
{
	fprintf(stderr, "%s: %s\n", path, text);
	return 1;
}

static int replace(const char *path, const struct config_text *page, const char *begin,
		   const char *end, const char *reference)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return fail(path, "cannot be written");
	fwrite(page->text, 1, (size_t)(begin - page->text), f);
	fputs(reference, f);
	fputs(end, f);
	return fclose(f) ? fail(path, "cannot be written") : 0;
}

int main(int argc, char **argv)
{
	bool write = argc == 3 && strcmp(argv[1], "--write") == 0;
	struct config_text page;
	char *reference = NULL;
	const char *begin, *end;
	size_t size;
	FILE *out;
	int r;

	if (argc != 3)
		return fail(argv[0], "usage: --check FILE or --write FILE");
	if (config_text_read(argv[2], 16 << 20, &page) < 0)
		return fail(argv[2], "cannot be read");
	begin = strstr(page.text, BEGIN);
	end = strstr(page.text, END);
	if (!begin || !end || end < begin)
		return fail(argv[2], "the marks " BEGIN "and " END " are not there");
	begin += strlen(BEGIN);
	out = open_memstream(&reference, &size);
	if (!out || config_reference(out) < 0 || fclose(out))
		return fail(argv[2], "no memory");
	if (write)
		r = replace(argv[2], &page, begin, end, reference);
	else if ((size_t)(end - begin) != size || memcmp(begin, reference, size) != 0)
		r = fail(argv[2],
			 "the reference is not what the schema says; run `make reference`");
	else
		r = 0;
	free(reference);
	config_text_release(&page);
	return r;
}
