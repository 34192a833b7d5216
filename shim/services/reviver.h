// Starting the resolver of names again when it is gone, whoever else is there. Shims that hold its sockets notice its end
// by an event; one of them, by a lock, executes the script that the daemon left for it.
#pragma once
#include "base/loop.h"
#include "processes/child.h"

struct shim;

struct reviver {
	struct source events; // inotify on the lock that the resolver holds
	struct timer look;
	struct child child;
	int turn; // held while ours is the attempt; -1: it is not
	int64_t until; // of that attempt
	int64_t pause; // before the next one
};

void reviver_init(struct shim *shim);
// Watches, if the resolver's sockets are held here and the spec says where it works; to be called whenever that changes.
void reviver_start(struct shim *shim);
void reviver_stop(struct shim *shim);
