#include "machine.h"
#include "cgroup.h"
#include "console.h"
#include "netns.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OP_PATIENCE (120 * SECOND)
#define DELETE_PATIENCE (60 * SECOND)
#define ABANDONED_AFTER (30 * SECOND)
#define DRAIN_STEP (20 * MS)
#define DRAIN_GRACE (100 * MS) // then what is left in the cgroup is killed
#define DRAIN_MOST (3 * SECOND) // without a byte read: the log hangs, or a process that cannot be killed
#define EXEC_DRAIN_MOST (2 * SECOND) // what the process left behind keeps its output, as Docker does it
#define FLUSH_MOST (3 * SECOND)
#define CLIENTS_MOST (2 * SECOND)
#define FILES_MOST (30 * SECOND)

static void enter(struct shim *shim, enum state state)
{
	shim->machine.state = state;
}

// ---- operations of the runtime

static void op_done(struct op *op, const struct error *failed)
{
	struct shim *shim = op->shim;
	if (failed)
		shim->machine.failure = *failed;
	machine_handle(shim, failed ? E_OP_FAILED : E_OP_OK);
}

static void run_op(struct shim *shim, const struct op_order *order)
{
	shim->machine.op.done = op_done;
	op_start(&shim->machine.op, order);
}

static void with_stdio(struct shim *shim, struct op_order *order)
{
	order->in = shim->stdio.container[0];
	order->out = shim->stdio.container[1];
	order->err = shim->stdio.container[2];
	order->timeout = OP_PATIENCE;
	children_forget(&shim->children);
	(void)unlink("pid");
}

static void begin_create(struct shim *shim)
{
	static const char *const plain[] = { "--bundle", ".", "--pid-file", "pid", NULL };
	static const char *const terminal[] = { "--bundle", ".", "--pid-file", "pid", "--console-socket", "console.sock", NULL };
	struct op_order order = { .verb = "create", .args = shim->spec.terminal ? terminal : plain };
	enter(shim, S_CREATING);
	if (stdio_open(shim, &shim->machine.failure) < 0) {
		machine_handle(shim, E_OP_FAILED);
		return;
	}
	with_stdio(shim, &order);
	run_op(shim, &order);
}

static void begin_start(struct shim *shim)
{
	static const char *const plain[] = { "--process", "process.json", "--detach", "--pid-file", "pid", NULL };
	static const char *const terminal[] = { "--process", "process.json", "--detach", "--pid-file", "pid", "--console-socket", "console.sock", NULL };
	struct op_order order = { .verb = "start", .in = -1, .out = -1, .err = -1, .timeout = OP_PATIENCE };
	enter(shim, S_STARTING);
	shim->status.started_at = now_real();
	if (is_exec(shim)) {
		order.verb = "exec";
		order.args = shim->spec.terminal ? terminal : plain;
		if (stdio_open(shim, &shim->machine.failure) < 0) {
			machine_handle(shim, E_OP_FAILED);
			return;
		}
		with_stdio(shim, &order);
	}
	run_op(shim, &order);
}

static void begin_delete(struct shim *shim, bool force)
{
	static const char *const forced[] = { "--force", NULL };
	struct op_order order = { .verb = "delete", .args = force ? forced : NULL, .in = -1, .out = -1, .err = -1, .timeout = DELETE_PATIENCE };
	enter(shim, S_DELETING);
	shim->machine.forced = force;
	run_op(shim, &order);
}

// ---- the process

static void init_exited(struct child *child, int status)
{
	struct shim *shim = container_of(container_of(child, struct machine, init), struct shim, machine);
	shim->machine.exit_status = status;
	machine_handle(shim, E_EXIT);
}

// Takes over the process that the runtime has just made.
static int take_process(struct shim *shim)
{
	struct machine *m = &shim->machine;
	char text[32];
	int64_t pid;
	stdio_close_container_ends(shim);
	console_poll(shim);
	if (read_file_at(AT_FDCWD, "pid", text, sizeof text) < 0 || !parse_i64(text, &pid) || pid < 2 || pid > INT32_MAX)
		return error_set(&m->failure, "runtime", 0, "the runtime left no pid file");
	shim->status.pid = (pid_t)pid;
	shim->status.pid_start = process_start_time((pid_t)pid);
	m->init.exited = init_exited;
	int status;
	m->exit_pending = child_claim(&shim->children, &m->init, (pid_t)pid, &status);
	if (m->exit_pending) {
		m->exit_status = status;
	} else {
		m->pidfd.fd = pidfd_open((pid_t)pid, 0); // close-on-exec by itself
	}
	stdio_watch(shim);
	return 0;
}

int machine_signal(struct shim *shim, int number)
{
	struct machine *m = &shim->machine;
	if (m->pidfd.fd < 0 || m->state < S_CREATED || m->state > S_RUNNING)
		return -ESRCH;
	return pidfd_send_signal(m->pidfd.fd, number, NULL, 0) < 0 ? -errno : 0;
}

static void stop_process(struct shim *shim)
{
	struct machine *m = &shim->machine;
	(void)machine_signal(shim, m->stop_signal);
	if (m->stop_timeout_ms >= 0)
		timer_set(&shim->loop, &m->kill_timer, m->stop_timeout_ms > 0 ? m->stop_timeout_ms * MS : MS);
	else
		timer_stop(&shim->loop, &m->kill_timer);
}

// ---- leaving

static void begin_leaving(struct shim *shim)
{
	struct machine *m = &shim->machine;
	enter(shim, S_LEAVING);
	attach_end(shim);
	control_close_watchers(shim);
	m->flush_mark = writer_mark(&shim->writer);
	m->drain_deadline = now_mono() + CLIENTS_MOST;
	timer_set(&shim->loop, &m->flush_timer, FILES_MOST);
	timer_set(&shim->loop, &m->drain_timer, CLIENTS_MOST);
	machine_client_progress(shim);
}

static void check_left(struct shim *shim)
{
	struct machine *m = &shim->machine;
	bool clients = !control_flushing(shim) || now_mono() >= m->drain_deadline;
	bool files = writer_reached(&shim->writer, m->flush_mark) || !m->flush_timer.armed;
	if (clients && files)
		shim->leaving = true;
}

static void leave_ended(struct shim *shim)
{
	shim->status.state = "exited";
	shim->status.pid = 0;
	shim->status.pid_start = 0;
	shim->status.next_restart_at = 0;
	journal_add_plain(shim, "end");
	status_save(shim);
	begin_leaving(shim);
}

static void put_exit_record(struct shim *shim, bool final)
{
	char buffer[1024];
	struct text t = TEXT_ON(buffer);
	status_exit_record(shim, final, &t);
	(void)writer_put(&shim->writer, JOB_EXIT, t.at, t.len);
}

// ---- the end of a run

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
	struct run_result run = {
		.exit_code = s->exit_code, .ran_for = m->run_failed ? 0 : s->finished_at - s->started_at,
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

static void never_ran(struct shim *shim)
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

// ---- what happens in each state

static void created(struct shim *shim)
{
	struct machine *m = &shim->machine;
	if (take_process(shim) < 0) {
		begin_delete(shim, true);
		return;
	}
	if (shim->status.stopping) { // has overtaken it before anything ran
		m->cancelled = true;
		begin_delete(shim, true);
		return;
	}
	if (shim->status.run > 0) {
		begin_start(shim);
		return;
	}
	enter(shim, S_CREATED);
	status_save(shim);
	shim_ready(shim, NULL);
	timer_set(&shim->loop, &m->abandon_timer, ABANDONED_AFTER);
	if (m->exit_pending)
		machine_handle(shim, E_EXIT);
}

static void create_failed(struct shim *shim)
{
	struct machine *m = &shim->machine;
	stdio_close_container_ends(shim);
	char said[1024];
	if (!m->failure.message[0] && stdio_leftovers(shim, said, sizeof said))
		snprintf(m->failure.message, sizeof m->failure.message, "%s", said);
	m->run_failed = shim->status.run > 0;
	begin_delete(shim, true);
}

static void start_wanted(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.abandon_timer);
	begin_start(shim);
}

static void started(struct shim *shim)
{
	struct machine *m = &shim->machine;
	struct status *s = &shim->status;
	char buffer[128];
	if (is_exec(shim) && take_process(shim) < 0) {
		machine_handle(shim, E_OP_FAILED);
		return;
	}
	enter(shim, S_RUNNING);
	s->run = s->run ? s->run : 1;
	s->state = "running";
	s->error[0] = 0;
	s->oom = false;
	s->finished_at = s->exit_code = s->exit_signal = 0;
	s->next_restart_at = 0;
	struct text t = TEXT_ON(buffer);
	text_pair_int(&t, "run", s->run);
	text_pair_int(&t, "pid", s->pid);
	oom_start(shim);
	health_start(shim);
	journal_add(shim, "start", &t);
	status_save(shim);
	if (m->starter) {
		struct text pid = TEXT_ON(buffer);
		text_pair_int(&pid, "pid", s->pid);
		struct conn *starter = m->starter;
		m->starter = NULL;
		control_ok(starter, &pid);
		requests_run(starter);
	}
	if (m->exit_pending)
		machine_handle(shim, E_EXIT);
	else if (s->stopping)
		stop_process(shim);
}

static void exec_failed(struct shim *shim)
{
	struct machine *m = &shim->machine;
	struct status *s = &shim->status;
	s->exit_code = runtime_exit_code(m->failure.message, 126);
	s->finished_at = now_real();
	s->state = "exited";
	snprintf(s->error, sizeof s->error, "%s", m->failure.message);
	put_exit_record(shim, true);
	never_ran(shim);
}

static void start_failed(struct shim *shim)
{
	struct machine *m = &shim->machine;
	stdio_close_container_ends(shim);
	if (is_exec(shim)) {
		exec_failed(shim);
		return;
	}
	m->run_failed = shim->status.run > 0;
	begin_delete(shim, true);
}

static void note_exit(struct shim *shim)
{
	shim->machine.exit_pending = true;
}

static void drain_check(struct shim *shim)
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

static void exited(struct shim *shim)
{
	struct machine *m = &shim->machine;
	shim->status.finished_at = now_real();
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

static void drained(struct shim *shim)
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

static void flushed(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.flush_timer);
	if (is_exec(shim))
		run_over(shim);
	else
		begin_delete(shim, false);
}

static void deleted(struct shim *shim)
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

static void delete_failed(struct shim *shim)
{
	if (shim->machine.forced)
		deleted(shim); // what is left is for the daemon to find; the exit must be told
	else
		begin_delete(shim, true);
}

static void abandoned(struct shim *shim)
{
	if (is_exec(shim))
		leave_ended(shim);
	else
		begin_delete(shim, true);
}

static void stop_running(struct shim *shim)
{
	stop_process(shim);
}

static void kill_now(struct shim *shim)
{
	(void)machine_signal(shim, SIGKILL);
	shim->machine.killed = true;
}

static void stop_waiting(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.restart_timer);
	put_exit_record(shim, true);
	leave_ended(shim);
}

static void restart_due(struct shim *shim)
{
	struct machine *m = &shim->machine;
	if (!machine_may_act(shim))
		return; // machine_watch_changed comes back
	timer_stop(&shim->loop, &m->restart_timer);
	shim->status.run++;
	shim->status.restart_count++;
	shim->status.next_restart_at = 0;
	m->exit_pending = false;
	if (netns_clean(&shim->spec, &m->failure) < 0) {
		m->run_failed = true;
		deleted(shim);
		return;
	}
	begin_create(shim);
}

// ---- the table

typedef void handler(struct shim *shim);

// What is not in it is nothing to be done: a stop that finds the process ended, a timer that came late.
static handler *const table[STATES][EVENTS] = {
	[S_CREATING] = { [E_OP_OK] = created, [E_OP_FAILED] = create_failed },
	[S_CREATED] = { [E_START] = start_wanted, [E_EXIT] = abandoned, [E_STOP] = abandoned, [E_ABANDONED] = abandoned },
	[S_STARTING] = { [E_OP_OK] = started, [E_OP_FAILED] = start_failed, [E_EXIT] = note_exit },
	[S_RUNNING] = { [E_EXIT] = exited, [E_STOP] = stop_running, [E_KILL_DUE] = kill_now },
	[S_DRAINING] = { [E_DRAINED] = drained },
	[S_FLUSHING] = { [E_FLUSHED] = flushed },
	[S_DELETING] = { [E_OP_OK] = deleted, [E_OP_FAILED] = delete_failed },
	[S_WAITING] = { [E_STOP] = stop_waiting, [E_RESTART_DUE] = restart_due },
	[S_LEAVING] = { [E_FLUSHED] = check_left },
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
		check_left(shim);
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
