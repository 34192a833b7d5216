// Sockets that the shim holds for another process, which may die without the port being lost (the resolver's).
#pragma once
#include "orders/control.h"

// Whether every descriptor that the spec names is there.
int holds_check(struct shim *shim, struct error *err);
// Takes the descriptors of the request under these names, separated by commas, each in place of one of the same name.
void holds_take(struct conn *conn, const char *names);
// Answers `give-sockets`: the names, and the descriptors themselves as SCM_RIGHTS.
void holds_give(struct conn *conn);
