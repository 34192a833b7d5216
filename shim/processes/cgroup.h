// What the shim needs of the container's cgroup.
#pragma once
#include "orders/spec.h"

// How often the kernel killed for lack of memory.
int64_t cgroup_oom_kills(const struct spec *spec);
// Whether a process is left; with `kill` each is killed. Cgroups below are looked into as well.
bool cgroup_populated(const struct spec *spec, bool kill);
// Moves the shim itself.
void cgroup_join(const struct spec *spec);
