// libFuzzer: every byte that the shim parses. The first byte chooses the parser.
#include "facts/journalfile.h"
#include "forget.h"
#include "handover/state.h"
#include "shim.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct spec spec;
static struct health health;
static struct logline line;

static void fuzz_spec(char *text, size_t len)
{
	char *own = malloc(len + 1);
	struct error err;
	memcpy(own, text, len + 1);
	if (spec_parse(&spec, own, len, &err) == 0)
		free(spec.text);
}

static void fuzz_status(char *text, size_t len)
{
	struct old_status old;
	(void)status_parse(&old, text, len);
}

static void fuzz_health(char *text, size_t len)
{
	health_parse(&health, text, len);
}

static void fuzz_request(char *text, size_t len)
{
	const char *verb;
	struct pairs pairs;
	int64_t number;
	if (request_parse(text, len, &verb, &pairs) == 0)
		(void)pairs_int(&pairs, "signal", &number);
}

static void fuzz_word(char *text, size_t len)
{
	char *raw = malloc(len + 1), *again = malloc(len * 3 + 8);
	struct text t = { .at = again, .cap = len * 3 + 8 };
	memcpy(raw, text, len);
	text_word(&t, raw, len);
	if (t.overflow || word_decode(again, t.len) != (ssize_t)len || memcmp(again, raw, len) != 0)
		abort(); // what was encoded comes back
	free(raw);
	free(again);
	(void)word_decode(text, len);
}

static void fuzz_journal(char *text, size_t len)
{
	(void)journal_last_seq(text, len);
}

static void fuzz_log(char *text, size_t len)
{
	// Exactly as large as promised: the sanitizer sees a byte too many.
	char *out = malloc(LOG_ENCODED_MAX(0));
	size_t piece = len ? (unsigned char)text[0] * 64 + 1 : 1;
	logline_init(&line, STREAM_STDOUT, NULL);
	for (const char *at = text, *end = text + len; at < end;) {
		const char *stop = (size_t)(end - at) > piece ? at + piece : end;
		while (at < stop) {
			size_t n = logline_take(&line, &at, stop, out);
			if (n && (out[n - 1] != '\n' || memchr(out, '\n', n - 1)))
				abort(); // one line is one line
		}
	}
	(void)logline_flush(&line, out);
	free(out);
}

static void fuzz_runtime(char *text, size_t len)
{
	char out[512];
	(void)runtime_log_error(text, len, out, sizeof out);
	(void)runtime_exit_code(text, 1);
}

static void fuzz_tail(char *text, size_t len)
{
	int fd = memfd_create("tail", MFD_CLOEXEC);
	if (write(fd, text, len) == (ssize_t)len)
		(void)mend_torn_tail(fd);
	close(fd);
}

// The text of a handover, and behind its end the bytes that it names.
static void fuzz_handover(char *text, size_t len)
{
	static struct shim shim;
	struct error err;
	char *end = memmem(text, len, "\nend\n", 5);
	size_t text_len = end ? (size_t)(end - text) + 5 : len;
	char *bytes = malloc(len - text_len + 1); // exactly as large: the sanitizer sees a byte too many
	memcpy(bytes, text + text_len, len - text_len);
	shim_init(&shim);
	(void)state_take(&shim, text, text_len, bytes, len - text_len, &err);
	forget(&shim);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(char *, size_t) = {
		fuzz_spec, fuzz_status, fuzz_health, fuzz_request, fuzz_word, fuzz_journal, fuzz_log, fuzz_runtime, fuzz_tail,
		fuzz_handover,
	};
	if (size == 0)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	parsers[data[0] % ARRAY_LEN(parsers)](text, size - 1);
	free(text);
	return 0;
}
