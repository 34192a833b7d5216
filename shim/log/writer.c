#include "log/writer_jobs.h"
#include "facts/journalfile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RING_BASE (1 << 20)
#define RING_RESERVE (128 * 1024)
#define STACK_SIZE (96 * 1024)

void writer_kick(const struct writer *w)
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
		if (w->sleeping || w->parked)
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
	failed = place_open(&w->journal, spec->journal_path);
	if (!failed)
		failed = journal_open(&w->journal, &w->journal_fd, &w->journal_size);
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

int writer_prepare(struct writer *w, const struct spec *spec, struct error *err)
{
	bool journal = spec->kind == KIND_CONTAINER && spec->journal_path;
	w->journal = (struct place){ .dir = -1, .name = journal ? place_name(spec->journal_path) : NULL };
	w->journal_fd = w->exit_fd = -1;
	w->log.compress_start = writer_compress_start;
	w->log.compress_wait = writer_compress_wait;
	int failed = logfile_prepare(&w->log, spec, err);
	if (failed)
		return failed;
	logline_init(&w->line[0], STREAM_STDOUT, spec->log_attrs);
	logline_init(&w->line[1], STREAM_STDERR, spec->log_attrs);
	w->log_limit = RING_BASE;
	if (spec->log_non_blocking && (size_t)spec->log_buffer > w->log_limit)
		w->log_limit = ((size_t)spec->log_buffer + 4095) & ~(size_t)4095;
	w->size = w->log_limit + RING_RESERVE;
	w->ring = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return w->ring == MAP_FAILED ? error_set(err, "system", -errno, "log ring") : 0;
}

int writer_resume(struct writer *w, struct error *err)
{
	w->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int failed = w->kick < 0 ? -errno : start_thread(w);
	return failed ? error_set(err, "system", failed, "writer thread") : 0;
}

int writer_start(struct writer *w, const struct spec *spec, bool fresh, struct error *err)
{
	int failed = writer_prepare(w, spec, err);
	if (!failed)
		failed = logfile_open(&w->log, err);
	if (!failed)
		failed = open_records(w, spec, fresh, err);
	return failed ? failed : writer_resume(w, err);
}

void writer_park(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->parking = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

bool writer_parked(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	bool parked = w->parked && w->used == 0;
	pthread_mutex_unlock(&w->lock);
	return parked;
}

uint64_t writer_taken(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t taken = w->pushed - w->used;
	pthread_mutex_unlock(&w->lock);
	return taken;
}

void writer_unpark(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->parking = false;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
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
	close_fd(&w->journal.dir);
	close_fd(&w->exit_fd);
}
