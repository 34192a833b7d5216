// Starting children and reaping everything: the runtime, gzip, probes, and whatever the kernel reparents to us.
#pragma once
#include "base/base.h"
#include <sys/resource.h>

struct child {
	pid_t pid; // 0: none
	void (*exited)(struct child *child, int status);
	struct child *next;
};

#define UNCLAIMED_MAX 64

struct children {
	struct child *list;
	struct rlimit nofile; // given to the runtime
	// Ends of processes that nobody knew yet: a container's init may end before its pid file was read.
	struct { pid_t pid; int status; } unclaimed[UNCLAIMED_MAX];
	size_t unclaimed_next;
};

struct spawn {
	const char *const *argv; // NULL: `work` is called instead of an exec
	int (*work)(void *context); // only async-signal-safe calls; its result is the exit status
	void *context;
	int in, out, err; // -1: /dev/null
};

// A negative errno when nothing was started; otherwise child->exited is called once.
int child_spawn(struct children *children, struct child *child, const struct spawn *spawn);
// Takes a process over that was reparented to us. true: it had ended already, with *status, and is not watched.
bool child_claim(struct children *children, struct child *child, pid_t pid, int *status);
// Watches a child of ours that was started before this program was executed.
void child_watch(struct children *children, struct child *child, pid_t pid);
// Forgets old ends, before an operation that brings a new pid.
void children_forget(struct children *children);
void children_reap(struct children *children);
