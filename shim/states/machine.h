// The container's (or exec session's) states, as one table of state and event.
#pragma once
#include "orders/control.h"
#include "processes/runtime.h"

enum state {
	S_CREATING, // runtime create runs
	S_CREATED, // waits for `start`; an exec session begins here
	S_STARTING, // runtime start or exec runs
	S_RUNNING,
	S_DRAINING, // the process ended, its last output is being read
	S_FLUSHING, // all output read, on its way into the log
	S_DELETING, // runtime delete runs
	S_WAITING, // for the next restart
	S_LEAVING, // everything is said; clients and files are flushed
	STATES
};

enum event {
	E_OP_OK,
	E_OP_FAILED,
	E_START,
	E_EXIT, // init, or the exec'd process
	E_DRAINED,
	E_FLUSHED,
	E_STOP,
	E_KILL_DUE,
	E_RESTART_DUE,
	E_ABANDONED, // nobody will start it
	EVENTS
};

struct machine {
	enum state state;
	struct op op;
	struct op resume; // beside it, when the host goes down
	struct child init; // unused after `adopt`, where pidfd alone tells
	struct source pidfd;
	struct timer kill_timer, restart_timer, abandon_timer, drain_timer, flush_timer;
	struct conn *starter; // waits for the answer to `start`
	struct error failure; // of the last operation
	int64_t delay; // before the last restart
	int64_t run_began, run_ended; // monotonic: a step of the wall clock is no long run; 0: before this shim
	int64_t drain_deadline, drain_sweep;
	uint64_t drain_reads; // as of the last look
	uint64_t flush_mark;
	bool adopted, host_down, forced, exit_pending, cancelled;
	bool run_failed; // the restart itself failed: there is no process whose end could be told
	int exit_status; // as of waitpid; -1: unknown
	int stop_signal;
	int64_t stop_timeout_ms;
};

void machine_init(struct shim *shim);
void machine_run(struct shim *shim); // creates the container
void machine_exec(struct shim *shim); // waits for `start`
void machine_adopted(struct shim *shim); // goes on with a running one
void machine_handle(struct shim *shim, enum event event);

// From other parts.
void machine_request_start(struct shim *shim, struct conn *conn);
void machine_request_stop(struct shim *shim, int signal, int64_t timeout_ms);
int machine_signal(struct shim *shim, int signal);
void machine_host_down(struct shim *shim);
void machine_conn_gone(struct shim *shim, const struct conn *conn);
void machine_watch_changed(struct shim *shim);
void machine_output_ended(struct shim *shim);
void machine_client_progress(struct shim *shim);
void machine_written(struct shim *shim);
bool machine_output_over(const struct shim *shim);
// Whether the shim may restart and probe now.
bool machine_may_act(const struct shim *shim);
