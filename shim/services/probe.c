#include "services/probe.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static void journal_exec(struct shim *shim, const char *kind, bool command, bool ended)
{
	struct health *h = &shim->health;
	char buffer[12288];
	struct text t = TEXT_ON(buffer);
	text_pair(&t, "exec", h->exec_id);
	if (command) {
		char shown[3072];
		snprintf(shown, sizeof shown, "%s", shim->spec.health.command ? shim->spec.health.command : "");
		text_pair(&t, "command", shown);
	}
	if (ended)
		text_pair_int(&t, "exit-code", h->now.exit_code);
	journal_add(shim, kind, &t);
}

// What fits is kept, the rest is read and thrown away, so that the probe never blocks on us.
static bool read_output(struct shim *shim)
{
	struct health *h = &shim->health;
	char bytes[4096];
	errno = 0;
	ssize_t n = read(h->output.fd, bytes, sizeof bytes);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	size_t room = PROBE_OUTPUT - h->now.len, kept = (size_t)n < room ? (size_t)n : room;
	memcpy(h->now.output + h->now.len, bytes, kept);
	h->now.len += kept;
	h->cut = h->cut || kept < (size_t)n;
	return true;
}

static void output_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *shim = container_of(container_of(source, struct health, output), struct shim, health);
	if (!read_output(shim) && errno != EAGAIN)
		loop_close(&shim->loop, source);
}

// A duration as Go prints it.
static void go_duration(char *out, size_t cap, int64_t ns)
{
	if (ns < SECOND) {
		snprintf(out, cap, "%lldms", (long long)(ns / MS));
		return;
	}
	int64_t seconds = ns / SECOND, ms = ns % SECOND / MS;
	int n = 0;
	if (seconds >= 3600)
		n += snprintf(out, cap, "%lldh", (long long)(seconds / 3600));
	if (seconds >= 60)
		n += snprintf(out + n, cap - (size_t)n, "%lldm", (long long)(seconds % 3600 / 60));
	n += snprintf(out + n, cap - (size_t)n, "%lld", (long long)(seconds % 60));
	if (ms) {
		n += snprintf(out + n, cap - (size_t)n, ".%03lld", (long long)ms);
		while (out[n - 1] == '0')
			out[--n] = 0;
	}
	snprintf(out + n, cap - (size_t)n, "s");
}

static void say_timeout(struct shim *shim)
{
	struct probe_result *now = &shim->health.now;
	char limit[48], head[112];
	go_duration(limit, sizeof limit, shim->spec.health.timeout);
	size_t len = (size_t)snprintf(head, sizeof head, "Health check exceeded timeout (%s): ", limit);
	size_t keep = now->len + len > PROBE_OUTPUT ? PROBE_OUTPUT - len : now->len;
	memmove(now->output + len, now->output, keep);
	memcpy(now->output, head, len);
	now->len = len + keep;
	now->exit_code = -1;
}

static void finish(struct shim *shim)
{
	struct health *h = &shim->health;
	int64_t bound = 64; // a process that it left behind may write for ever
	while (h->output.fd >= 0 && bound-- > 0 && read_output(shim))
		;
	loop_close(&shim->loop, &h->output);
	timer_stop(&shim->loop, &h->limit);
	h->pid = 0;
	h->busy = false;
	h->now.end = now_real();
	if (h->cancelled)
		return;
	if (h->timed_out)
		say_timeout(shim);
	if (h->cut) {
		memcpy(h->now.output + h->now.len, "...", 3);
		h->now.len += 3;
	}
	journal_exec(shim, "exec-die", false, true);
	health_probed(shim);
}

static void process_exited(struct child *child, int status)
{
	struct shim *shim = container_of(container_of(child, struct health, process), struct shim, health);
	shim->health.now.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	finish(shim);
}

static void limit_reached(struct timer *timer)
{
	struct health *h = container_of(timer, struct health, limit);
	h->timed_out = true;
	if (h->pid)
		kill(h->pid, SIGKILL); // not reaped yet
}

static pid_t probe_pid(void)
{
	char text[32];
	int64_t pid;
	ssize_t n = read_file_at(AT_FDCWD, "probe.pid", text, sizeof text);
	return n > 0 && parse_i64(text, &pid) && pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static void exec_failed(struct shim *shim, const struct error *failed)
{
	struct health *h = &shim->health;
	if (strstr(failed->message, "paused")) { // Docker does not probe a paused container
		loop_close(&shim->loop, &h->output);
		timer_stop(&shim->loop, &h->limit);
		h->busy = false;
		health_skipped(shim);
		return;
	}
	h->timed_out = h->timed_out || h->op.timed_out;
	if (!h->timed_out)
		h->now.len = (size_t)snprintf(h->now.output, sizeof h->now.output - 3, "%.*s", PROBE_OUTPUT, failed->message);
	h->now.exit_code = -1;
	finish(shim);
}

static void exec_done(struct op *op, const struct error *failed)
{
	struct health *h = container_of(op, struct health, op);
	struct shim *shim = op->shim;
	pid_t pid = probe_pid();
	if (failed) {
		exec_failed(shim, failed);
		return;
	}
	int status;
	if (pid == 0 || child_claim(&shim->children, &h->process, pid, &status)) {
		process_exited(&h->process, pid ? status : 127 << 8);
		return;
	}
	h->pid = pid;
	if (h->cancelled || h->timed_out)
		kill(pid, SIGKILL);
	else
		journal_exec(shim, "exec-start", false, false);
}

static int open_output(struct shim *shim, int *write_end)
{
	struct health *h = &shim->health;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK); // ours alone
	h->output.fd = ends[0];
	*write_end = ends[1];
	return loop_set(&shim->loop, &h->output, EPOLLIN);
}

void probe_begin(struct shim *shim)
{
	struct health *h = &shim->health;
	const struct health_spec *spec = &shim->spec.health;
	cleanup_fd int write_end = -1;
	h->cancelled = h->timed_out = h->cut = false;
	h->pid = 0;
	h->now.len = 0;
	h->now.start = now_real();
	children_forget(&shim->children);
	if (open_output(shim, &write_end) < 0) {
		loop_close(&shim->loop, &h->output);
		health_skipped(shim);
		return;
	}
	h->busy = true;
	random_hex(h->exec_id, 64);
	journal_exec(shim, "exec-create", true, false);
	(void)unlink("probe.pid");
	const char *const args[] = { "--process", spec->process, "--detach", "--pid-file", "probe.pid", NULL };
	struct op_order order = { .verb = "exec", .args = args, .in = -1, .out = write_end, .err = write_end,
		.timeout = spec->timeout + 5 * SECOND };
	timer_set(&shim->loop, &h->limit, spec->timeout > 0 ? spec->timeout : 30 * SECOND);
	op_start(&h->op, &order);
}

void probe_cancel(struct shim *shim)
{
	struct health *h = &shim->health;
	h->cancelled = true;
	if (h->pid)
		kill(h->pid, SIGKILL);
}

void probe_resume(struct shim *shim)
{
	struct health *h = &shim->health;
	if (h->output.fd >= 0 && loop_set(&shim->loop, &h->output, EPOLLIN) < 0)
		loop_close(&shim->loop, &h->output);
}

void probe_init(struct shim *shim)
{
	struct health *h = &shim->health;
	h->op = (struct op){ .shim = shim, .name = "probe", .done = exec_done };
	h->output = (struct source){ .fd = -1, .ready = output_ready };
	h->process.exited = process_exited;
	h->limit.fire = limit_reached;
}
