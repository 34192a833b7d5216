// One epoll loop with timers. Level triggered, one event at a time, so that a source may be closed from any callback.
#pragma once
#include "base/base.h"

struct source {
	int fd;
	uint32_t events; // as registered; 0: not in the set
	void (*ready)(struct source *source, uint32_t events);
};

struct timer {
	int64_t due; // monotonic
	bool armed;
	void (*fire)(struct timer *timer);
	struct timer *next;
};

struct loop {
	int epoll;
	struct timer *timers; // soonest first
};

int loop_init(struct loop *loop);
// Registers, changes or (events 0) takes out. Out of the set a hang-up is not seen either.
int loop_set(struct loop *loop, struct source *source, uint32_t events);
// Takes out and closes.
void loop_close(struct loop *loop, struct source *source);

void timer_set(struct loop *loop, struct timer *timer, int64_t delay);
void timer_at(struct loop *loop, struct timer *timer, int64_t due);
void timer_stop(struct loop *loop, struct timer *timer);

// Waits for one event or for the next timers, and runs them.
void loop_step(struct loop *loop);
