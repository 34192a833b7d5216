#include "orders/holds.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int holds_check(struct shim *shim, struct error *err)
{
	for (size_t i = 0; i < shim->spec.holds; i++)
		if (fcntl(shim->spec.hold[i].fd, F_GETFD) < 0)
			return error_set(err, "system", -errno, "held descriptor %d", shim->spec.hold[i].fd);
	return 0;
}

static size_t put_descriptors(const struct spec *spec, struct cmsghdr *head)
{
	int fds[SPEC_HOLDS];
	for (size_t i = 0; i < spec->holds; i++)
		fds[i] = spec->hold[i].fd;
	size_t bytes = spec->holds * sizeof fds[0];
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(head), fds, bytes);
	return CMSG_SPACE(bytes);
}

void holds_give(struct conn *c)
{
	const struct spec *spec = &c->shim->spec;
	char line[SPEC_HOLDS * 33 + 32];
	struct text t = TEXT_ON(line);
	text_add(&t, "ok");
	for (size_t i = 0; i < spec->holds; i++)
		text_add(&t, "%s%s", i ? "," : " sockets=", spec->hold[i].name);
	text_add(&t, "\n");
	if (!spec->holds || c->out.used) {
		if (spec->holds)
			control_error(c, "busy", "earlier answers wait to be read");
		else
			control_ok(c, NULL);
		return;
	}
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(SPEC_HOLDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { line, t.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
	msg.msg_controllen = put_descriptors(spec, &control.head);
	ssize_t n;
	do
		n = sendmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	// The first answers of a connection always find room: who left none never reads.
	if (n != (ssize_t)t.len)
		conn_doom(c);
}

static struct hold_spec *hold_named(struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->holds; i++)
		if (strcmp(spec->hold[i].name, name) == 0)
			return &spec->hold[i];
	return NULL;
}

// All of the names, or nothing.
static bool names_good(const struct spec *spec, const struct conn *c, char *name[REQUEST_FDS], char *names)
{
	size_t count = 0, added = 0;
	for (char *next; (next = strsep(&names, ",")) != NULL; count++) {
		if (count == REQUEST_FDS || !hold_name_good(next))
			return false;
		for (size_t i = 0; i < count; i++)
			if (strcmp(name[i], next) == 0)
				return false;
		added += !hold_named((struct spec *)(uintptr_t)spec, next);
		name[count] = next;
	}
	return count == c->fd_count && spec->holds + added <= SPEC_HOLDS;
}

void holds_take(struct conn *c, const char *names)
{
	struct spec *spec = &c->shim->spec;
	char own[REQUEST_MAX + 1], *name[REQUEST_FDS];
	snprintf(own, sizeof own, "%s", names);
	if (!names_good(spec, c, name, own)) {
		control_error(c, "request", "invalid sockets");
		return;
	}
	for (size_t i = 0; i < c->fd_count; i++) {
		struct hold_spec *hold = hold_named(spec, name[i]);
		if (hold)
			close(hold->fd);
		else
			hold = &spec->hold[spec->holds++];
		hold->fd = c->fds[i];
		snprintf(hold->name, sizeof hold->name, "%s", name[i]);
	}
	c->fd_count = 0; // they are ours now
	reviver_start(c->shim);
	control_ok(c, NULL);
}
