// Running the OCI runtime: one operation is one child, with a log file of its own in DIR.
#pragma once
#include "processes/child.h"
#include "base/loop.h"
#include "orders/spec.h"

struct op {
	struct child child;
	struct timer limit;
	struct shim *shim;
	const char *name; // its files are <name>.log and <name>.err
	bool busy, timed_out;
	// `failed` is NULL when the runtime ended with 0.
	void (*done)(struct op *op, const struct error *failed);
};

struct op_order {
	const char *verb;
	const char *const *args; // between the verb and the container's id; ends with NULL
	int in, out, err; // -1: /dev/null, for err the file <name>.err
	int64_t timeout;
};

// Calls op->done later, once; a failure to fork is reported the same way at once.
void op_start(struct op *op, const struct op_order *order);

// The text of the last error in a runtime's JSON log, decoded, or false when there is none.
bool runtime_log_error(const char *log, size_t len, char *out, size_t cap);
// 126 or 127 when the message says that the program could not be executed or found, else `otherwise`.
int runtime_exit_code(const char *message, int otherwise);
