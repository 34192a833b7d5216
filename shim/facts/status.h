// The files `status`, `health` and the exit record: what the shim knows of its container.
#pragma once
#include "base/record.h"

struct shim;

enum health_state { HEALTH_NONE, HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct status {
	const char *state; // created, running, restarting, exited
	pid_t pid;
	int64_t pid_start;
	char boot_id[40];
	int64_t run, restart_count;
	int64_t started_at, finished_at;
	int exit_code, exit_signal;
	bool oom;
	enum health_state health;
	int64_t health_streak;
	int64_t pipe_size;
	uint64_t log_dropped;
	int64_t next_restart_at;
	bool stopping;
	char error[4400]; // why the last restart, or the exec, failed
};

void status_init(struct status *status);
void status_save(struct shim *shim);
// The same facts as pairs, for the `state` verb.
void status_pairs(const struct shim *shim, struct text *out);
void status_exit_record(const struct shim *shim, bool final, struct text *out);
// The state of this name; NULL when there is none.
const char *status_state(const char *name);
const char *health_name(enum health_state state);

// What a predecessor left, for `adopt`.
struct old_status {
	struct status status;
	int64_t journal_seq;
};
int status_parse(struct old_status *out, char *text, size_t len);
