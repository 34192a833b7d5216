// The thread's side: taking jobs out of the ring and doing them.
#include "log/writer_jobs.h"
#include "facts/journalfile.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define QUIET_SECONDS 5

void writer_compress_start(struct logfile *log)
{
	struct writer *w = container_of(log, struct writer, log);
	pthread_mutex_lock(&w->lock);
	w->compress_wanted = w->compressing = true;
	pthread_mutex_unlock(&w->lock);
	writer_kick(w);
}

void writer_compress_wait(struct logfile *log)
{
	struct writer *w = container_of(log, struct writer, log);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 60; // a compressor that hangs costs compressed files, not the log
	pthread_mutex_lock(&w->lock);
	while (w->compressing && !w->closing && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
		;
	pthread_mutex_unlock(&w->lock);
}

static void encode_log(struct writer *w, const struct job *job, const char *bytes)
{
	struct logline *line = &w->line[job->stream == STREAM_STDERR];
	const char *end = bytes + job->len;
	size_t worst = LOG_ENCODED_MAX(line->attrs_len);
	logline_time(line, job->time);
	while (bytes < end) {
		if (w->log.len + worst > w->log.cap)
			logfile_flush(&w->log);
		w->log.len += logline_take(line, &bytes, end, w->log.out + w->log.len);
	}
}

static void cut_log(struct writer *w, enum stream stream)
{
	struct logline *line = &w->line[stream == STREAM_STDERR];
	if (w->log.len + LOG_ENCODED_MAX(line->attrs_len) > w->log.cap)
		logfile_flush(&w->log);
	w->log.len += logline_cut(line, w->log.out + w->log.len);
}

static void end_log(struct writer *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->line); i++) {
		if (w->log.len + LOG_ENCODED_MAX(w->line[i].attrs_len) > w->log.cap)
			logfile_flush(&w->log);
		w->log.len += logline_flush(&w->line[i], w->log.out + w->log.len);
	}
}

static void write_exit(struct writer *w, const char *bytes, size_t len)
{
	char record[EXIT_SIZE];
	memset(record, '\n', sizeof record);
	memcpy(record, bytes, len < sizeof record ? len : sizeof record);
	if (w->exit_fd >= 0 && pwrite(w->exit_fd, record, sizeof record, 0) == (ssize_t)sizeof record)
		(void)fsync(w->exit_fd);
}

static void answer_journal(struct writer *w, uint64_t since)
{
	size_t len = 0, size = 0;
	char *map = journal_read_since(&w->journal, since, &len, &size);
	pthread_mutex_lock(&w->lock);
	w->journal_map = map;
	w->journal_len = len;
	w->journal_map_size = size;
	w->journal_ready = true;
	pthread_mutex_unlock(&w->lock);
	writer_kick(w);
}

static void run_job(struct writer *w, const struct job *job, const char *bytes)
{
	uint64_t since;
	switch ((enum job_kind)job->kind) {
	case JOB_PAD:
		return;
	case JOB_LOG:
		if (w->log.path)
			encode_log(w, job, bytes);
		return;
	case JOB_LOG_CUT:
		if (w->log.path)
			cut_log(w, (enum stream)job->stream);
		return;
	case JOB_LOG_END:
		if (w->log.path)
			end_log(w);
		return;
	case JOB_JOURNAL:
		journal_append(&w->journal, &w->journal_fd, &w->journal_size, bytes, job->len);
		return;
	case JOB_EXIT:
		logfile_flush(&w->log);
		write_exit(w, bytes, job->len);
		return;
	case JOB_REOPEN:
		logfile_reopen(&w->log);
		return;
	case JOB_READ_JOURNAL:
		memcpy(&since, bytes, sizeof since);
		answer_journal(w, since);
		return;
	}
}

// Under the lock; gives memory back that a burst has touched.
static void trim(struct writer *w)
{
	if (w->used == 0)
		(void)madvise(w->ring + 4096, w->size - 4096, MADV_DONTNEED);
	if (w->log.path && w->log.len < 4096)
		(void)madvise(w->log.out + 4096, w->log.cap - 4096, MADV_DONTNEED);
}

// Under the lock, with an empty ring and everything flushed.
static void sleep_until_work(struct writer *w, bool *touched)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += logfile_owes(&w->log) ? 1 : QUIET_SECONDS;
	w->sleeping = true;
	if (!*touched && !logfile_owes(&w->log)) {
		pthread_cond_wait(&w->wake, &w->lock);
	} else if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT && !logfile_owes(&w->log)) {
		trim(w);
		*touched = false;
	}
	w->sleeping = false;
}

// Under the lock, which is let go meanwhile: everything read so far goes into the file.
static void flush(struct writer *w, uint64_t read)
{
	uint64_t lost = w->lost;
	w->lost = 0;
	pthread_mutex_unlock(&w->lock);
	if (lost)
		logfile_lost(&w->log, lost, "buffer full");
	logfile_flush(&w->log);
	pthread_mutex_lock(&w->lock);
	w->written = read;
	bool news = w->want_written || w->log_dropped != w->log.dropped_total || w->log_noted != w->log.noted;
	w->log_dropped = w->log.dropped_total;
	w->log_noted = w->log.noted;
	w->want_written = false;
	if (news)
		writer_kick(w);
}

// Under the lock, with an empty ring and everything flushed.
static void park(struct writer *w)
{
	w->parked = true;
	writer_kick(w);
	while (w->parking && w->used == 0 && !w->closing)
		pthread_cond_wait(&w->wake, &w->lock);
	w->parked = false;
}

void *writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t read = 0;
	bool touched = false;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		if (w->used == 0) {
			flush(w, read);
			if (w->used)
				continue;
			if (w->closing)
				break;
			if (w->parking)
				park(w);
			else
				sleep_until_work(w, &touched);
			continue;
		}
		size_t tail = (w->head + w->size - w->used) % w->size;
		const struct job *job = (const struct job *)(w->ring + tail);
		size_t to_end = w->size - tail;
		size_t size = to_end < sizeof *job || job->kind == JOB_PAD ? to_end : job_size(job->len);
		pthread_mutex_unlock(&w->lock);
		if (to_end >= sizeof *job)
			run_job(w, job, (const char *)(job + 1));
		pthread_mutex_lock(&w->lock);
		touched = touched || size > 4096 || tail > 4096;
		read += size;
		w->used -= size;
		if (w->want_room && w->used < w->size / 2) {
			w->want_room = false;
			writer_kick(w);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}
