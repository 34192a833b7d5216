// Between the two sides of the writer: how a job lies in the ring.
#pragma once
#include "log/writer.h"

struct job {
	uint32_t kind;
	uint32_t len;
	int64_t time;
	uint32_t stream, unused;
};
_Static_assert(sizeof(struct job) == 24, "jobs are aligned to 8");

static inline size_t job_size(size_t len)
{
	return sizeof(struct job) + ((len + 7) & ~(size_t)7);
}

// Wakes the main thread.
void writer_kick(const struct writer *writer);
// The thread; its argument is the writer.
void *writer_main(void *writer);
void writer_compress_start(struct logfile *log);
void writer_compress_wait(struct logfile *log);
