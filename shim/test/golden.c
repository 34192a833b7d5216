#include "facts/journalfile.h"
#include "log/logline.h"
#include "base/record.h"
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define FILE_MAX (1 << 20)

static char *slurp(const char *path, size_t *len)
{
	char *text = malloc(FILE_MAX);
	ssize_t n = read_file_at(AT_FDCWD, path, text, FILE_MAX);
	CHECK(n >= 0);
	*len = (size_t)n;
	return text;
}

static size_t unhex(char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2) {
		unsigned byte;
		CHECK(sscanf(text + i, "%2x", &byte) == 1);
		text[i / 2] = (char)byte;
	}
	return len / 2;
}

// Cuts the next line at its tabs; false at the end.
static bool next_line(char **at, char *end, char *part[3], size_t len[3])
{
	char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
	if (!stop)
		return false;
	char *start = *at;
	for (int i = 0; i < 3; i++) {
		char *tab = start ? memchr(start, '\t', (size_t)(stop - start)) : NULL;
		part[i] = start;
		len[i] = start ? (size_t)((tab ? tab : stop) - start) : 0;
		start = tab ? tab + 1 : NULL;
	}
	*stop = 0;
	*at = stop + 1;
	return true;
}

static void words(void)
{
	size_t size, len[3];
	char *text = slurp("golden/words.txt", &size), *at = text, *part[3];
	int count = 0;
	for (; next_line(&at, text + size, part, len); count++) {
		char buffer[1024];
		struct text t = TEXT_ON(buffer);
		size_t raw = unhex(part[0], len[0]);
		text_word(&t, part[0], raw);
		CHECK(t.len == len[1] && memcmp(t.at, part[1], t.len) == 0);
		CHECK(word_decode(part[1], len[1]) == (ssize_t)raw && memcmp(part[1], part[0], raw) == 0);
	}
	CHECK(count > 15);
	free(text);
	text = at = slurp("golden/words.bad.txt", &size);
	for (count = 0; next_line(&at, text + size, part, len); count++)
		CHECK(word_decode(part[0], len[0]) < 0);
	CHECK(count > 5);
	free(text);
}

static bool reads(const char *path, const char *type)
{
	struct record record;
	struct field field;
	size_t len;
	char *text = slurp(path, &len);
	int more = record_open(&record, text, len, type);
	while (more >= 0 && (more = record_next(&record, &field)) > 0)
		;
	free(text);
	return more == 0;
}

static void records(void)
{
	DIR *dir = opendir("golden/records");
	int good = 0, bad = 0;
	CHECK(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char path[512], type[64];
		const char *dash = strchr(entry->d_name, '-'), *dot = strrchr(entry->d_name, '.');
		if (!dash || !dot)
			continue;
		snprintf(type, sizeof type, "%.*s", (int)(dash - entry->d_name), entry->d_name);
		snprintf(path, sizeof path, "golden/records/%s", entry->d_name);
		bool valid = strcmp(dot, ".rec") == 0;
		if (reads(path, type) != valid)
			fprintf(stderr, "%s\n", path);
		CHECK(reads(path, type) == valid);
		good += valid;
		bad += !valid;
	}
	closedir(dir);
	CHECK(good >= 5 && bad >= 10);
}

static void loglines(void)
{
	static struct logline line;
	static char out[LOG_ENCODED_MAX(0)];
	size_t size, len[3];
	char *text = slurp("golden/loglines.txt", &size), *at = text, *part[3];
	int count = 0;
	for (; next_line(&at, text + size, part, len); count++) {
		size_t raw = unhex(part[0], len[0]);
		logline_init(&line, len[1] == 6 && part[1][3] == 'e' ? STREAM_STDERR : STREAM_STDOUT, NULL);
		logline_time(&line, 1136214245000000009);
		const char *from = part[0];
		size_t n = logline_take(&line, &from, part[0] + raw, out);
		n = n ? n : logline_flush(&line, out);
		static const char tail[] = ",\"time\":\"2006-01-02T15:04:05.000000009Z\"}\n";
		CHECK(from == part[0] + raw);
		CHECK(n == len[2] - 1 + sizeof tail - 1);
		CHECK(memcmp(out, part[2], len[2] - 1) == 0 && memcmp(out + len[2] - 1, tail, sizeof tail - 1) == 0);
	}
	CHECK(count > 20);
	free(text);
}

static void journal(void)
{
	size_t size, len[3];
	char *text = slurp("golden/journal.txt", &size), *at = text, *part[3];
	int count = 0;
	for (; next_line(&at, text + size, part, len); count++) {
		char number[32];
		uint64_t seq = journal_line_seq(part[0], len[0]);
		snprintf(number, sizeof number, "{\"seq\":\"%llu\",", (unsigned long long)seq);
		CHECK(seq > 0 && strncmp(part[1], number, strlen(number)) == 0);
	}
	CHECK(count > 8);
	free(text);
}

void test_golden(void)
{
	words();
	records();
	loglines();
	journal();
}
