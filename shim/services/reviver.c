#include "services/reviver.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE (500 * MS) // a daemon that is there is faster
#define ATTEMPT_MOST (5 * SECOND)
#define ATTEMPT_LOOK (100 * MS)
#define PAUSE_LEAST (1 * SECOND)
#define PAUSE_MOST (60 * SECOND)

static int open_in(const struct shim *shim, const char *name)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/%s", shim->spec.resolver, name) >= (int)sizeof path)
		return -1;
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool try_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

// The lock of a resolver that works is held. (Who opens it for writing is told of by the watch, so it is opened for reading.)
static bool is_there(const struct shim *shim)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/lock", shim->spec.resolver);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || !try_lock(fd); // without the folder there is nothing to serve
}

// In the child: a session of its own, so that nothing of ours is its own.
static int execute(void *context)
{
	const struct spec *spec = context;
	char script[PATH_MAX];
	snprintf(script, sizeof script, "%s/start", spec->resolver);
	char *const argv[] = { "/bin/sh", script, NULL };
	(void)setsid();
	execv(argv[0], argv);
	return 127;
}

static void ended(struct child *child, int status)
{
	(void)child;
	(void)status; // the watch tells
}

static int64_t longer_pause(struct reviver *r)
{
	r->pause = r->pause == 0 ? PAUSE_LEAST : r->pause * 2 < PAUSE_MOST ? r->pause * 2 : PAUSE_MOST;
	return r->pause;
}

static void attempt(struct shim *shim)
{
	struct reviver *r = &shim->reviver;
	struct spawn spawn = { .work = execute, .context = &shim->spec, .in = -1, .out = -1, .err = -1 };
	r->turn = open_in(shim, "revive");
	if (r->turn < 0 || !try_lock(r->turn)) { // another shim is at it
		close_fd(&r->turn);
		timer_set(&shim->loop, &r->look, PAUSE_LEAST);
		return;
	}
	r->until = now_mono() + ATTEMPT_MOST;
	if (r->child.pid == 0)
		(void)child_spawn(&shim->children, &r->child, &spawn);
	timer_set(&shim->loop, &r->look, ATTEMPT_LOOK);
}

static void look(struct timer *timer)
{
	struct shim *shim = container_of(container_of(timer, struct reviver, look), struct shim, reviver);
	struct reviver *r = &shim->reviver;
	if (r->events.fd < 0) {
		reviver_start(shim);
		return;
	}
	bool there = is_there(shim);
	if (there)
		r->pause = 0;
	if (r->turn >= 0 && !there && now_mono() < r->until) {
		timer_set(&shim->loop, &r->look, ATTEMPT_LOOK);
		return;
	}
	bool failed = r->turn >= 0 && !there;
	close_fd(&r->turn);
	if (failed)
		timer_set(&shim->loop, &r->look, longer_pause(r));
	else if (!there)
		attempt(shim);
}

static void events_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct reviver, events), struct shim, reviver);
	struct reviver *r = &shim->reviver;
	union {
		struct inotify_event event;
		char bytes[4096];
	} news;
	ssize_t n = read(source->fd, &news, sizeof news);
	if (n <= 0 || news.event.mask & IN_IGNORED) { // the folder is gone
		loop_close(&shim->loop, source);
		return;
	}
	if (!r->look.armed)
		timer_set(&shim->loop, &r->look, SETTLE);
}

void reviver_init(struct shim *shim)
{
	shim->reviver = (struct reviver){ .events = { .fd = -1, .ready = events_ready }, .look = { .fire = look }, .child = { .exited = ended }, .turn = -1 };
}

static bool is_concerned(const struct shim *shim)
{
	for (size_t i = 0; i < shim->spec.holds; i++)
		if (strncmp(shim->spec.hold[i].name, "resolver-", 9) == 0)
			return shim->spec.resolver != NULL;
	return false;
}

void reviver_start(struct shim *shim)
{
	struct reviver *r = &shim->reviver;
	char path[PATH_MAX];
	if (r->events.fd >= 0 || !is_concerned(shim))
		return;
	snprintf(path, sizeof path, "%s/lock", shim->spec.resolver);
	r->events.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->events.fd < 0 || inotify_add_watch(r->events.fd, path, IN_CLOSE_WRITE) < 0 || loop_set(&shim->loop, &r->events, EPOLLIN) < 0)
		loop_close(&shim->loop, &r->events); // the first resolver of all is only being started
	timer_set(&shim->loop, &r->look, r->events.fd < 0 ? longer_pause(r) : SETTLE); // it may be gone already
}

void reviver_stop(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->reviver.look);
	loop_close(&shim->loop, &shim->reviver.events);
	close_fd(&shim->reviver.turn);
}
