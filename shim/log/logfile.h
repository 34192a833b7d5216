// The log file: whole lines out of one buffer, rotation, and what to do when a write fails.
// Only the writer's thread comes here; any call may block for as long as the data root does.
#pragma once
#include "orders/spec.h"

struct logfile {
	const char *path; // NULL: no log. Where it was when it was first opened
	struct place place;
	int fd;
	int64_t size;
	int64_t max_size, max_file;
	bool compress;
	char *out; // encoded lines
	size_t len, cap;
	size_t torn; // the first bytes of `out` finish a line whose beginning is in the file already
	uint64_t dropped; // lines lost and not yet spoken of
	uint64_t dropped_total;
	char reason[64];
	uint64_t noted; // lines that the log has spoken of
	// Called after x was renamed to x.1 that is to be compressed, and before a rotation that would rename it.
	void (*compress_start)(struct logfile *log);
	void (*compress_wait)(struct logfile *log);
};

// The buffers, without touching a file.
int logfile_prepare(struct logfile *log, const struct spec *spec, struct error *err);
int logfile_open(struct logfile *log, struct error *err);
void logfile_reopen(struct logfile *log);
// Writes what is in `out`, rotating between lines; lines that cannot be written are dropped and counted.
void logfile_flush(struct logfile *log);
// Lines that were lost before they came here.
void logfile_lost(struct logfile *log, uint64_t lines, const char *reason);
// Something is to be written as soon as writing works again.
bool logfile_owes(const struct logfile *log);
void logfile_close(struct logfile *log);

// Completes a torn last line with a newline; the file's size or a negative errno.
int64_t mend_torn_tail(int fd);
