#include "facts/journalfile.h"
#include "shim.h"
#include "check.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_disk(void)
{
	char dir[] = "/tmp/moored-journal-XXXXXX", path[64], old[80];
	int fd;
	int64_t size;
	struct place place;
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/journal", dir);
	snprintf(old, sizeof old, "%s.1", path);
	CHECK(place_open(&place, path) == 0);
	CHECK(journal_open(&place, &fd, &size) == 0);
	uint64_t last = 40000; // several turns of a MiB
	for (uint64_t seq = 1; seq <= last; seq++) {
		char line[128];
		int n = snprintf(line, sizeof line, "%llu 1795449911193041106 start run=1 pid=831 padding-padding-padding\n", (unsigned long long)seq);
		journal_append(&place, &fd, &size, line, (size_t)n);
	}
	CHECK(access(old, F_OK) == 0);
	CHECK(write(fd, "40001 179 torn", 14) == 14);
	CHECK(journal_file_last_seq(path) == last);
	close(fd);
	size_t len, map_size;
	char *map = journal_read_since(&place, last - 20000, &len, &map_size);
	CHECK(map && journal_line_seq(map, len) == last - 20000 + 1 && journal_last_seq(map, len) == last);
	munmap(map, map_size);
	CHECK(journal_open(&place, &fd, &size) == 0); // mends the torn line
	journal_append(&place, &fd, &size, "40002 1 end\n", 12);
	CHECK(journal_file_last_seq(path) == 40002);
	close(fd);
	unlink(path);
	CHECK(journal_file_last_seq(path) > 0); // the older file still tells
	unlink(old);
	CHECK(journal_file_last_seq(path) == 0);
	close(place.dir);
	CHECK(rmdir(dir) == 0);
}

static void lines(void)
{
	CHECK(journal_line_seq("12 x", 4) == 12 && journal_line_seq("12", 2) == 0 && journal_line_seq(" 1 ", 3) == 0 && journal_line_seq("", 0) == 0);
	CHECK(journal_last_seq("1 a\n2 b\n3 torn", 14) == 2 && journal_last_seq("1 a\nrubbish\n", 12) == 1 && journal_last_seq("", 0) == 0);
}

void test_journal(void)
{
	lines();
	on_disk();
}
