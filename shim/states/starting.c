// From create to running: the first start, restarts, exec sessions.
#include "processes/cgroup.h"
#include "streams/console.h"
#include "states/machine_steps.h"
#include "services/netns.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define OP_PATIENCE (120 * SECOND)

static void op_done(struct op *op, const struct error *failed)
{
	struct shim *shim = op->shim;
	if (failed)
		shim->machine.failure = *failed;
	machine_handle(shim, failed ? E_OP_FAILED : E_OP_OK);
}

void run_op(struct shim *shim, const struct op_order *order)
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

void begin_create(struct shim *shim)
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
	shim->machine.run_began = now_mono();
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

void init_exited(struct child *child, int status)
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

void on_created(struct shim *shim)
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

void on_create_failed(struct shim *shim)
{
	struct machine *m = &shim->machine;
	stdio_close_container_ends(shim);
	char said[1024];
	if (!m->failure.message[0] && stdio_leftovers(shim, said, sizeof said))
		snprintf(m->failure.message, sizeof m->failure.message, "%s", said);
	m->run_failed = shim->status.run > 0;
	begin_delete(shim, true);
}

void on_start_wanted(struct shim *shim)
{
	timer_stop(&shim->loop, &shim->machine.abandon_timer);
	begin_start(shim);
}

void on_started(struct shim *shim)
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
	journal_add_at(shim, s->started_at, "start", &t); // `die` will name the same time
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

void on_start_failed(struct shim *shim)
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

void on_note_exit(struct shim *shim)
{
	shim->machine.exit_pending = true;
}

void on_abandoned(struct shim *shim)
{
	if (is_exec(shim))
		leave_ended(shim);
	else
		begin_delete(shim, true);
}

void on_restart_due(struct shim *shim)
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
		on_deleted(shim);
		return;
	}
	begin_create(shim);
}
