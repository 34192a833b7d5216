// Bytes of a stream into Docker's json-file lines. Pure.
#pragma once
#include "base/base.h"

#define LOG_LINE_MAX 16384
// The most that one encoded line can take: every byte six-fold, and the rest of the object.
#define LOG_ENCODED_MAX(attrs_len) (LOG_LINE_MAX * 6 + 256 + (attrs_len))

enum stream { STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR };

struct logline {
	char pending[LOG_LINE_MAX + 4]; // a line whose end has not been read
	size_t pending_len;
	bool partial; // the line's beginning has been given out
	const char *attrs; // a JSON object or NULL
	size_t attrs_len;
	const char *name; // "stdout" or "stderr"
	char tail[160]; // `","stream":...` up to the attributes
	size_t tail_len;
	char stamp[64]; // `,"time":"..."}` and the newline
	size_t stamp_len;
	int64_t stamp_second;
};

void logline_init(struct logline *line, enum stream stream, const char *attrs);
// The time that the lines to come are stamped with.
void logline_time(struct logline *line, int64_t time);

// Takes bytes from [*at, end) and writes at most one encoded line at out; its length, or 0 when all was taken
// and nothing is complete. There must be room for LOG_ENCODED_MAX.
size_t logline_take(struct logline *line, const char **at, const char *end, char *out);
// The pending partial as it is; 0 when there is none.
size_t logline_flush(struct logline *line, char *out);

// The rest of the line is lost: what is pending is thrown away, and partials of it are ended by a newline.
size_t logline_cut(struct logline *line, char *out);

// The inside of a JSON string; returns its length (at most 6 * len). `out` needs 16 bytes more than that.
size_t json_escape(const char *bytes, size_t len, char *out);
