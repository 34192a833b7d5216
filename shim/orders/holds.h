// Sockets that the shim holds for another process, which may die without the port being lost (the resolver's).
#pragma once
#include "orders/control.h"

// Whether every descriptor that the spec names is there.
int holds_check(struct shim *shim, struct error *err);
// Answers `give-sockets`: the names, and the descriptors themselves as SCM_RIGHTS.
void holds_give(struct conn *conn);
