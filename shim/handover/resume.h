// The other side of `upgrade`: a binary that goes on with what another one had.
#pragma once
#include "base/base.h"

struct shim;

// `check`: whether the state on descriptor 0 can be read. Prints one line; the exit status.
int resume_check(struct shim *shim);
// Takes over from the state in memory file `state`. 0, or a negative errno with everything as it was.
int resume_take(struct shim *shim, int state, struct error *err);
// From here on it is this shim. `refused`: it is the old one again, and why.
void resume_begin(struct shim *shim, const char *refused);
// Executes the binary that was before; comes back only if that failed.
void resume_back(struct shim *shim, char *const *argv, int state, int back, const char *why);
