#include "log/logfile.h"
#include "check.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/moored-logfile-XXXXXX";
static char path[64];

static void add(struct logfile *log, const char *text)
{
	memcpy(log->out + log->len, text, strlen(text));
	log->len += strlen(text);
}

static void expect(const char *suffix, const char *content)
{
	char name[96], text[4096];
	snprintf(name, sizeof name, "%s%s", path, suffix);
	ssize_t n = read_file_at(AT_FDCWD, name, text, sizeof text);
	if (!content) {
		CHECK(n < 0);
		return;
	}
	CHECK(n >= 0);
	if (strcmp(text, content) != 0)
		fprintf(stderr, "%s is: %s\n", name, text);
	CHECK(strcmp(text, content) == 0);
}

static void open_log(struct logfile *log, int64_t max_size, int64_t max_file)
{
	struct spec spec = { .log_json = true, .log_path = path, .log_max_size = max_size, .log_max_file = max_file };
	struct error err;
	memset(log, 0, sizeof *log);
	CHECK(logfile_prepare(log, &spec, &err) == 0 && logfile_open(log, &err) == 0);
}

static void close_log(struct logfile *log)
{
	logfile_close(log);
	munmap(log->out, log->cap);
}

static void clear(void)
{
	static const char *const suffixes[] = { "", ".1", ".2", ".3" };
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char name[96];
		snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		(void)unlink(name);
	}
}

static void rotation(void)
{
	struct logfile log;
	open_log(&log, 10, 3);
	add(&log, "aaaa\nbbbb\ncccc\ndddd\n");
	logfile_flush(&log);
	expect("", "cccc\ndddd\n");
	expect(".1", "aaaa\nbbbb\n");
	add(&log, "a line longer than a file\n");
	add(&log, "e\n");
	logfile_flush(&log);
	expect("", "e\n");
	expect(".1", "a line longer than a file\n");
	expect(".2", "cccc\ndddd\n");
	expect(".3", NULL);
	close_log(&log);
	clear();
	open_log(&log, 10, 1);
	add(&log, "aaaa\nbbbb\ncccc\n");
	logfile_flush(&log);
	expect("", "cccc\n");
	expect(".1", NULL);
	close_log(&log);
	clear();
}

static void torn_tail(void)
{
	struct logfile log;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(write(fd, "{\"log\":\"ha", 10) == 10);
	close(fd);
	open_log(&log, 0, 1);
	add(&log, "next\n");
	logfile_flush(&log);
	expect("", "{\"log\":\"ha\nnext\n");
	close_log(&log);
	clear();
}

static void limit(rlim_t size)
{
	struct rlimit l;
	CHECK(getrlimit(RLIMIT_FSIZE, &l) == 0);
	l.rlim_cur = size;
	CHECK(setrlimit(RLIMIT_FSIZE, &l) == 0);
}

// No room in the middle of a line: its rest comes first, then the note, then what is new.
static void no_room(void)
{
	struct logfile log;
	char text[4096];
	open_log(&log, 0, 1);
	limit(12);
	add(&log, "first\nsecond line\nthird\nfourth\n");
	logfile_flush(&log);
	expect("", "first\nsecond");
	CHECK(logfile_owes(&log) && log.dropped == 2);
	add(&log, "fifth\n");
	logfile_flush(&log);
	expect("", "first\nsecond");
	CHECK(log.dropped == 3);
	limit(20); // enough for the rest of the line, and for a piece of the note
	add(&log, "sixth\n");
	logfile_flush(&log);
	CHECK(log.dropped == 1 && log.noted == 3 && log.torn > 0);
	limit(RLIM_INFINITY);
	add(&log, "seventh\n");
	logfile_flush(&log);
	CHECK(!logfile_owes(&log) && log.noted == 4 && log.dropped_total == 4);
	CHECK(read_file_at(AT_FDCWD, path, text, sizeof text) > 0);
	CHECK(strncmp(text, "first\nsecond line\n{\"log\":\"moored: 3 log lines dropped: File too large\\n\",\"stream\":\"stderr\",\"time\":", 97) == 0);
	CHECK(strstr(text, "Z\"}\n{\"log\":\"moored: 1 log lines dropped:"));
	CHECK(strcmp(text + strlen(text) - 12, "Z\"}\nseventh\n") == 0);
	close_log(&log);
	clear();
}

static void reopening(void)
{
	struct logfile log;
	char moved[96];
	open_log(&log, 0, 1);
	add(&log, "old\n");
	logfile_flush(&log);
	snprintf(moved, sizeof moved, "%s.1", path);
	CHECK(rename(path, moved) == 0);
	add(&log, "still old\n");
	logfile_reopen(&log);
	add(&log, "new\n");
	logfile_flush(&log);
	expect(".1", "old\nstill old\n");
	expect("", "new\n");
	close_log(&log);
	clear();
}

// The data root was renamed while the file was open: it turns where it is now.
static void folder_moved(void)
{
	struct logfile log;
	char moved[96];
	open_log(&log, 4, 2);
	snprintf(moved, sizeof moved, "%s-moved", dir);
	CHECK(rename(dir, moved) == 0);
	add(&log, "one\ntwo\n");
	logfile_flush(&log);
	CHECK(!logfile_owes(&log) && log.dropped_total == 0);
	CHECK(rename(moved, dir) == 0);
	expect(".1", "one\n");
	expect("", "two\n");
	close_log(&log);
	clear();
}

void test_logfile(void)
{
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/log", dir);
	rotation();
	torn_tail();
	no_room();
	reopening();
	folder_moved();
	CHECK(rmdir(dir) == 0);
}
