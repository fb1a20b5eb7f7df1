// SPDX-License-Identifier: Apache-2.0
// Reads /proc/self.
#include "obs/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static size_t read_file(const char *path, char *data, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, data, cap - 1);
	close(fd);
	data[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static uint64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!dir)
		return 0;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		count += e->d_name[0] != '.';
	closedir(dir);
	return count ? count - 1 : 0; // without the directory's own
}

void process_stats_read(struct process_stats *ret)
{
	struct process_stats p = {0};
	char data[1024];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (read_file("/proc/self/statm", data, sizeof data)) {
		char *end;
		p.virtual_memory = strtoull(data, &end, 10) * page;
		p.resident = strtoull(end, NULL, 10) * page;
	}
	if (read_file("/proc/self/stat", data, sizeof data)) {
		// The command may hold blanks: fields are counted after its closing parenthesis.
		char *at = strrchr(data, ')');
		for (int field = 2; at && field < 20; field++)
			at = strchr(at + 1, ' ');
		if (at)
			p.threads = strtoull(at, NULL, 10);
	}
	struct timespec cpu;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
		p.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		p.max_fds = limit.rlim_cur;
	p.open_fds = count_fds();
	*ret = p;
}
