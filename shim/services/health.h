// Health probes through `runtime exec`, by Docker's rules.
#pragma once
#include "processes/runtime.h"
#include "facts/status.h"

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
	bool active; // the container runs and has probes
	bool busy; // a probe is under way, perhaps one of the run before
	bool due; // waits for a daemon (live-restore 0)
	bool cancelled, timed_out, cut;
	pid_t pid; // 0: not running (any more)
	char exec_id[65];
	int64_t started; // monotonic: the container's start
	struct probe_result now;
	struct probe_result kept[PROBES_KEPT]; // oldest first
	size_t count;
};

void health_init(struct shim *shim);
void health_start(struct shim *shim); // the container runs
void health_resume(struct shim *shim); // it was running already: goes on from status and the file `health`
void health_reread(struct shim *shim); // the last results, from the file
void health_stop(struct shim *shim);
// A daemon is there: a probe that waited for one may run.
void health_may_act(struct shim *shim);

// The rules: what a result makes of state and streak. Pure.
void health_judge(struct status *status, const struct health_spec *spec, int exit_code, int64_t since_start);
// The wait before the next probe. Pure.
int64_t health_wait(const struct status *status, const struct health_spec *spec, int64_t since_start);
// The file `health`, into `kept`. Anything unreadable is no history.
void health_parse(struct health *health, char *text, size_t len);
