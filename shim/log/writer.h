// The thread that writes to the data root: log, journal and exit record, in the order in which they were given.
// Nobody else touches the data root once a container runs, so a hung one stops nothing but this thread.
#pragma once
#include "log/logfile.h"
#include "log/logline.h"
#include <pthread.h>

enum job_kind { JOB_PAD, JOB_LOG, JOB_LOG_CUT, JOB_LOG_END, JOB_JOURNAL, JOB_EXIT, JOB_REOPEN, JOB_READ_JOURNAL };

#define EXIT_SIZE 4096
#define JOURNAL_MAX (1 << 20)

struct writer {
	pthread_t thread;
	bool running;
	int kick; // eventfd: something below changed that the main thread waits for
	pthread_mutex_t lock;
	pthread_cond_t wake;

	// Under the lock.
	char *ring;
	size_t size, log_limit; // log data may fill `log_limit`, the rest is kept for records
	size_t head, used;
	uint64_t pushed, written; // bytes ever put in, and those whose effect is in the files
	bool sleeping, want_room, want_written, closing;
	bool parking, parked; // the thread does nothing while the ring stays empty
	bool compress_wanted, compressing;
	uint64_t lost; // lines dropped before they came into the ring
	uint64_t log_dropped, log_noted; // copies of the log file's
	char *journal_map; // the answer to JOB_READ_JOURNAL
	size_t journal_len, journal_map_size;
	bool journal_ready;

	// The thread's own.
	struct logfile log;
	struct logline line[2]; // stdout, stderr
	struct place journal; // name NULL: none
	int journal_fd;
	int64_t journal_size;
	int exit_fd;
};

// Opens log, journal and exit record (preallocated; `fresh`: emptied), and starts the thread. May block with the data root.
int writer_start(struct writer *writer, const struct spec *spec, bool fresh, struct error *err);
// false: no room now; the main thread is kicked when there is.
bool writer_log(struct writer *writer, enum stream stream, int64_t time, const char *bytes, size_t len);
// The rest of the line that is pending was lost.
bool writer_log_cut(struct writer *writer, enum stream stream);
bool writer_log_room(struct writer *writer, size_t len);
void writer_log_lost(struct writer *writer, uint64_t lines);
// Records have room of their own; false when even that is used up.
bool writer_put(struct writer *writer, enum job_kind kind, const void *bytes, size_t len);
// The point up to which everything given so far is written; writer_reached is then true, with a kick.
uint64_t writer_mark(struct writer *writer);
bool writer_reached(struct writer *writer, uint64_t mark);
void writer_compressed(struct writer *writer);
// Asks the thread to write what it has and then to stand still; a kick tells when it does. What is put afterwards wakes it.
void writer_park(struct writer *writer);
bool writer_parked(struct writer *writer);
uint64_t writer_taken(struct writer *writer); // bytes that the thread has taken out of the ring, ever
void writer_unpark(struct writer *writer);
// For a writer that a predecessor had: the buffers, without touching a file; then the thread, on what was handed over.
int writer_prepare(struct writer *writer, const struct spec *spec, struct error *err);
int writer_resume(struct writer *writer, struct error *err);
// Waits for the thread to write what it has and end.
void writer_stop(struct writer *writer);
