// SPDX-License-Identifier: Apache-2.0
// Reads a whole file of bounded size.
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SIZE 4096

// Room for at least one more byte and the NUL.
static int grow(struct config_text *t, size_t *size, size_t max)
{
	size_t want = *size ? *size * 2 : FIRST_SIZE;
	char *p;

	if (t->len + 1 < *size)
		return 0;
	if (want > max + 2)
		want = max + 2;
	p = malloc(want);
	if (!p)
		return -ENOMEM;
	if (t->text) {
		memcpy(p, t->text, t->len);
		explicit_bzero(t->text, t->len);
		free(t->text);
	}
	t->text = p;
	*size = want;
	return 0;
}

static int read_all(int fd, size_t max, struct config_text *t)
{
	size_t size = 0;

	for (;;) {
		ssize_t n;
		int r = grow(t, &size, max);

		if (r < 0)
			return r;
		n = read(fd, t->text + t->len, size - t->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		t->len += (size_t)n;
		if (t->len > max)
			return -EFBIG;
	}
	t->text[t->len] = '\0';
	return 0;
}

int config_text_read(const char *path, size_t max, struct config_text *ret_text)
{
	struct config_text t = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, max, &t);
	close(fd);
	if (r < 0) {
		config_text_release(&t);
		return r;
	}
	*ret_text = t;
	return 0;
}

void config_text_release(struct config_text *text)
{
	if (text->text)
		explicit_bzero(text->text, text->len);
	free(text->text);
	*text = (struct config_text){0};
}
