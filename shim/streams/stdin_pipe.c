// The way from attach clients into the container's stdin: one bounded buffer.
#include "shim.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static void give_up(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	loop_close(&shim->loop, &io->in);
	io->in_used = io->in_head = 0;
	if (io->in_buffer)
		munmap(io->in_buffer, STDIN_BUFFER);
	io->in_buffer = NULL;
}

static void pump(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	while (io->in_used) {
		size_t piece = STDIN_BUFFER - io->in_head;
		ssize_t n = write(io->in.fd, io->in_buffer + io->in_head, piece < io->in_used ? piece : io->in_used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { // nobody reads it any more
			give_up(shim);
			return;
		}
		io->in_head = (io->in_head + (size_t)n) % STDIN_BUFFER;
		io->in_used -= (size_t)n;
	}
	if (io->in_used == 0) {
		io->in_head = 0;
		if (io->in_closing)
			give_up(shim);
	}
	(void)loop_set(&shim->loop, &io->in, io->in_used ? EPOLLOUT : 0);
}

static void stdin_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct stdio, in), struct shim, stdio);
	pump(shim);
	attach_stdin_room(shim);
}

void stdin_init(struct shim *shim)
{
	shim->stdio.in = (struct source){ .fd = -1, .ready = stdin_ready };
}

void stdin_resume(struct shim *shim)
{
	if (shim->stdio.in.fd >= 0)
		pump(shim);
}

bool stdin_map(struct shim *shim)
{
	void *map = mmap(NULL, STDIN_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shim->stdio.in_buffer = map == MAP_FAILED ? NULL : map;
	return map != MAP_FAILED;
}

size_t stdin_room(const struct shim *shim)
{
	// Where nobody reads, everything is taken and thrown away, as a closed pipe would.
	return shim->stdio.in.fd < 0 ? STDIN_BUFFER : STDIN_BUFFER - shim->stdio.in_used;
}

void stdin_put(struct shim *shim, const char *bytes, size_t len)
{
	struct stdio *io = &shim->stdio;
	if (io->in.fd < 0 || io->in_closing)
		return;
	if (!io->in_buffer && !stdin_map(shim))
		return;
	while (len && io->in_used < STDIN_BUFFER) {
		size_t at = (io->in_head + io->in_used) % STDIN_BUFFER, piece = STDIN_BUFFER - at, room = STDIN_BUFFER - io->in_used;
		size_t n = len < piece ? len : piece;
		n = n < room ? n : room;
		memcpy(io->in_buffer + at, bytes, n);
		io->in_used += n;
		bytes += n;
		len -= n;
	}
	pump(shim);
}

void stdin_close(struct shim *shim)
{
	struct stdio *io = &shim->stdio;
	if (shim->spec.terminal || io->in.fd < 0)
		return;
	if (io->in_used)
		io->in_closing = true;
	else
		give_up(shim);
}
