// SPDX-License-Identifier: Apache-2.0
// Reads the process table for a proxy's tree of processes and adds up their clocks and memory.
#include "cpu.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROCESSES 8192

struct process {
	pid_t pid;
	pid_t parent;
	uint64_t reaped_ticks;
	bool in_tree;
};

static int process_read(pid_t pid, struct process *ret_process)
{
	char path[64], text[1024];
	unsigned long cutime, cstime;
	char *p;
	FILE *f;
	int parent;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')'); // the command's name may hold anything
	if (!p)
		return -1;
	if (sscanf(p + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &parent,
		   &cutime, &cstime) != 3)
		return -1;
	*ret_process =
		(struct process){.pid = pid, .parent = parent, .reaped_ticks = cutime + cstime};
	return 0;
}

// Fills `list` with the tree below root, root first. Returns how many.
static unsigned tree_read(pid_t root, struct process *list)
{
	unsigned count = 0, members = 0;
	struct dirent *entry;
	bool found = true;
	DIR *dir = opendir("/proc");

	if (!dir)
		return 0;
	while ((entry = readdir(dir)) && count < MAX_PROCESSES) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    !process_read(atoi(entry->d_name), &list[count])) {
			list[count].in_tree = list[count].pid == root;
			count++;
		}
	}
	closedir(dir);
	while (found) {
		found = false;
		for (unsigned i = 0; i < count; i++) {
			for (unsigned j = 0; !list[i].in_tree && j < count; j++) {
				if (list[j].in_tree && list[j].pid == list[i].parent)
					list[i].in_tree = found = true;
			}
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (list[i].in_tree)
			list[members++] = list[i];
	}
	return members;
}

uint64_t cpu_tree_ns(pid_t root)
{
	static struct process list[MAX_PROCESSES];
	uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t sum = 0;
	unsigned count = tree_read(root, list);

	for (unsigned i = 0; i < count; i++) {
		struct timespec ts;
		clockid_t clock;

		if (!clock_getcpuclockid(list[i].pid, &clock) && !clock_gettime(clock, &ts))
			sum += (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
		sum += list[i].reaped_ticks * tick_ns;
	}
	return sum;
}

static uint64_t memory_of(pid_t pid, const char *file, const char *key)
{
	unsigned long kib = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), " %lu", &kib) == 1)
			break;
	}
	fclose(f);
	return (uint64_t)kib * 1024;
}

uint64_t memory_tree_bytes(pid_t root)
{
	static struct process list[MAX_PROCESSES];
	uint64_t sum = 0;
	unsigned count = tree_read(root, list);

	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = memory_of(list[i].pid, "smaps_rollup", "Pss:");

		sum += bytes ? bytes : memory_of(list[i].pid, "status", "VmRSS:");
	}
	return sum;
}
