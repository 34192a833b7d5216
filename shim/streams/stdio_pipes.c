#include "shim.h"
#include "streams/console.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET (10 * SECOND)

static const char *const fifo_names[] = { "stdin", "stdout", "stderr" };
static char read_buffer[READ_MAX] __attribute__((aligned(4096)));

static int64_t set_pipe_size(int fd, int64_t wanted)
{
	int64_t page = 4096, size = wanted;
	while (size >= page && fcntl(fd, F_SETPIPE_SZ, (int)size) < 0)
		size /= 2; // over the limits of this machine or user
	int got = fcntl(fd, F_GETPIPE_SZ);
	return got < 0 ? 0 : got;
}

static void become_quiet(struct timer *timer)
{
	struct stdio *io = container_of(timer, struct stdio, quiet);
	(void)madvise(read_buffer, sizeof read_buffer, MADV_DONTNEED);
	io->touched = false;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
	uint64_t lines = len && bytes[len - 1] != '\n';
	for (const char *at = bytes, *end = bytes + len; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		lines++;
	return lines;
}

// Non-blocking mode: what finds no room is dropped, the newest first and up to the end of its last line.
static void log_or_drop(struct output *o, int64_t now, const char *bytes, size_t len)
{
	struct writer *writer = &o->shim->writer;
	if (o->skipping) {
		const char *newline = memchr(bytes, '\n', len);
		if (!newline)
			return;
		len -= (size_t)(newline + 1 - bytes);
		bytes = newline + 1;
		o->skipping = false;
	}
	if (len == 0)
		return;
	// A line whose beginning was put and whose rest was dropped goes as a whole, so that nothing is glued to it.
	if (o->broken && writer_log_cut(writer, o->stream))
		o->broken = o->mid_line = false;
	bool ends = bytes[len - 1] == '\n';
	if (!o->broken && writer_log(writer, o->stream, now, bytes, len)) {
		o->mid_line = !ends;
		return;
	}
	writer_log_lost(writer, count_lines(bytes, len));
	o->skipping = !ends;
	o->broken = o->broken || o->mid_line;
}

static void deliver(struct output *o, const char *bytes, size_t len)
{
	struct shim *shim = o->shim;
	if (shim->spec.log_json) {
		int64_t now = now_real();
		if (shim->spec.log_non_blocking)
			log_or_drop(o, now, bytes, len);
		else
			(void)writer_log(&shim->writer, o->stream, now, bytes, len); // there is room, it was asked for before
	}
	attach_output(shim, o->stream, bytes, len);
}

static bool can_take(const struct output *o)
{
	if (upgrade_holds_output(o->shim))
		return false;
	const struct spec *spec = &o->shim->spec;
	if (spec->log_json && !spec->log_non_blocking && !writer_log_room(&o->shim->writer, READ_MAX))
		return false;
	return attach_room(o->shim, o->stream);
}

static void output_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct output *o = container_of(source, struct output, source);
	struct shim *shim = o->shim;
	if (!can_take(o)) {
		o->paused = true;
		(void)loop_set(&shim->loop, source, 0);
		return;
	}
	ssize_t n = read(source->fd, read_buffer, sizeof read_buffer);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { // the last writer is gone; a terminal says EIO
		loop_close(&shim->loop, source);
		machine_output_ended(shim);
		return;
	}
	shim->stdio.reads++;
	if (n > 4096 && !shim->stdio.touched) {
		shim->stdio.touched = true;
		timer_set(&shim->loop, &shim->stdio.quiet, QUIET);
	}
	deliver(o, read_buffer, (size_t)n);
}

void stdio_clear(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	for (size_t i = 0; i < ARRAY_LEN(io->out); i++)
		io->out[i] = (struct output){ .source = { .fd = -1, .ready = output_ready }, .shim = shim, .stream = STREAM_STDOUT + (enum stream)i };
	stdin_init(shim);
	console_init(shim);
	io->container[0] = io->container[1] = io->container[2] = -1;
	io->quiet.fire = become_quiet;
}

int stdio_init(struct shim *shim, struct error *err)
{
	struct stdio *io = &shim->stdio;
	io->rows = shim->spec.rows;
	io->cols = shim->spec.cols;
	if (shim->spec.terminal)
		return console_listen(shim, err);
	for (size_t i = 0; i < ARRAY_LEN(fifo_names); i++)
		if (mkfifo(fifo_names[i], 0600) < 0 && errno != EEXIST)
			return error_set(err, "system", -errno, "mkfifo %s", fifo_names[i]);
	return 0;
}

void stdio_remove(const struct shim *shim)
{
	(void)unlink("console.sock");
	for (size_t i = 0; i < ARRAY_LEN(fifo_names) && !shim->spec.terminal; i++)
		(void)unlink(fifo_names[i]);
}

static int open_output(struct shim *shim, size_t i)
{
	struct output *o = &shim->stdio.out[i];
	const char *name = fifo_names[o->stream];
	loop_close(&shim->loop, &o->source);
	o->paused = o->skipping = o->broken = o->mid_line = false;
	o->source.fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (o->source.fd < 0)
		return -errno;
	int64_t size = shim->spec.pipe_size ? set_pipe_size(o->source.fd, shim->spec.pipe_size) : fcntl(o->source.fd, F_GETPIPE_SZ);
	shim->status.pipe_size = size < 0 ? 0 : size;
	return 0;
}

static int open_stdin(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	loop_close(&shim->loop, &io->in);
	io->in_used = io->in_head = 0;
	io->in_closing = false;
	if (!shim->spec.open_stdin)
		return 0;
	io->container[0] = open("stdin", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	io->in.fd = open("stdin", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (io->container[0] < 0 || io->in.fd < 0)
		return -errno;
	return fcntl(io->container[0], F_SETFL, O_RDONLY) < 0 ? -errno : 0; // the container's end blocks, as it expects
}

int stdio_open(struct shim *shim, struct error *err)
{
	struct stdio *io = &shim->stdio;
	if (shim->spec.terminal)
		return 0;
	int failed = open_stdin(shim);
	for (size_t i = 0; i < ARRAY_LEN(io->out) && !failed; i++) {
		failed = open_output(shim, i);
		if (failed)
			break;
		// For reading too: as long as the container holds it, no death of ours is an EPIPE or takes unread bytes along.
		io->container[i + 1] = open(fifo_names[i + 1], O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (io->container[i + 1] < 0)
			failed = -errno;
	}
	return failed ? error_set(err, "system", failed, "stdio") : 0;
}

void stdio_watch(struct shim *shim)
{
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.out); i++)
		if (shim->stdio.out[i].source.fd >= 0 && !shim->stdio.out[i].paused)
			(void)loop_set(&shim->loop, &shim->stdio.out[i].source, EPOLLIN);
}

void stdio_close_container_ends(struct shim *shim)
{
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.container); i++)
		close_fd(&shim->stdio.container[i]);
}

int stdio_adopt(struct shim *shim, struct error *err)
{
	if (shim->spec.terminal)
		return 0; // the master was its old shim's
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.out); i++) {
		int failed = open_output(shim, i);
		if (failed)
			return error_set(err, "system", failed, "open %s", fifo_names[i + 1]);
	}
	if (shim->spec.open_stdin)
		shim->stdio.in.fd = open("stdin", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW); // fails where nobody reads it any more
	stdio_watch(shim);
	return 0;
}

size_t stdio_leftovers(struct shim *shim, char *out, size_t cap)
{
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.out); i++) {
		struct source *source = &shim->stdio.out[i].source;
		ssize_t n;
		while (source->fd >= 0 && len + 1 < cap && (n = read(source->fd, out + len, cap - 1 - len)) > 0)
			len += (size_t)n;
	}
	out[len] = 0;
	return len;
}

void stdio_resume(struct shim *shim)
{
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.out); i++) {
		struct output *o = &shim->stdio.out[i];
		if (o->paused && o->source.fd >= 0 && can_take(o)) {
			o->paused = false;
			(void)loop_set(&shim->loop, &o->source, EPOLLIN);
		}
	}
}

bool stdio_ended(const struct shim *shim)
{
	return shim->stdio.out[0].source.fd < 0 && shim->stdio.out[1].source.fd < 0;
}

bool stdio_idle(const struct shim *shim)
{
	for (size_t i = 0; i < ARRAY_LEN(shim->stdio.out); i++) {
		int waiting = 0, fd = shim->stdio.out[i].source.fd;
		if (fd >= 0 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0)
			return false;
	}
	return true;
}

void stdio_close(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	stdio_close_container_ends(shim);
	for (size_t i = 0; i < ARRAY_LEN(io->out); i++)
		loop_close(&shim->loop, &io->out[i].source);
	loop_close(&shim->loop, &io->in);
	io->in_used = io->in_head = 0;
}

int stdio_resize(struct shim *shim, uint16_t rows, uint16_t cols)
{
	struct stdio *io = &shim->stdio;
	struct winsize size = { .ws_row = rows, .ws_col = cols };
	if (!shim->spec.terminal)
		return -ENOTTY;
	io->rows = rows;
	io->cols = cols;
	if (io->out[0].source.fd < 0)
		return 0; // set when the terminal comes
	return ioctl(io->out[0].source.fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
