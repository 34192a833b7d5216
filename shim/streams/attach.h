// Attach clients: Docker's stream frames out, raw stdin in.
#pragma once
#include "base/base.h"
#include "log/logline.h"

struct conn;
struct shim;

struct timer;

// From requests to stream, after its `ok`.
void attach_begin(struct conn *conn);
// Whether every client of this stream can take one more read; a client that takes nothing for a second is cut.
bool attach_room(struct shim *shim, enum stream stream);
void attach_output(struct shim *shim, enum stream stream, const char *bytes, size_t len);
void attach_cut_stalled(struct timer *timer); // a client that has taken nothing for too long
void attach_input(struct conn *conn);
bool attach_can_read(const struct conn *conn);
// The container's stdin has room again.
void attach_stdin_room(struct shim *shim);
// All output has ended: clients are flushed and our side is shut down.
void attach_end(struct shim *shim);
