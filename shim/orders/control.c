#include "orders/control.h"
#include "shim.h"
#include "orders/watch.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_MAX (1 << 20)

int listen_at(const char *name, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(name);
	mode_t old = umask(0177);
	int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
	int failed = bound < 0 || listen(fd, backlog) < 0 ? -errno : 0;
	umask(old);
	if (failed)
		return failed;
	int result = fd;
	fd = -1;
	return result;
}

void outbuf_drop(struct outbuf *out)
{
	if (out->map)
		munmap(out->map, out->cap);
	*out = (struct outbuf){ 0 };
}

// Bytes left unread would turn the end that the client sees into a reset.
static void read_rest(const struct conn *c)
{
	char rest[4096];
	for (int i = 0; i < 64 && recv(c->source.fd, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
		;
}

void conn_close(struct conn *c)
{
	struct shim *shim = c->shim;
	struct control *control = &shim->control;
	for (struct conn **at = &control->conns; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	control->count--;
	bool attached = c->mode == CONN_ATTACH, watcher = c->mode == CONN_WATCH;
	timer_stop(&shim->loop, &c->stalled);
	read_rest(c);
	loop_close(&shim->loop, &c->source);
	outbuf_drop(&c->out);
	conn_close_fds(c);
	machine_conn_gone(shim, c);
	upgrade_conn_gone(shim, c);
	free(c);
	if (attached)
		stdio_resume(shim);
	if (watcher)
		machine_watch_changed(shim);
}

void control_sweep(struct shim *shim)
{
	struct conn *c = shim->control.conns;
	while (c) {
		if (c->doomed) {
			conn_close(c);
			c = shim->control.conns; // closing one may have changed the list
		} else {
			c = c->next;
		}
	}
}

static void sweep(struct timer *timer)
{
	control_sweep(container_of(container_of(timer, struct control, sweep), struct shim, control));
}

void conn_doom(struct conn *c)
{
	struct control *control = &c->shim->control;
	c->dead = c->doomed = true;
	timer_set(&c->shim->loop, &control->sweep, MS);
}

// The client takes nothing any more. One that is attached may still have input under way, and its hang-up comes.
static void conn_died(struct conn *c)
{
	c->dead = true;
	if (c->mode != CONN_ATTACH)
		conn_doom(c);
}

// What can be sent at once; -1 when the client is gone.
static ssize_t send_now(const struct conn *c, struct iovec *iov, size_t count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;
	do
		n = sendmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	return n;
}

static bool out_keep(struct outbuf *out, const char *bytes, size_t len)
{
	if (!out->map) {
		out->map = mmap(NULL, OUT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (out->map == MAP_FAILED) {
			out->map = NULL;
			return false;
		}
		out->cap = OUT_MAX;
	}
	while (len) {
		size_t at = (out->head + out->used) % out->cap, piece = out->cap - at;
		piece = piece < len ? piece : len;
		memcpy(out->map + at, bytes, piece);
		out->used += piece;
		bytes += piece;
		len -= piece;
	}
	return true;
}

bool conn_send(struct conn *c, const void *head, size_t head_len, const void *body, size_t body_len)
{
	if (c->dead)
		return true;
	size_t cap = c->out.map ? c->out.cap : OUT_MAX, sent = 0;
	if (c->out.used + head_len + body_len > cap)
		return false;
	if (c->out.used == 0) {
		struct iovec iov[2] = { { (void *)(uintptr_t)head, head_len }, { (void *)(uintptr_t)body, body_len } };
		ssize_t n = send_now(c, iov, body_len ? 2 : 1);
		if (n < 0) {
			conn_died(c);
			return true;
		}
		sent = (size_t)n;
	}
	if (sent < head_len && !out_keep(&c->out, (const char *)head + sent, head_len - sent))
		conn_doom(c);
	size_t body_sent = sent > head_len ? sent - head_len : 0;
	if (body_sent < body_len && !out_keep(&c->out, (const char *)body + body_sent, body_len - body_sent))
		conn_doom(c);
	conn_update(c);
	return true;
}

// Sends what waits. Returns whether something went.
static bool out_flush(struct conn *c)
{
	struct outbuf *out = &c->out;
	bool progress = false;
	while (out->used) {
		size_t piece = out->cap - out->head;
		struct iovec iov = { out->map + out->head, piece < out->used ? piece : out->used };
		ssize_t n = send_now(c, &iov, 1);
		if (n < 0) {
			conn_died(c);
			outbuf_drop(out);
			return true;
		}
		if (n == 0)
			return progress;
		progress = true;
		out->head = (out->head + (size_t)n) % out->cap;
		out->used -= (size_t)n;
	}
	outbuf_drop(out);
	return progress;
}

static bool wants_input(const struct conn *c)
{
	if (c->input_ended)
		return false;
	return c->mode == CONN_ATTACH ? attach_can_read(c) : !c->waiting;
}

void conn_update(struct conn *c)
{
	uint32_t events = (wants_input(c) ? EPOLLIN : 0) | (c->out.used ? EPOLLOUT : 0);
	// A hang-up is always told while any event is set; once it is known, only input that is still there counts.
	if (!c->hung_up)
		events |= EPOLLHUP;
	if (loop_set(&c->shim->loop, &c->source, events) < 0)
		conn_doom(c);
}

void conn_close_fds(struct conn *c)
{
	for (size_t i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	c->fd_count = 0;
}

// Descriptors that came along; more than a request may have are closed.
static void take_fds(struct conn *c, struct msghdr *msg)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
			if (c->fd_count < REQUEST_FDS)
				c->fds[c->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static void read_requests(struct conn *c)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(REQUEST_FDS * sizeof(int))];
	} control;
	struct iovec iov = { c->line + c->line_len, REQUEST_MAX - c->line_len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n > 0)
		take_fds(c, &msg);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		c->input_ended = true;
	else
		c->line_len += (size_t)n;
	requests_run(c);
}

static void read_and_forget(struct conn *c)
{
	char rest[256];
	ssize_t n = recv(c->source.fd, rest, sizeof rest, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->input_ended = true;
}

static void conn_ready(struct source *source, uint32_t events)
{
	struct conn *c = container_of(source, struct conn, source);
	struct shim *shim = c->shim;
	if (events & (EPOLLHUP | EPOLLERR))
		c->hung_up = true;
	if (events & EPOLLOUT && out_flush(c) && c->mode == CONN_ATTACH) {
		timer_stop(&shim->loop, &c->stalled);
		stdio_resume(shim);
	}
	if (events & (EPOLLIN | EPOLLHUP) && wants_input(c)) {
		if (c->mode == CONN_ATTACH)
			attach_input(c);
		else if (c->mode == CONN_WATCH)
			read_and_forget(c);
		else
			read_requests(c); // may have changed the mode
	}
	bool done = c->mode != CONN_ATTACH && c->input_ended && !c->waiting && (c->out.used == 0 || c->hung_up);
	if (c->mode == CONN_ATTACH)
		done = c->input_ended && (c->hung_up || c->dead);
	if (c->output_ended && c->out.used == 0)
		(void)shutdown(c->source.fd, SHUT_WR);
	if (done)
		conn_close(c);
	else
		conn_update(c);
	machine_client_progress(shim);
}

static void refuse(int fd)
{
	static const char busy[] = "err kind=busy message=too%20many%20connections\n";
	(void)!send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

struct conn *conn_new(struct shim *shim, int fd)
{
	struct conn *c = shim->control.count < CONN_MAX ? calloc(1, sizeof *c) : NULL;
	if (!c)
		return NULL;
	c->source = (struct source){ .fd = fd, .ready = conn_ready };
	c->stalled.fire = attach_cut_stalled;
	c->shim = shim;
	c->next = shim->control.conns;
	shim->control.conns = c;
	shim->control.count++;
	return c;
}

static void listener_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct control, listener), struct shim, control);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct conn *c = conn_new(shim, fd);
	if (c)
		conn_update(c);
	else
		refuse(fd);
}

void control_resume(struct shim *shim)
{
	for (struct conn *c = shim->control.conns, *next; c; c = next) {
		next = c->next;
		conn_update(c);
		if (c->mode == CONN_REQUESTS)
			requests_run(c); // what it had sent already
	}
	attach_stdin_room(shim);
}

void control_init(struct shim *shim)
{
	shim->control.listener = (struct source){ .fd = -1, .ready = listener_ready };
	shim->control.sweep.fire = sweep;
}

int control_watch(struct shim *shim)
{
	return loop_set(&shim->loop, &shim->control.listener, EPOLLIN);
}

int control_listen(struct shim *shim, struct error *err)
{
	int fd = listen_at("shim.sock", 64);
	if (fd < 0)
		return error_set(err, "system", fd, "listen on shim.sock");
	shim->control.listener.fd = fd;
	int failed = control_watch(shim);
	return failed ? error_set(err, "system", failed, "shim.sock") : 0;
}

static void answer(struct conn *c, const struct text *t)
{
	c->waiting = false;
	if (c->hung_up)
		conn_doom(c);
	if (t->overflow || !conn_send(c, t->at, t->len, NULL, 0))
		conn_doom(c); // asks for ever and never reads
}

void control_ok(struct conn *c, const struct text *pairs)
{
	char line[16384 + 64];
	struct text t = TEXT_ON(line);
	text_add(&t, "ok");
	if (pairs && pairs->len)
		text_add(&t, " %s", pairs->at);
	text_add(&t, "\n");
	answer(c, &t);
}

void control_error(struct conn *c, const char *kind, const char *message)
{
	char line[16384];
	struct text t = TEXT_ON(line);
	text_add(&t, "err");
	text_pair(&t, "kind", kind);
	text_pair(&t, "message", message);
	text_add(&t, "\n");
	answer(c, &t);
}

bool control_flushing(const struct shim *shim)
{
	for (const struct conn *c = shim->control.conns; c; c = c->next)
		if (!c->dead && (c->out.used || c->loading))
			return true;
	return false;
}

void control_close(struct shim *shim)
{
	loop_close(&shim->loop, &shim->control.listener);
	timer_stop(&shim->loop, &shim->control.sweep);
	while (shim->control.conns)
		conn_close(shim->control.conns);
	(void)unlink("shim.sock");
}
