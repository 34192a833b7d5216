// The one object that everything hangs on, and what its parts know of each other.
#pragma once
#include "attach.h"
#include "child.h"
#include "control.h"
#include "health.h"
#include "holds.h"
#include "journal.h"
#include "logcare.h"
#include "loop.h"
#include "machine.h"
#include "oom.h"
#include "ports.h"
#include "runtime.h"
#include "spec.h"
#include "status.h"
#include "stdio_pipes.h"
#include "writer.h"

#define SHIM_VERSION "0.2.0"
#define CONTRACT "1.0"
#define READY_FD 3

struct shim {
	struct spec spec;
	struct loop loop;
	struct children children;
	struct source signals;
	struct source writer_kick;
	struct source ready; // the ready pipe, until the line is written
	struct writer writer;
	struct child compressor;
	struct journal journal;
	struct status status;
	struct stdio stdio;
	struct control control;
	struct machine machine;
	struct health health;
	struct oom oom;
	struct ports ports;
	uint64_t noted; // dropped log lines that the journal has spoken of
	bool leaving; // the loop ends
};

static inline bool is_exec(const struct shim *shim)
{
	return shim->spec.kind == KIND_EXEC;
}

// Writes the one line to the ready pipe and closes it.
void shim_ready(struct shim *shim, const struct error *failed);
