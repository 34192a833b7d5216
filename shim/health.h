// Health probes through `runtime exec`, by Docker's rules.
#pragma once
#include "runtime.h"
#include "status.h"

#define PROBES_KEPT 5
#define PROBE_OUTPUT 4096

struct probe_result {
	int64_t start, end;
	int exit_code;
	size_t len;
	char output[PROBE_OUTPUT + 4];
};

struct health {
	struct op op;
	struct child process;
	struct source output; // what the probe writes
	struct timer next, limit;
	int write_end;
	bool running, due; // due: waits for a daemon (live-restore 0)
	bool exited, timed_out, cancelled;
	pid_t pid;
	int exit_status;
	char exec_id[65];
	int64_t started; // monotonic: the container's start
	struct probe_result now;
	struct probe_result *kept; // the last five, mapped when there are probes
	size_t count;
};

void health_init(struct shim *shim);
void health_start(struct shim *shim);
void health_stop(struct shim *shim);
// A daemon is there: a probe that waited for one may run.
void health_may_act(struct shim *shim);
// The rules: what a result makes of state and streak. Pure.
void health_judge(struct status *status, const struct health_spec *spec, int exit_code, int64_t since_start);
