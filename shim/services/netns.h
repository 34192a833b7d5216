// Making a pinned network namespace fresh again.
#pragma once
#include "orders/spec.h"

// Deletes every link but lo and those that belong there.
int netns_clean(const struct spec *spec, struct error *err);
