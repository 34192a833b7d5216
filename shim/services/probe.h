// One probe: a process executed in the container, its output, its time limit.
#pragma once

struct shim;

void probe_init(struct shim *shim);
void probe_resume(struct shim *shim); // one that a predecessor began
void probe_begin(struct shim *shim);
// Its result does not count any more; it is killed.
void probe_cancel(struct shim *shim);

// Called by it, in health.c: shim->health.now is the result; or there is none.
void health_probed(struct shim *shim);
void health_skipped(struct shim *shim);
