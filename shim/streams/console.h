// Receiving the master of a terminal from the runtime.
#pragma once
#include "base/base.h"

struct shim;

void console_init(struct shim *shim);
int console_watch(struct shim *shim); // a socket that listens already
int console_listen(struct shim *shim, struct error *err);
// Takes the master when it is there; the runtime has sent it before it ends.
void console_poll(struct shim *shim);
