#include "log/logline.h"
#include "check.h"
#include <string.h>

static struct logline line;
static char out[LOG_ENCODED_MAX(0)];

// Everything that comes of these bytes, read in pieces of at most `piece`.
static size_t encode(const char *bytes, size_t len, size_t piece, char *all)
{
	size_t total = 0;
	logline_init(&line, STREAM_STDOUT, NULL);
	for (size_t at = 0; at < len; at += piece) {
		const char *from = bytes + at, *end = bytes + (at + piece < len ? at + piece : len);
		while (from < end) {
			size_t n = logline_take(&line, &from, end, out);
			CHECK(n <= sizeof out);
			memcpy(all + total, out, n);
			total += n;
		}
	}
	size_t n = logline_flush(&line, out);
	memcpy(all + total, out, n);
	return total + n;
}

static size_t count(const char *text, size_t len, const char *what)
{
	size_t found = 0;
	for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), what, strlen(what))); at++)
		found++;
	return found;
}

// However the bytes are cut into reads, the lines are the same.
static void pieces_do_not_matter(void)
{
	enum { LEN = 100000, ALL = LEN * 20 };
	char *bytes = malloc(LEN), *whole = malloc(ALL), *again = malloc(ALL);
	srand(7);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < LEN; i++) {
			int dice = rand() % (round < 3 ? 80 : 40000);
			bytes[i] = dice == 0 ? '\n' : round % 3 == 0 ? (char)rand() : round % 3 == 1 ? (char)('a' + rand() % 26) : "\xe4\xb8\x96"[i % 3];
		}
		size_t len = encode(bytes, LEN, LEN, whole);
		static const size_t piece[] = { 1, 7, 4096, 16383, 16384, 16385, 65536 };
		for (size_t i = 0; i < ARRAY_LEN(piece); i++)
			CHECK(encode(bytes, LEN, piece[i], again) == len && memcmp(whole, again, len) == 0);
	}
	free(bytes);
	free(whole);
	free(again);
}

static void partials(void)
{
	static char bytes[3 * LOG_LINE_MAX + 2], all[20 * LOG_LINE_MAX];
	memset(bytes, 'x', sizeof bytes);
	bytes[LOG_LINE_MAX] = '\n'; // a whole line of exactly the limit is not cut
	size_t len = encode(bytes, LOG_LINE_MAX + 1, 65536, all);
	CHECK(count(all, len, "\n") == 1 && count(all, len, "\\n\",\"stream\"") == 1);
	bytes[LOG_LINE_MAX] = 'x';
	bytes[LOG_LINE_MAX + 1] = '\n';
	len = encode(bytes, LOG_LINE_MAX + 2, 65536, all);
	CHECK(count(all, len, "\n") == 2 && count(all, len, "\\n\",\"stream\"") == 1);
	// A character that would be split goes whole into the next partial.
	memcpy(bytes + LOG_LINE_MAX - 2, "\xf0\x9f\x98\x80", 4);
	len = encode(bytes, LOG_LINE_MAX + 10, 65536, all);
	CHECK(count(all, len, "\xf0\x9f\x98\x80") == 1 && count(all, len, "\\ufffd") == 0);
	// A line that loses its rest: gone, or ended where a part of it was given out.
	logline_init(&line, STREAM_STDOUT, NULL);
	const char *begun = "begun";
	CHECK(logline_take(&line, &begun, begun + 5, out) == 0 && logline_cut(&line, out) == 0 && logline_flush(&line, out) == 0);
	begun = bytes;
	CHECK(logline_take(&line, &begun, bytes + LOG_LINE_MAX - 2, out) == 0);
	begun = "yyyy";
	CHECK(logline_take(&line, &begun, begun + 4, out) > 0 && logline_cut(&line, out) > 0 && strncmp(out, "{\"log\":\"\\n\"", 11) == 0);
	// Attributes stand between stream and time.
	logline_init(&line, STREAM_STDERR, "{\"a\":\"b\"}");
	const char *from = "x\n";
	len = logline_take(&line, &from, from + 2, out);
	CHECK(strncmp(out, "{\"log\":\"x\\n\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"1970-01-01T00:00:00.000000000Z\"}\n", len) == 0);
}

void test_logline(void)
{
	pieces_do_not_matter();
	partials();
}
