#include "base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int error_set(struct error *err, const char *kind, int number, const char *format, ...)
{
	if (!err)
		return number ? number : -EINVAL;
	err->kind = kind;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	if (number && n >= 0 && (size_t)n < sizeof err->message)
		snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", strerror(-number));
	return number ? number : -EINVAL;
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

int64_t now_real(void)
{
	return now(CLOCK_REALTIME);
}

int64_t now_mono(void)
{
	return now(CLOCK_MONOTONIC);
}

bool parse_i64(const char *text, int64_t *out)
{
	const char *digits = *text == '-' ? text + 1 : text;
	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	char *end;
	long long value = strtoll(text, &end, 10);
	if (errno || *end)
		return false;
	*out = value;
	return true;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;
	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_full(int fd, char *out, size_t len)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = read(fd, out + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

ssize_t read_file_at(int dir, const char *name, char *out, size_t cap)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : read_text(fd, out, cap);
}

ssize_t read_text(int fd, char *out, size_t cap)
{
	ssize_t n = read_full(fd, out, cap);
	if (n < 0)
		return n;
	if ((size_t)n == cap)
		return -EFBIG;
	out[n] = 0;
	return n;
}

ssize_t read_tail_at(int dir, const char *name, char *out, size_t cap)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	off_t room = (off_t)cap - 1;
	if (st.st_size > room && lseek(fd, st.st_size - room, SEEK_SET) < 0)
		return -errno;
	ssize_t n = read_full(fd, out, cap - 1);
	if (n >= 0)
		out[n] = 0;
	return n;
}

const char *place_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int place_open(struct place *place, const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int len = slash ? (int)(slash - path) : 0;
	place->name = place_name(path);
	if (len >= (int)sizeof folder)
		return -ENAMETOOLONG;
	snprintf(folder, sizeof folder, "%.*s%s", len, path, slash ? "/" : ".");
	place->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return place->dir < 0 ? -errno : 0;
}

int64_t process_start_time(pid_t pid)
{
	char path[32], stat[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (pid <= 0 || read_file_at(AT_FDCWD, path, stat, sizeof stat) < 0)
		return 0;
	// The second field is the command in parentheses and may itself contain anything.
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoll(at, NULL, 10) : 0;
}

void random_hex(char *out, size_t digits)
{
	unsigned char bytes[64];
	if (digits > sizeof bytes || getrandom(bytes, digits, 0) != (ssize_t)digits)
		memset(bytes, 0, sizeof bytes);
	for (size_t i = 0; i < digits && i < sizeof bytes; i++)
		out[i] = "0123456789abcdef"[bytes[i] & 15];
	out[digits] = 0;
}
