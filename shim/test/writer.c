#include "log/writer.h"
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_kick(struct writer *w)
{
	struct pollfd p = { .fd = w->kick, .events = POLLIN };
	uint64_t count;
	CHECK(poll(&p, 1, 10000) == 1);
	CHECK(read(w->kick, &count, sizeof count) == sizeof count);
}

// Random pieces of numbered lines through the ring: all come out, once, in order, while records go in between.
void test_writer(void)
{
	char dir[] = "/tmp/moored-writer-XXXXXX", log[64], end[64], journal[64];
	static struct writer w;
	struct error err;
	CHECK(mkdtemp(dir));
	snprintf(log, sizeof log, "%s/log", dir);
	snprintf(end, sizeof end, "%s/exit", dir);
	snprintf(journal, sizeof journal, "%s/journal", dir);
	struct spec spec = { .log_json = true, .log_path = log, .log_max_file = 1, .exit_path = end, .journal_path = journal };
	CHECK(writer_start(&w, &spec, true, &err) == 0);

	enum { LINES = 60000, WIDTH = 40 };
	char *all = malloc(LINES * WIDTH + 1);
	size_t total = 0;
	for (int i = 0; i < LINES; i++)
		total += (size_t)sprintf(all + total, "line %d of many\n", i);
	srand(3);
	for (size_t at = 0; at < total;) {
		size_t n = (size_t)(rand() % (rand() % 4 ? 300 : 60000)) + 1;
		n = n < total - at ? n : total - at;
		while (!writer_log(&w, STREAM_STDOUT, 5, all + at, n))
			wait_kick(&w);
		at += n;
		if (rand() % 16 == 0)
			CHECK(writer_put(&w, JOB_JOURNAL, "1 1 x\n", 6));
	}
	CHECK(writer_put(&w, JOB_EXIT, "record\n", 7));
	uint64_t mark = writer_mark(&w);
	while (!writer_reached(&w, mark))
		wait_kick(&w);

	FILE *file = fopen(log, "r");
	char line[256], expected[256];
	int count = 0;
	for (; fgets(line, sizeof line, file); count++) {
		snprintf(expected, sizeof expected, "{\"log\":\"line %d of many\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:00.000000005Z\"}\n", count);
		CHECK(strcmp(line, expected) == 0);
	}
	CHECK(count == LINES);
	fclose(file);
	struct stat st;
	CHECK(stat(end, &st) == 0 && st.st_size == EXIT_SIZE);
	writer_stop(&w);
	munmap(w.ring, w.size);
	munmap(w.log.out, w.log.cap);
	close(w.kick);
	free(all);
	unlink(log);
	unlink(end);
	unlink(journal);
	CHECK(rmdir(dir) == 0);
}
