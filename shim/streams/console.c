#include "streams/console.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int receive_fd(int socket)
{
	char name[4096];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { name, sizeof name };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct timeval patience = { .tv_sec = 2 };
	(void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	int fd;
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

static void take_master(struct shim *shim, int master)
{
	struct stdio *io = &shim->stdio;
	struct winsize size = { .ws_row = io->rows, .ws_col = io->cols };
	loop_close(&shim->loop, &io->out[0].source);
	loop_close(&shim->loop, &io->in);
	io->in_used = io->in_head = 0;
	io->out[0].paused = false;
	(void)fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
	if (size.ws_row && size.ws_col)
		(void)ioctl(master, TIOCSWINSZ, &size);
	io->out[0].source.fd = master;
	if (shim->spec.open_stdin)
		io->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
	(void)loop_set(&shim->loop, &io->out[0].source, EPOLLIN);
}

void console_poll(struct shim *shim)
{
	if (shim->stdio.console.fd < 0)
		return;
	cleanup_fd int socket = accept4(shim->stdio.console.fd, NULL, NULL, SOCK_CLOEXEC);
	if (socket < 0)
		return;
	int master = receive_fd(socket);
	if (master >= 0)
		take_master(shim, master);
}

static void console_ready(struct source *source, uint32_t events)
{
	(void)events;
	console_poll(container_of(container_of(source, struct stdio, console), struct shim, stdio));
}

void console_init(struct shim *shim)
{
	shim->stdio.console = (struct source){ .fd = -1, .ready = console_ready };
}

int console_watch(struct shim *shim)
{
	return loop_set(&shim->loop, &shim->stdio.console, EPOLLIN);
}

int console_listen(struct shim *shim, struct error *err)
{
	int fd = listen_at("console.sock", 4);
	if (fd < 0)
		return error_set(err, "system", fd, "listen on console.sock");
	shim->stdio.console.fd = fd;
	int failed = console_watch(shim);
	return failed ? error_set(err, "system", failed, "console.sock") : 0;
}
