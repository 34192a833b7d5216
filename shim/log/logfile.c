#include "log/logfile.h"
#include "log/logline.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH (128 * 1024)

int64_t mend_torn_tail(int fd)
{
	struct stat st;
	char last;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return 0;
	if (pread(fd, &last, 1, st.st_size - 1) != 1)
		return errno ? -errno : -EIO;
	if (last == '\n')
		return st.st_size;
	int failed = write_all(fd, "\n", 1);
	return failed ? failed : st.st_size + 1;
}

static int open_file(struct logfile *log)
{
	log->fd = openat(log->place.dir, log->place.name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (log->fd < 0)
		return -errno;
	int64_t size = mend_torn_tail(log->fd);
	log->size = size < 0 ? 0 : size;
	return 0;
}

int logfile_prepare(struct logfile *log, const struct spec *spec, struct error *err)
{
	log->fd = log->place.dir = -1;
	log->path = spec->log_json ? spec->log_path : NULL;
	if (!log->path)
		return 0;
	log->place.name = place_name(log->path);
	log->max_size = spec->log_max_size;
	log->max_file = spec->log_max_file;
	log->compress = spec->log_compress && log->max_file > 1;
	log->cap = BATCH + 2 * LOG_ENCODED_MAX(spec->log_attrs ? strlen(spec->log_attrs) : 0);
	log->out = mmap(NULL, log->cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return log->out == MAP_FAILED ? error_set(err, "system", -ENOMEM, "log buffer") : 0;
}

int logfile_open(struct logfile *log, struct error *err)
{
	int failed = log->path ? place_open(&log->place, log->path) : 0;
	if (!failed && log->path)
		failed = open_file(log);
	return failed ? error_set(err, "system", failed, "open %s", log->path) : 0;
}

void logfile_reopen(struct logfile *log)
{
	if (!log->path)
		return;
	logfile_flush(log);
	cleanup_fd int old = log->fd;
	(void)old;
	// A line that was begun in the old file cannot be finished in another one.
	if (log->torn)
		logfile_lost(log, 1, "log file reopened");
	log->len -= log->torn;
	memmove(log->out, log->out + log->torn, log->len);
	log->torn = 0;
	(void)open_file(log); // tried again at the next flush
}

static void numbered(char *out, size_t cap, const char *name, int64_t number, const char *suffix)
{
	snprintf(out, cap, "%s.%lld%s", name, (long long)number, suffix);
}

// Renames x to x.1, x.1 to x.2 and so on. A rename that fails is not fatal: the log goes on in a new file or the old one.
static void rotate(struct logfile *log)
{
	char from[PATH_MAX], to[PATH_MAX];
	int dir = log->place.dir;
	const char *name = log->place.name;
	static const char *const suffixes[] = { "", ".gz" };
	if (log->compress)
		log->compress_wait(log);
	for (size_t s = 0; s < ARRAY_LEN(suffixes) && log->max_file > 1; s++) {
		numbered(to, sizeof to, name, log->max_file - 1, suffixes[s]);
		(void)unlinkat(dir, to, 0);
		for (int64_t i = log->max_file - 2; i >= 1; i--) {
			numbered(from, sizeof from, name, i, suffixes[s]);
			numbered(to, sizeof to, name, i + 1, suffixes[s]);
			(void)renameat(dir, from, dir, to);
		}
	}
	numbered(to, sizeof to, name, 1, "");
	int moved = log->max_file > 1 ? renameat(dir, name, dir, to) : unlinkat(dir, name, 0);
	if (moved < 0 && errno != ENOENT) {
		log->size = 0; // not again before as much was written once more
		return;
	}
	close_fd(&log->fd);
	(void)open_file(log);
	if (log->compress)
		log->compress_start(log);
}

static uint64_t count_lines(const char *bytes, size_t len)
{
	uint64_t lines = 0;
	for (const char *at = bytes, *end = bytes + len; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		lines++;
	return lines;
}

void logfile_lost(struct logfile *log, uint64_t lines, const char *reason)
{
	log->dropped += lines;
	log->dropped_total += lines;
	snprintf(log->reason, sizeof log->reason, "%s", reason);
}

// How much of the whole lines still goes into this file.
static size_t fitting(const struct logfile *log, const char *bytes, size_t len)
{
	if (log->max_size <= 0 || log->size + (int64_t)len <= log->max_size)
		return len;
	int64_t room = log->max_size - log->size;
	const char *last = room > 0 ? memrchr(bytes, '\n', (size_t)room) : NULL;
	if (last)
		return (size_t)(last - bytes) + 1;
	if (log->size > 0)
		return 0;
	return (size_t)((const char *)memchr(bytes, '\n', len) - bytes) + 1; // longer than a file may be: alone in its own
}

static ssize_t write_some(struct logfile *log, const char *bytes, size_t len)
{
	if (log->fd < 0) {
		int failed = open_file(log);
		if (failed)
			return failed;
	}
	ssize_t n;
	do
		n = write(log->fd, bytes, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	log->size += n;
	return n == 0 ? -ENOSPC : n;
}

// Writes whole lines of which the first `torn` bytes belong to one already begun. Returns how much was written;
// less than all means that writing failed, with *why. Where it stopped within a line, *torn is what is left of that one.
static size_t write_lines(struct logfile *log, const char *bytes, size_t len, size_t *torn, int *why)
{
	size_t done = 0;
	while (done < len) {
		size_t n = *torn ? *torn : fitting(log, bytes + done, len - done);
		if (n == 0) {
			rotate(log);
			if (log->size > 0 && fitting(log, bytes + done, len - done) == 0)
				n = len - done; // could not rotate
			else
				continue;
		}
		ssize_t wrote = write_some(log, bytes + done, n);
		if (wrote < 0) {
			*why = (int)wrote;
			return done;
		}
		done += (size_t)wrote;
		bool whole = bytes[done - 1] == '\n';
		*torn = whole ? 0 : (size_t)((const char *)memchr(bytes + done, '\n', len - done) - bytes) + 1 - done;
	}
	return done;
}

// The line that says what was lost. It is written before anything newer.
static bool write_note(struct logfile *log, int *why)
{
	struct logline line;
	char text[128], out[1024];
	int n = snprintf(text, sizeof text, "moored: %llu log lines dropped: %s", (unsigned long long)log->dropped, log->reason);
	logline_init(&line, STREAM_STDERR, NULL);
	logline_time(&line, now_real());
	const char *at = text;
	text[n] = '\n';
	size_t len = logline_take(&line, &at, text + n + 1, out), torn = 0;
	size_t wrote = write_lines(log, out, len, &torn, why);
	if (wrote == 0)
		return false;
	log->noted += log->dropped;
	log->dropped = 0;
	if (wrote == len)
		return true;
	// Half a note is in the file: its rest goes before everything that waits, which is given up.
	logfile_lost(log, count_lines(log->out, log->len), strerror(-*why));
	memcpy(log->out, out + wrote, len - wrote);
	log->len = log->torn = len - wrote;
	return false;
}

void logfile_flush(struct logfile *log)
{
	int why = 0;
	if (!log->path || !(log->len || logfile_owes(log)))
		return;
	size_t begun = log->torn, done = 0;
	if (begun)
		done = write_lines(log, log->out, begun, &log->torn, &why);
	if (!why && log->dropped) {
		memmove(log->out, log->out + done, log->len - done);
		log->len -= done;
		done = 0;
		if (!write_note(log, &why) && log->torn)
			return;
	}
	if (!why)
		done += write_lines(log, log->out + done, log->len - done, &log->torn, &why);
	if (!why) {
		log->len = 0;
		return;
	}
	// What is left of a line already begun is kept, the lines after it are given up.
	size_t keep = log->torn;
	uint64_t lost = count_lines(log->out + done + keep, log->len - done - keep);
	if (lost)
		logfile_lost(log, lost, strerror(-why));
	memmove(log->out, log->out + done, keep);
	log->len = keep;
}

bool logfile_owes(const struct logfile *log)
{
	return log->torn || log->dropped;
}

void logfile_close(struct logfile *log)
{
	close_fd(&log->fd);
	close_fd(&log->place.dir);
}
