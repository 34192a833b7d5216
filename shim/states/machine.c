#include "states/machine_steps.h"
#include "processes/cgroup.h"
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

int machine_signal(struct shim *shim, int number)
{
	struct machine *m = &shim->machine;
	if (m->pidfd.fd < 0 || m->state < S_CREATED || m->state > S_RUNNING)
		return -ESRCH;
	if (pidfd_send_signal(m->pidfd.fd, number, NULL, 0) < 0)
		return -errno;
	char buffer[32];
	struct text t = TEXT_ON(buffer);
	text_pair_int(&t, "signal", number);
	journal_add(shim, "kill", &t);
	return 0;
}

void stop_process(struct shim *shim)
{
	struct machine *m = &shim->machine;
	(void)machine_signal(shim, m->stop_signal);
	if (m->stop_timeout_ms >= 0)
		timer_set(&shim->loop, &m->kill_timer, m->stop_timeout_ms > 0 ? m->stop_timeout_ms * MS : MS);
	else
		timer_stop(&shim->loop, &m->kill_timer);
}

static void kill_now(struct shim *shim)
{
	(void)machine_signal(shim, SIGKILL);
}

// ---- the table

typedef void handler(struct shim *shim);

// What is not in it is nothing to be done: a stop that finds the process ended, a timer that came late.
static handler *const table[STATES][EVENTS] = {
	[S_CREATING] = { [E_OP_OK] = on_created, [E_OP_FAILED] = on_create_failed },
	[S_CREATED] = { [E_START] = on_start_wanted, [E_EXIT] = on_abandoned, [E_STOP] = on_abandoned, [E_ABANDONED] = on_abandoned },
	[S_STARTING] = { [E_OP_OK] = on_started, [E_OP_FAILED] = on_start_failed, [E_EXIT] = on_note_exit },
	[S_RUNNING] = { [E_EXIT] = on_exited, [E_STOP] = stop_process, [E_KILL_DUE] = kill_now },
	[S_DRAINING] = { [E_DRAINED] = on_drained },
	[S_FLUSHING] = { [E_FLUSHED] = on_flushed },
	[S_DELETING] = { [E_OP_OK] = on_deleted, [E_OP_FAILED] = on_delete_failed },
	[S_WAITING] = { [E_STOP] = on_stop_waiting, [E_RESTART_DUE] = on_restart_due },
	[S_LEAVING] = { [E_FLUSHED] = on_check_left },
};

void machine_handle(struct shim *shim, enum event event)
{
	handler *handle = table[shim->machine.state][event];
	if (handle)
		handle(shim);
}

// ---- timers and descriptors

#define TIMER_EVENT(name, member, event) \
	static void name(struct timer *timer) \
	{ \
		machine_handle(container_of(container_of(timer, struct machine, member), struct shim, machine), event); \
	}
TIMER_EVENT(kill_due, kill_timer, E_KILL_DUE)
TIMER_EVENT(restart_timer_due, restart_timer, E_RESTART_DUE)
TIMER_EVENT(flush_due, flush_timer, E_FLUSHED)

static void abandon_due(struct timer *timer)
{
	struct shim *shim = container_of(container_of(timer, struct machine, abandon_timer), struct shim, machine);
	if (control_watched(shim))
		return; // armed again when it goes
	machine_handle(shim, E_ABANDONED);
}

static void drain_due(struct timer *timer)
{
	struct shim *shim = container_of(container_of(timer, struct machine, drain_timer), struct shim, machine);
	if (shim->machine.state == S_DRAINING)
		drain_check(shim);
	else
		machine_handle(shim, E_FLUSHED);
}

static void pidfd_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct machine, pidfd), struct shim, machine);
	loop_close(&shim->loop, source);
	shim->machine.exit_status = -1;
	machine_handle(shim, E_EXIT);
}

void machine_init(struct shim *shim)
{
	struct machine *m = &shim->machine;
	*m = (struct machine){ .state = S_CREATED, .pidfd = { .fd = -1, .ready = pidfd_ready }, .op = { .shim = shim, .name = "runtime" } };
	m->init.exited = init_exited;
	m->kill_timer.fire = kill_due;
	m->restart_timer.fire = restart_timer_due;
	m->abandon_timer.fire = abandon_due;
	m->drain_timer.fire = drain_due;
	m->flush_timer.fire = flush_due;
	m->failure.kind = "runtime";
}

void machine_run(struct shim *shim)
{
	begin_create(shim);
}

void machine_exec(struct shim *shim)
{
	enter(shim, S_CREATED);
	timer_set(&shim->loop, &shim->machine.abandon_timer, ABANDONED_AFTER);
}

void machine_adopted(struct shim *shim)
{
	shim->machine.adopted = true;
	enter(shim, S_RUNNING);
	(void)loop_set(&shim->loop, &shim->machine.pidfd, EPOLLIN);
	oom_start(shim);
	shim->oom.told = cgroup_oom_kills(&shim->spec); // its predecessor's to tell
	health_resume(shim);
}

// ---- requests

void machine_request_start(struct shim *shim, struct conn *conn)
{
	struct machine *m = &shim->machine;
	if (m->state != S_CREATED || m->starter) {
		control_error(conn, "state", "already started");
		return;
	}
	m->starter = conn;
	conn->waiting = true;
	machine_handle(shim, E_START);
}

void machine_request_stop(struct shim *shim, int number, int64_t timeout_ms)
{
	struct machine *m = &shim->machine;
	m->stop_signal = number;
	m->stop_timeout_ms = timeout_ms;
	if (!shim->status.stopping) {
		shim->status.stopping = true;
		journal_add_plain(shim, "stop-requested");
		status_save(shim);
	}
	machine_handle(shim, E_STOP);
}

static void resumed(struct op *op, const struct error *failed)
{
	(void)op;
	(void)failed; // as a rule it was not paused at all
}

void machine_host_down(struct shim *shim)
{
	struct machine *m = &shim->machine;
	static const struct op_order resume = { .verb = "resume", .in = -1, .out = -1, .err = -1, .timeout = DELETE_PATIENCE };
	if (m->host_down)
		return;
	m->host_down = true;
	m->resume = (struct op){ .shim = shim, .name = "resume", .done = resumed };
	if (m->state == S_RUNNING && !is_exec(shim))
		op_start(&m->resume, &resume); // a paused container takes no signal
	machine_request_stop(shim, (int)shim->spec.stop_signal, shim->spec.stop_timeout_ms);
}

void machine_conn_gone(struct shim *shim, const struct conn *conn)
{
	if (shim->machine.starter == conn)
		shim->machine.starter = NULL;
}

bool machine_may_act(const struct shim *shim)
{
	return shim->spec.live_restore || control_watched(shim);
}

void machine_watch_changed(struct shim *shim)
{
	struct machine *m = &shim->machine;
	bool watched = control_watched(shim);
	if (m->state == S_CREATED && !watched)
		timer_set(&shim->loop, &m->abandon_timer, ABANDONED_AFTER);
	if (m->state == S_WAITING && watched && !m->restart_timer.armed)
		machine_handle(shim, E_RESTART_DUE);
	if (watched)
		health_may_act(shim);
}

void machine_output_ended(struct shim *shim)
{
	if (shim->machine.state == S_DRAINING)
		drain_check(shim);
}

void machine_client_progress(struct shim *shim)
{
	if (shim->machine.state == S_LEAVING)
		on_check_left(shim);
}

void machine_written(struct shim *shim)
{
	enum state state = shim->machine.state;
	if (state == S_LEAVING || (state == S_FLUSHING && writer_reached(&shim->writer, shim->machine.flush_mark)))
		machine_handle(shim, E_FLUSHED);
}

bool machine_output_over(const struct shim *shim)
{
	enum state state = shim->machine.state;
	return state == S_FLUSHING || state == S_DELETING || state == S_LEAVING;
}
