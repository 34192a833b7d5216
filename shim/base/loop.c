#include "base/loop.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int loop_init(struct loop *loop)
{
	loop->timers = NULL;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

int loop_set(struct loop *loop, struct source *source, uint32_t events)
{
	if (source->fd < 0 || source->events == events)
		return 0;
	int op = events == 0 ? EPOLL_CTL_DEL : source->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	struct epoll_event event = { .events = events, .data.ptr = source };
	if (epoll_ctl(loop->epoll, op, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

void loop_close(struct loop *loop, struct source *source)
{
	if (source->fd < 0)
		return;
	(void)loop_set(loop, source, 0);
	close(source->fd);
	source->fd = -1;
	source->events = 0;
}

void timer_set(struct loop *loop, struct timer *timer, int64_t delay)
{
	timer_at(loop, timer, now_mono() + delay);
}

void timer_at(struct loop *loop, struct timer *timer, int64_t due)
{
	timer_stop(loop, timer);
	timer->due = due;
	timer->armed = true;
	struct timer **at = &loop->timers;
	while (*at && (*at)->due <= timer->due)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

void timer_stop(struct loop *loop, struct timer *timer)
{
	for (struct timer **at = &loop->timers; timer->armed && *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			timer->armed = false;
			return;
		}
	}
}

static int wait_ms(const struct loop *loop)
{
	if (!loop->timers)
		return -1;
	int64_t left = loop->timers->due - now_mono();
	if (left <= 0)
		return 0;
	int64_t ms = (left + MS - 1) / MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

void loop_step(struct loop *loop)
{
	struct epoll_event event;
	int n = epoll_wait(loop->epoll, &event, 1, wait_ms(loop));
	if (n == 1) {
		struct source *source = event.data.ptr;
		source->ready(source, event.events);
	}
	while (loop->timers && loop->timers->due <= now_mono()) {
		struct timer *timer = loop->timers;
		timer_stop(loop, timer);
		timer->fire(timer);
	}
}
