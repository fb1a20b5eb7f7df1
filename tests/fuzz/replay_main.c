// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over its corpus without libFuzzer: each file, its prefixes and fixed
// mutations.
#include "fuzz_target.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LARGEST_INPUT = 1 << 20, // a larger corpus file is an error: the corpus is for small inputs
	PREFIX_LIMIT = 512,      // every length up to here, then about as many larger ones
	MUTATIONS = 64,          // per corpus file
};

static unsigned long runs;

// The input is copied to an exact allocation, so that a sanitizer sees a read behind its end.
static void run_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	runs++;
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void run_prefixes(const uint8_t *data, size_t size)
{
	size_t step = 1;

	if (size > PREFIX_LIMIT)
		step = size / PREFIX_LIMIT;
	for (size_t n = 0; n < size && n < PREFIX_LIMIT; n++)
		run_one(data, n);
	for (size_t n = PREFIX_LIMIT; n < size; n += step)
		run_one(data, n);
}

// Fixed by the seed: a failure repeats. Finding new inputs is libFuzzer's work, not this one's.
static void run_mutations(uint8_t *data, size_t size)
{
	static const uint8_t interesting[] = {0, '\r', '\n', ' ', '\t', ':', 0x7f, 0x80, 0xff};
	uint32_t seed = 0x5105eedU ^ (uint32_t)size;

	for (int i = 0; size && i < MUTATIONS; i++) {
		size_t at = next_random(&seed) % size;
		uint8_t old = data[at];

		if (i % 2)
			data[at] = interesting[next_random(&seed) % sizeof(interesting)];
		else
			data[at] ^= (uint8_t)(1U << next_random(&seed) % 8);
		run_one(data, size);
		data[at] = old;
	}
}

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -errno;
	}
	data = malloc(LARGEST_INPUT);
	if (!data)
		abort();
	size = fread(data, 1, LARGEST_INPUT, f);
	if (size == LARGEST_INPUT || ferror(f)) {
		fprintf(stderr, "%s: unreadable, or larger than %d bytes\n", path,
			LARGEST_INPUT - 1);
		free(data);
		fclose(f);
		return -EFBIG;
	}
	fclose(f);
	// Named before the run, so that the last line before a crash names the input.
	fprintf(stderr, "%s: %zu bytes\n", path, size);
	run_one(data, size);
	run_prefixes(data, size);
	run_mutations(data, size);
	free(data);
	return 0;
}

static int run_directory(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);
	int files = 0, ret = 0;

	if (count < 0) {
		fprintf(stderr, "%s: %s (expected a folder of inputs, or one input)\n", path,
			strerror(errno));
		return -errno;
	}
	for (int i = 0; i < count; i++) {
		char file[4096];

		if (names[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
			if (run_file(file) < 0)
				ret = -EIO;
			files++;
		}
		free(names[i]);
	}
	free(names);
	if (!files) {
		fprintf(stderr, "%s: no inputs in this corpus\n", path);
		return -ENOENT;
	}
	return ret;
}

static bool is_directory(const char *path)
{
	DIR *d = opendir(path);

	if (d)
		closedir(d);
	return d;
}

int main(int argc, char **argv)
{
	bool failed = argc < 2;

	if (argc < 2)
		fprintf(stderr, "usage: %s CORPUS-FOLDER-OR-FILE...\n", argv[0]);
	run_one((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		if ((is_directory(argv[i]) ? run_directory(argv[i]) : run_file(argv[i])) < 0)
			failed = true;
	}
	printf("%lu runs\n", runs);
	return failed;
}
