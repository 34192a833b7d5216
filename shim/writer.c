#include "writer.h"
#include "journalfile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RING_BASE (1 << 20)
#define RING_RESERVE (128 * 1024)
#define QUIET_SECONDS 5
#define STACK_SIZE (96 * 1024)

struct job {
	uint32_t kind;
	uint32_t len;
	int64_t time;
	uint32_t stream, unused;
};
_Static_assert(sizeof(struct job) == 24, "jobs are aligned to 8");

static size_t job_size(size_t len)
{
	return sizeof(struct job) + ((len + 7) & ~(size_t)7);
}

static void kick(const struct writer *w)
{
	uint64_t one = 1;
	(void)!write(w->kick, &one, sizeof one);
}

// Under the lock. Room in one piece for a job of `need` bytes within `limit`, with padding at the end of the ring if needed.
static char *ring_room(struct writer *w, size_t need, size_t limit)
{
	if (w->used == 0)
		w->head = 0; // a quiet container uses the first pages only
	size_t to_end = w->size - w->head, pad = to_end < need ? to_end : 0;
	if (w->used + pad + need > limit)
		return NULL;
	if (pad) {
		if (pad >= sizeof(struct job))
			*(struct job *)(w->ring + w->head) = (struct job){ .kind = JOB_PAD };
		w->used += pad;
		w->pushed += pad;
		w->head = 0;
	}
	return w->ring + w->head;
}

static bool put(struct writer *w, const struct job *job, const void *bytes, size_t limit)
{
	size_t need = job_size(job->len);
	pthread_mutex_lock(&w->lock);
	char *at = ring_room(w, need, limit);
	if (at) {
		memcpy(at, job, sizeof *job);
		if (bytes)
			memcpy(at + sizeof *job, bytes, job->len);
		w->head = (w->head + need) % w->size;
		w->used += need;
		w->pushed += need;
		if (w->sleeping)
			pthread_cond_signal(&w->wake);
	} else {
		w->want_room = true;
	}
	pthread_mutex_unlock(&w->lock);
	return at != NULL;
}

bool writer_log(struct writer *w, enum stream stream, int64_t time, const char *bytes, size_t len)
{
	struct job job = { .kind = JOB_LOG, .len = (uint32_t)len, .time = time, .stream = stream };
	return put(w, &job, bytes, w->log_limit);
}

bool writer_log_cut(struct writer *w, enum stream stream)
{
	struct job job = { .kind = JOB_LOG_CUT, .stream = stream };
	return put(w, &job, NULL, w->log_limit);
}

bool writer_log_room(struct writer *w, size_t len)
{
	pthread_mutex_lock(&w->lock);
	// The worst case: padding up to one job at the end of the ring.
	bool room = w->used == 0 || w->used + 2 * job_size(len) <= w->log_limit;
	if (!room)
		w->want_room = true;
	pthread_mutex_unlock(&w->lock);
	return room;
}

void writer_log_lost(struct writer *w, uint64_t lines)
{
	pthread_mutex_lock(&w->lock);
	w->lost += lines;
	pthread_mutex_unlock(&w->lock);
}

bool writer_put(struct writer *w, enum job_kind kind, const void *bytes, size_t len)
{
	struct job job = { .kind = kind, .len = (uint32_t)len };
	return put(w, &job, bytes, w->size);
}

uint64_t writer_mark(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t mark = w->pushed;
	w->want_written = true;
	pthread_mutex_unlock(&w->lock);
	return mark;
}

bool writer_reached(struct writer *w, uint64_t mark)
{
	pthread_mutex_lock(&w->lock);
	bool reached = w->written >= mark;
	pthread_mutex_unlock(&w->lock);
	return reached;
}

void writer_compressed(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->compressing = false;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void compress_start(struct logfile *log)
{
	struct writer *w = container_of(log, struct writer, log);
	pthread_mutex_lock(&w->lock);
	w->compress_wanted = w->compressing = true;
	pthread_mutex_unlock(&w->lock);
	kick(w);
}

static void compress_wait(struct logfile *log)
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
	char *map = journal_read_since(w->journal_path, since, &len, &size);
	pthread_mutex_lock(&w->lock);
	w->journal_map = map;
	w->journal_len = len;
	w->journal_map_size = size;
	w->journal_ready = true;
	pthread_mutex_unlock(&w->lock);
	kick(w);
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
		journal_append(w->journal_path, &w->journal_fd, &w->journal_size, bytes, job->len);
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
		kick(w);
}

static void *writer_main(void *arg)
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
			kick(w);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static int open_records(struct writer *w, const struct spec *spec, bool fresh, struct error *err)
{
	// A record of an earlier run must not be taken for this one's.
	w->exit_fd = open(spec->exit_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_TRUNC : 0), 0600);
	if (w->exit_fd < 0)
		return error_set(err, "system", -errno, "open %s", spec->exit_path);
	if (spec->kind == KIND_EXEC)
		return 0;
	int failed = posix_fallocate(w->exit_fd, 0, EXIT_SIZE);
	if (failed)
		return error_set(err, "system", -failed, "allocate %s", spec->exit_path);
	failed = journal_open(spec->journal_path, &w->journal_fd, &w->journal_size);
	return failed ? error_set(err, "system", failed, "open %s", spec->journal_path) : 0;
}

static int start_thread(struct writer *w)
{
	pthread_condattr_t clock;
	pthread_attr_t attr;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &clock);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	int failed = pthread_create(&w->thread, &attr, writer_main, w);
	pthread_attr_destroy(&attr);
	w->running = !failed;
	return -failed;
}

int writer_start(struct writer *w, const struct spec *spec, bool fresh, struct error *err)
{
	w->journal_path = spec->journal_path;
	w->journal_fd = w->exit_fd = -1;
	w->log.compress_start = compress_start;
	w->log.compress_wait = compress_wait;
	int failed = logfile_init(&w->log, spec, err);
	if (!failed)
		failed = open_records(w, spec, fresh, err);
	if (failed)
		return failed;
	logline_init(&w->line[0], STREAM_STDOUT, spec->log_attrs);
	logline_init(&w->line[1], STREAM_STDERR, spec->log_attrs);
	w->log_limit = RING_BASE;
	if (spec->log_non_blocking && (size_t)spec->log_buffer > w->log_limit)
		w->log_limit = ((size_t)spec->log_buffer + 4095) & ~(size_t)4095;
	w->size = w->log_limit + RING_RESERVE;
	w->ring = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->ring == MAP_FAILED || w->kick < 0)
		return error_set(err, "system", -errno, "log ring");
	failed = start_thread(w);
	return failed ? error_set(err, "system", failed, "writer thread") : 0;
}

void writer_stop(struct writer *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
	logfile_close(&w->log);
	close_fd(&w->journal_fd);
	close_fd(&w->exit_fd);
}
