// The steps of the machine: what starting.c and ending.c do in each state. Nobody but machine.c, and they themselves, call them.
#pragma once
#include "shim.h"

#define DELETE_PATIENCE (15 * SECOND)
#define ABANDONED_AFTER (30 * SECOND)

static inline void enter(struct shim *shim, enum state state)
{
	shim->machine.state = state;
}

// Operations.
void run_op(struct shim *shim, const struct op_order *order); // E_OP_OK or E_OP_FAILED follows
void begin_create(struct shim *shim);
void begin_delete(struct shim *shim, bool force);
void stop_process(struct shim *shim); // the stop signal, and the kill after its time

// Ends.
void never_ran(struct shim *shim); // tells whoever waits for the start why
void leave_ended(struct shim *shim);
void put_exit_record(struct shim *shim, bool final);
void drain_check(struct shim *shim);

void init_exited(struct child *child, int status); // the process that is waited for

// Handlers of the table.
void on_created(struct shim *shim);
void on_create_failed(struct shim *shim);
void on_start_wanted(struct shim *shim);
void on_started(struct shim *shim);
void on_start_failed(struct shim *shim);
void on_note_exit(struct shim *shim);
void on_abandoned(struct shim *shim);
void on_restart_due(struct shim *shim);
void on_check_left(struct shim *shim);
void on_exited(struct shim *shim);
void on_drained(struct shim *shim);
void on_flushed(struct shim *shim);
void on_deleted(struct shim *shim);
void on_delete_failed(struct shim *shim);
void on_stop_waiting(struct shim *shim);
