// Watchers: the journal as it is written.
#pragma once
#include "orders/control.h"

void watch_begin(struct conn *conn, uint64_t since);
