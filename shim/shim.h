// The one object that everything hangs on, and what its parts know of each other.
#pragma once
#include "streams/attach.h"
#include "processes/child.h"
#include "orders/control.h"
#include "services/health.h"
#include "orders/holds.h"
#include "facts/journal.h"
#include "handover/upgrade.h"
#include "log/logcare.h"
#include "base/loop.h"
#include "states/machine.h"
#include "processes/oom.h"
#include "services/ports.h"
#include "services/reviver.h"
#include "processes/runtime.h"
#include "orders/spec.h"
#include "facts/status.h"
#include "streams/stdio_pipes.h"
#include "log/writer.h"

#define SHIM_VERSION "0.2.0"
#define CONTRACT "1.1"
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
	struct reviver reviver;
	uint64_t noted; // dropped log lines that the journal has spoken of
	struct upgrade upgrade;
	int lock; // the directory, held until we end
	bool leaving; // the loop ends
};

static inline bool is_exec(const struct shim *shim)
{
	return shim->spec.kind == KIND_EXEC;
}

// shim.c: what every beginning needs.
void shim_init(struct shim *shim); // nothing is open yet
void shim_process(void); // what the process is for the kernel
int shim_loop(struct shim *shim); // the loop and the signals
int shim_watch_writer(struct shim *shim);

// Writes the one line to the ready pipe and closes it.
void shim_ready(struct shim *shim, const struct error *failed);
