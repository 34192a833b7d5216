// From the death of the process to a restart or to leaving.
#include "processes/cgroup.h"
#include "states/machine_steps.h"
#include <stdio.h>
#include <sys/wait.h>

#define DRAIN_STEP (20 * MS)
#define DRAIN_GRACE (100 * MS) // then what is left in the cgroup is killed
#define DRAIN_MOST (3 * SECOND) // without a byte read: the log hangs, or a process that cannot be killed
#define EXEC_DRAIN_MOST (2 * SECOND) // what the process left behind keeps its output, as Docker does it
#define FLUSH_MOST (3 * SECOND)
#define CLIENTS_MOST (2 * SECOND)
#define FILES_MOST (30 * SECOND)

static void begin_leaving(struct shim *shim)
{
	struct machine *m = &shim->machine;
	enter(shim, S_LEAVING);
	upgrade_give_up(shim, "the container has ended");
	attach_end(shim);
	control_close_watchers(shim);
	m->flush_mark = writer_mark(&shim->writer);
	m->drain_deadline = now_mono() + CLIENTS_MOST;
	timer_set(&shim->loop, &m->flush_timer, FILES_MOST);
	timer_set(&shim->loop, &m->drain_timer, CLIENTS_MOST);
	machine_client_progress(shim);
}

void on_check_left(struct shim *shim)
{
	struct machine *m = &shim->machine;
	bool clients = !control_flushing(shim) || now_mono() >= m->drain_deadline;
	bool files = writer_reached(&shim->writer, m->flush_mark) || !m->flush_timer.armed;
	if (clients && files)
		shim->leaving = true;
}

void leave_ended(struct shim *shim)
{
	shim->status.state = "exited";
	shim->status.pid = 0;
	shim->status.pid_start = 0;
	shim->status.next_restart_at = 0;
	journal_add_plain(shim, "end");
	status_save(shim);
	begin_leaving(shim);
}

void put_exit_record(struct shim *shim, bool final)
{
	char buffer[1024];
	struct text t = TEXT_ON(buffer);
	status_exit_record(shim, final, &t);
	(void)writer_put(&shim->writer, JOB_EXIT, t.at, t.len);
}

void begin_delete(struct shim *shim, bool force)
{
	static const char *const forced[] = { "--force", NULL };
	struct op_order order = { .verb = "delete", .args = force ? forced : NULL, .in = -1, .out = -1, .err = -1, .timeout = DELETE_PATIENCE };
	enter(shim, S_DELETING);
	shim->machine.forced = force;
	run_op(shim, &order);
}

static void decode_exit(struct shim *shim)
{
	struct status *s = &shim->status;
	int status = shim->machine.exit_status;
	s->exit_signal = 0;
	if (shim->machine.adopted || status < 0) {
		s->exit_code = -1;
	} else if (WIFSIGNALED(status)) {
		s->exit_signal = WTERMSIG(status);
		s->exit_code = 128 + s->exit_signal;
	} else {
		s->exit_code = WEXITSTATUS(status);
	}
}

static void journal_die(struct shim *shim, bool restarting)
{
	const struct status *s = &shim->status;
	char buffer[512];
	struct text t = TEXT_ON(buffer);
	text_pair_int(&t, "run", s->run);
	text_pair_int(&t, "exit-code", s->exit_code);
	text_pair_int(&t, "exit-signal", s->exit_signal);
	text_pair_int(&t, "oom", s->oom);
	text_pair_int(&t, "started-at", s->started_at);
	text_pair_int(&t, "finished-at", s->finished_at);
	text_pair_int(&t, "restarting", restarting);
	text_pair_int(&t, "delay-ms", restarting ? shim->machine.delay / MS : 0);
	if (shim->machine.host_down)
		text_pair_int(&t, "host-down", 1);
	journal_add(shim, "die", &t);
}

static void journal_restart_failed(struct shim *shim, bool restarting)
{
	char buffer[14000];
	struct text t = TEXT_ON(buffer);
	text_pair_int(&t, "run", shim->status.run);
	text_pair_int(&t, "exit-code", shim->status.exit_code);
	text_pair_int(&t, "restarting", restarting);
	text_pair_int(&t, "delay-ms", restarting ? shim->machine.delay / MS : 0);
	text_pair(&t, "error", shim->machine.failure.message);
	journal_add(shim, "restart-failed", &t);
}

// Everything of this run is over: tell it, and restart or leave.
static void run_over(struct shim *shim)
{
	struct machine *m = &shim->machine;
	struct status *s = &shim->status;
	int64_t lasted = m->run_began ? m->run_ended - m->run_began : s->finished_at - s->started_at;
	struct run_result run = {
		.exit_code = s->exit_code, .ran_for = m->run_failed ? 0 : lasted,
		.restart_count = s->restart_count, .stop_requested = s->stopping,
	};
	bool again = !is_exec(shim) && restart_decide(&shim->spec.policy, &run, &m->delay);
	s->pid = 0;
	s->pid_start = 0;
	s->state = again ? "restarting" : "exited";
	s->next_restart_at = again ? now_real() + m->delay : 0;
	put_exit_record(shim, !again);
	if (m->run_failed)
		journal_restart_failed(shim, again);
	else
		journal_die(shim, again);
	m->adopted = m->run_failed = false;
	if (!again) {
		leave_ended(shim);
		return;
	}
	status_save(shim);
	enter(shim, S_WAITING);
	timer_set(&shim->loop, &m->restart_timer, m->delay);
}

void never_ran(struct shim *shim)
{
	struct machine *m = &shim->machine;
	if (shim->ready.fd >= 0) { // the very first create
		shim_ready(shim, &m->failure);
		shim->leaving = true;
		return;
	}
	if (m->starter) {
		control_error(m->starter, m->failure.kind, m->failure.message);
		m->starter = NULL;
	}
	leave_ended(shim);
}

void drain_check(struct shim *shim)
{
	struct machine *m = &shim->machine;
	int64_t now = now_mono();
	if (!is_exec(shim) && m->drain_reads != shim->stdio.reads) {
		m->drain_reads = shim->stdio.reads;
		m->drain_deadline = now + DRAIN_MOST;
	}
	bool empty = is_exec(shim) || !cgroup_populated(&shim->spec, !is_exec(shim) && now >= m->drain_sweep);
	bool over = stdio_ended(shim) || (empty && !is_exec(shim) && stdio_idle(shim)) || now >= m->drain_deadline;
	if (over)
		machine_handle(shim, E_DRAINED);
	else
		timer_set(&shim->loop, &m->drain_timer, DRAIN_STEP);
}

void on_exited(struct shim *shim)
{
	struct machine *m = &shim->machine;
	shim->status.finished_at = now_real();
	m->run_ended = now_mono();
	m->exit_pending = false;
	decode_exit(shim);
	shim->status.oom = oom_stop(shim) > 0;
	timer_stop(&shim->loop, &m->kill_timer);
	loop_close(&shim->loop, &m->pidfd);
	health_stop(shim);
	enter(shim, S_DRAINING);
	m->drain_deadline = now_mono() + (is_exec(shim) ? EXEC_DRAIN_MOST : DRAIN_MOST);
	m->drain_sweep = now_mono() + DRAIN_GRACE;
	drain_check(shim);
}

void on_drained(struct shim *shim)
{
	struct machine *m = &shim->machine;
	timer_stop(&shim->loop, &m->drain_timer);
	enter(shim, S_FLUSHING);
	stdio_close(shim);
	attach_end(shim);
	(void)writer_put(&shim->writer, JOB_LOG_END, NULL, 0);
	m->flush_mark = writer_mark(&shim->writer);
	timer_set(&shim->loop, &m->flush_timer, FLUSH_MOST);
	machine_written(shim);
}

void on_flushed(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.flush_timer);
	if (is_exec(shim))
		run_over(shim);
	else
		begin_delete(shim, false);
}

void on_deleted(struct shim *shim)
{
	struct machine *m = &shim->machine;
	struct status *s = &shim->status;
	timer_stop(&shim->loop, &m->kill_timer);
	loop_close(&shim->loop, &m->pidfd);
	if (s->run == 0) {
		never_ran(shim);
		return;
	}
	if (m->run_failed) {
		s->exit_code = runtime_exit_code(m->failure.message, 128);
		s->exit_signal = 0;
		s->finished_at = now_real();
		snprintf(s->error, sizeof s->error, "%s", m->failure.message);
	} else if (m->cancelled) {
		s->run--;
		s->restart_count--;
		put_exit_record(shim, true);
		leave_ended(shim);
		return;
	}
	run_over(shim);
}

void on_delete_failed(struct shim *shim)
{
	if (shim->machine.forced)
		on_deleted(shim); // what is left is for the daemon to find; the exit must be told
	else
		begin_delete(shim, true);
}

void on_stop_waiting(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.restart_timer);
	put_exit_record(shim, true);
	leave_ended(shim);
}
