// Replacing a shim that died: its container runs on and is watched from now on.
#pragma once
#include "facts/status.h"

// Reads what the predecessor left and checks that the process is still the same one.
int adopt_read(struct shim *shim, struct old_status *old, struct error *err);
// Opens the FIFOs again and goes on.
int adopt_begin(struct shim *shim, const struct old_status *old, struct error *err);
