// Noticing kills for lack of memory when they happen.
#pragma once
#include "base/loop.h"

struct shim;

struct oom {
	struct source events; // v1: an eventfd that the kernel signals; v2: inotify on memory.events
	int64_t told; // kills that the journal has spoken of
};

void oom_init(struct shim *shim);
void oom_watch(struct shim *shim); // what is open already
void oom_start(struct shim *shim); // the container runs
// Tells what has not been told yet, and gives how many kills this run saw; before the cgroup is gone.
int64_t oom_stop(struct shim *shim);
