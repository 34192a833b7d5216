#include "handover/upgrade.h"
#include "handover/state.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (10 * SECOND) // until there is a moment without a start or an end, and for a log that does not move
#define PARKED_MOST (2 * SECOND) // for a log that does not move; the container's output waits meanwhile
#define ALL_MOST (60 * SECOND)
#define TRIAL_MOST (5 * SECOND)
#define LOOK (2 * MS)

static void next_look(struct shim *shim, int64_t delay)
{
	timer_set(&shim->loop, &shim->upgrade.look, delay);
}

static void over(struct shim *shim)
{
	struct upgrade *u = &shim->upgrade;
	bool parked = u->step == UPGRADE_PARKING;
	timer_stop(&shim->loop, &u->look);
	u->step = UPGRADE_NONE;
	u->asker = NULL;
	close_fd(&u->exe);
	close_fd(&u->answer);
	if (parked)
		writer_unpark(&shim->writer);
	stdio_resume(shim);
}

void upgrade_give_up(struct shim *shim, const char *why)
{
	struct upgrade *u = &shim->upgrade;
	if (u->step == UPGRADE_NONE)
		return;
	struct conn *asker = u->asker;
	if (u->child.pid)
		kill(u->child.pid, SIGKILL); // not reaped yet
	over(shim);
	if (asker) {
		control_error(asker, "upgrade", why);
		requests_run(asker);
	}
}

void upgrade_conn_gone(struct shim *shim, const struct conn *conn)
{
	if (shim->upgrade.asker == conn)
		shim->upgrade.asker = NULL;
}

bool upgrade_holds_output(const struct shim *shim)
{
	return shim->upgrade.step == UPGRADE_PARKING;
}

// Why this is no moment to go; NULL when it is one.
static const char *in_the_way(const struct shim *shim)
{
	const struct machine *m = &shim->machine;
	if (m->state != S_CREATED && m->state != S_RUNNING && m->state != S_WAITING)
		return "the container is being started or ended";
	if (m->op.busy || m->resume.busy || shim->health.op.busy || m->starter || m->exit_pending || shim->ready.fd >= 0)
		return "an operation of the runtime is under way";
	if (shim->control.journal_reading)
		return "the journal is being read";
	return NULL;
}

static void begin_settling(struct shim *shim)
{
	struct upgrade *u = &shim->upgrade;
	u->step = UPGRADE_SETTLING;
	u->mark = 0;
	u->deadline = now_mono() + PATIENCE;
}

// ---- the trial

// What the new binary said: `ok VERSION CONTRACT`, or why not.
static void tried(struct child *child, int status)
{
	struct upgrade *u = container_of(child, struct upgrade, child);
	struct shim *shim = container_of(u, struct shim, upgrade);
	char said[512], why[700];
	if (u->step != UPGRADE_TRYING)
		return;
	ssize_t n = read(u->answer, said, sizeof said - 1);
	said[n > 0 ? n : 0] = 0;
	said[strcspn(said, "\n")] = 0;
	close_fd(&u->answer);
	bool good = strncmp(said, "ok moored-shim ", 15) == 0 && strstr(said, " contract 1.");
	if (good && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		u->tried = true;
		begin_settling(shim);
		upgrade_step(shim);
		return;
	}
	snprintf(why, sizeof why, "%.300s cannot take over: %.300s", u->path,
		strncmp(said, "err ", 4) == 0 ? said + 4 : WIFSIGNALED(status) ? "its trial was ended by a signal" : "it is no shim that can be tried");
	upgrade_give_up(shim, why);
}

static int begin_trial(struct shim *shim, int state)
{
	struct upgrade *u = &shim->upgrade;
	// The binary by a descriptor, so that the one that was tried is the one that runs.
	static const char *const argv[] = { "/proc/self/fd/2", "check", NULL };
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	u->answer = ends[0];
	cleanup_fd int out = ends[1];
	struct spawn spawn = { .argv = argv, .in = state, .out = out, .err = u->exe };
	u->step = UPGRADE_TRYING;
	next_look(shim, TRIAL_MOST);
	return child_spawn(&shim->children, &u->child, &spawn);
}

// ---- the point of no return

static void set_inherited(const struct giving *g, bool inherited)
{
	for (size_t i = 0; i < g->fd_count; i++)
		(void)fcntl(g->fds[i], F_SETFD, inherited ? 0 : FD_CLOEXEC);
	(void)fcntl(g->fd, F_SETFD, inherited ? 0 : FD_CLOEXEC);
}

// Comes back only when it failed.
static int become(struct shim *shim, const struct giving *g)
{
	char exe[64], dir[4096], state[32], back[32];
	cleanup_fd int self = open("/proc/self/exe", O_RDONLY); // inherited: the way back
	if (self < 0 || !getcwd(dir, sizeof dir))
		return -errno;
	snprintf(exe, sizeof exe, "/proc/self/fd/%d", shim->upgrade.exe);
	snprintf(state, sizeof state, "%d", g->fd);
	snprintf(back, sizeof back, "%d", self);
	char *argv[] = { shim->upgrade.path, is_exec(shim) ? "exec" : "run", dir, "--state", state, "--back", back, NULL };
	set_inherited(g, true);
	execv(exe, argv);
	int failed = -errno;
	set_inherited(g, false);
	return failed;
}

// All that there is, into one sealed memory file.
static int snapshot(struct giving *g, struct shim *shim)
{
	int failed = giving_begin(g);
	if (failed)
		return failed;
	state_give(g, shim);
	return giving_end(g);
}

static void parked(struct shim *shim)
{
	struct upgrade *u = &shim->upgrade;
	struct giving g;
	char why[256];
	control_sweep(shim);
	int failed = snapshot(&g, shim);
	if (!failed && !u->tried) {
		writer_unpark(&shim->writer);
		failed = begin_trial(shim, g.fd);
		stdio_resume(shim);
	} else if (!failed) {
		failed = become(shim, &g);
	}
	giving_drop(&g);
	if (failed) {
		snprintf(why, sizeof why, "cannot execute %.100s: %s", u->path, strerror(-failed));
		upgrade_give_up(shim, why);
	}
}

// ---- the steps

// A log that is being written, however slowly, is worth waiting for.
static bool too_late(struct shim *shim, int64_t patience)
{
	struct upgrade *u = &shim->upgrade;
	int64_t now = now_mono();
	uint64_t taken = writer_taken(&shim->writer);
	if (u->mark && taken != u->taken)
		u->deadline = now + patience;
	u->taken = taken;
	return now > u->deadline || now > u->ends_by;
}

static void settling(struct shim *shim)
{
	struct upgrade *u = &shim->upgrade;
	const char *why = in_the_way(shim);
	if (!why && !u->mark)
		u->mark = writer_mark(&shim->writer) + 1;
	// The data root answers: only then is anything held up.
	if (!why && writer_reached(&shim->writer, u->mark - 1)) {
		u->step = UPGRADE_PARKING;
		u->deadline = now_mono() + PARKED_MOST;
		writer_park(&shim->writer);
		next_look(shim, LOOK);
	} else if (too_late(shim, PATIENCE)) {
		upgrade_give_up(shim, why ? why : "the log is not being written");
	} else {
		next_look(shim, LOOK);
	}
}

static void parking(struct shim *shim)
{
	if (in_the_way(shim)) {
		writer_unpark(&shim->writer);
		begin_settling(shim);
		stdio_resume(shim);
		next_look(shim, LOOK);
	} else if (writer_parked(&shim->writer)) {
		parked(shim);
	} else if (too_late(shim, PARKED_MOST)) {
		upgrade_give_up(shim, "the log is not being written");
	} else {
		next_look(shim, LOOK);
	}
}

static void look(struct timer *timer)
{
	struct shim *shim = container_of(container_of(timer, struct upgrade, look), struct shim, upgrade);
	if (shim->upgrade.step == UPGRADE_TRYING)
		upgrade_give_up(shim, "the new binary did not answer in time");
	else
		upgrade_step(shim);
}

void upgrade_step(struct shim *shim)
{
	if (shim->upgrade.step == UPGRADE_SETTLING)
		settling(shim);
	else if (shim->upgrade.step == UPGRADE_PARKING)
		parking(shim);
}

void upgrade_init(struct shim *shim)
{
	struct upgrade *u = &shim->upgrade;
	*u = (struct upgrade){ .exe = -1, .answer = -1, .child = { .exited = tried }, .look = { .fire = look } };
}

// An ELF file: a script's interpreter would find the descriptor closed, when there is no way back.
static int open_program(const char *path)
{
	struct stat st;
	char magic[4];
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || pread(fd, magic, sizeof magic, 0) != sizeof magic || memcmp(magic, "\177ELF", sizeof magic) != 0)
		return -ENOEXEC;
	int program = fd;
	fd = -1;
	return program;
}

void upgrade_begin(struct conn *c, const char *path)
{
	struct shim *shim = c->shim;
	struct upgrade *u = &shim->upgrade;
	char why[256];
	if (u->step != UPGRADE_NONE || u->child.pid) {
		control_error(c, "busy", "an upgrade is under way");
		return;
	}
	if (path[0] != '/' || strlen(path) >= sizeof u->path) {
		control_error(c, "request", "invalid path");
		return;
	}
	u->exe = open_program(path);
	if (u->exe < 0) {
		snprintf(why, sizeof why, "%.100s: %s", path, u->exe == -ENOEXEC ? "not a program" : strerror(-u->exe));
		u->exe = -1;
		control_error(c, "upgrade", why);
		return;
	}
	snprintf(u->path, sizeof u->path, "%s", path);
	u->asker = c;
	c->waiting = true;
	u->tried = false;
	u->ends_by = now_mono() + ALL_MOST;
	begin_settling(shim);
	upgrade_step(shim);
}
