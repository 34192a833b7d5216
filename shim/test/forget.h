// Gives back what reading a handover has taken of memory, and nothing else: its descriptors are numbers only.
#pragma once
#include "shim.h"

void forget(struct shim *shim);
