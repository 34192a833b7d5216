#include "processes/oom.h"
#include "processes/cgroup.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

static void tell(struct shim *shim)
{
	char buffer[64];
	int64_t kills = cgroup_oom_kills(&shim->spec);
	if (kills <= shim->oom.told)
		return;
	shim->oom.told = kills;
	struct text t = TEXT_ON(buffer);
	text_pair_int(&t, "run", shim->status.run);
	journal_add(shim, "oom", &t);
}

static void oom_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct oom, events), struct shim, oom);
	char ignored[4096];
	if (read(source->fd, ignored, sizeof ignored) <= 0 && errno != EAGAIN)
		loop_close(&shim->loop, source);
	tell(shim);
}

static int watch_v1(const char *memory)
{
	char path[4096], order[64];
	snprintf(path, sizeof path, "%s/memory.oom_control", memory);
	cleanup_fd int oom_control = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "%s/cgroup.event_control", memory);
	cleanup_fd int event_control = open(path, O_WRONLY | O_CLOEXEC);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int len = snprintf(order, sizeof order, "%d %d", fd, oom_control);
	if (oom_control < 0 || event_control < 0 || fd < 0 || write(event_control, order, (size_t)len) != len)
		close_fd(&fd);
	return fd;
}

static int watch_v2(const char *memory)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/memory.events", memory);
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) < 0)
		close_fd(&fd);
	return fd;
}

void oom_init(struct shim *shim)
{
	shim->oom.events = (struct source){ .fd = -1, .ready = oom_ready };
}

void oom_start(struct shim *shim)
{
	struct oom *oom = &shim->oom;
	oom->told = 0; // every run has a cgroup of its own
	if (!shim->spec.cgroup_memory || is_exec(shim))
		return;
	oom->events.fd = shim->spec.cgroup_version == 1 ? watch_v1(shim->spec.cgroup_memory) : watch_v2(shim->spec.cgroup_memory);
	oom_watch(shim);
}

void oom_watch(struct shim *shim)
{
	struct oom *oom = &shim->oom;
	if (oom->events.fd >= 0 && loop_set(&shim->loop, &oom->events, EPOLLIN) < 0)
		loop_close(&shim->loop, &oom->events);
}

int64_t oom_stop(struct shim *shim)
{
	if (is_exec(shim))
		return 0;
	tell(shim);
	loop_close(&shim->loop, &shim->oom.events);
	return shim->oom.told;
}
