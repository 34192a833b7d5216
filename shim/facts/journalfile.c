#include "facts/journalfile.h"
#include "log/logfile.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST (1 << 20)
#define ROOM (1 << 20)

int journal_open(const struct place *place, int *fd, int64_t *size)
{
	*fd = openat(place->dir, place->name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return -errno;
	*size = mend_torn_tail(*fd);
	return *size < 0 ? (int)*size : 0;
}

static void old_path(char out[PATH_MAX], const char *path)
{
	snprintf(out, PATH_MAX, "%s.1", path);
}

void journal_append(const struct place *place, int *fd, int64_t *size, const char *line, size_t len)
{
	if (!place->name)
		return;
	if (*fd >= 0 && *size > 0 && *size + (int64_t)len > MOST) {
		char old[PATH_MAX];
		old_path(old, place->name);
		if (renameat(place->dir, place->name, place->dir, old) == 0)
			close_fd(fd);
		else
			*size = 0;
	}
	if (*fd < 0 && journal_open(place, fd, size) < 0)
		return;
	if (write_all(*fd, line, len) == 0)
		*size += (int64_t)len;
	else
		(void)mend_torn_tail(*fd);
}

uint64_t journal_line_seq(const char *line, size_t len)
{
	uint64_t seq = 0;
	size_t i = 0;
	for (; i < len && i < 19 && line[i] >= '0' && line[i] <= '9'; i++)
		seq = seq * 10 + (uint64_t)(line[i] - '0');
	return i > 0 && i < len && line[i] == ' ' ? seq : 0;
}

uint64_t journal_last_seq(const char *text, size_t len)
{
	const char *end = memrchr(text, '\n', len);
	while (end) {
		const char *before = end > text ? memrchr(text, '\n', (size_t)(end - text)) : NULL;
		const char *line = before ? before + 1 : text;
		uint64_t seq = journal_line_seq(line, (size_t)(end - line));
		if (seq)
			return seq;
		end = before;
	}
	return 0;
}

uint64_t journal_file_last_seq(const char *path)
{
	char old[PATH_MAX];
	size_t cap = 64 * 1024;
	char *tail = malloc(cap);
	if (!tail)
		return 0;
	ssize_t n = read_tail_at(AT_FDCWD, path, tail, cap);
	uint64_t seq = n > 0 ? journal_last_seq(tail, (size_t)n) : 0;
	if (seq == 0) {
		old_path(old, path);
		n = read_tail_at(AT_FDCWD, old, tail, cap);
		seq = n > 0 ? journal_last_seq(tail, (size_t)n) : 0;
	}
	free(tail);
	return seq;
}

// Drops lines that are not newer, and a torn one at the end.
static size_t keep_newer(char *text, size_t len, uint64_t since)
{
	size_t kept = 0;
	for (char *line = text, *end = text + len, *stop; line < end && (stop = memchr(line, '\n', (size_t)(end - line))); line = stop + 1) {
		size_t n = (size_t)(stop - line) + 1;
		if (journal_line_seq(line, n) > since) {
			memmove(text + kept, line, n);
			kept += n;
		}
	}
	return kept;
}

char *journal_read_since(const struct place *place, uint64_t since, size_t *len, size_t *size)
{
	char old[PATH_MAX];
	*len = 0;
	*size = 2 * MOST + ROOM;
	char *map = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED || !place->name)
		return map == MAP_FAILED ? NULL : map;
	old_path(old, place->name);
	const char *const files[] = { old, place->name };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		ssize_t n = read_tail_at(place->dir, files[i], map + *len, MOST + 1);
		if (n > 0)
			*len += keep_newer(map + *len, (size_t)n, since);
	}
	return map;
}
