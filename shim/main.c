#include "handover/adopt.h"
#include "processes/cgroup.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PATIENCE (2 * SECOND)

static struct shim shim;

void shim_ready(struct shim *s, const struct error *failed)
{
	char line[16384];
	struct text t = TEXT_ON(line);
	if (s->ready.fd < 0)
		return;
	if (failed) {
		text_add(&t, "err");
		text_pair(&t, "kind", failed->kind);
		text_pair(&t, "message", failed->message);
	} else {
		text_add(&t, "ok");
		if (s->status.pid)
			text_pair_int(&t, "pid", s->status.pid);
	}
	text_add(&t, "\n");
	(void)write_all(s->ready.fd, t.at, t.len);
	loop_close(&s->loop, &s->ready);
}

static void ready_hung_up(struct source *source, uint32_t events)
{
	(void)events;
	loop_close(&shim.loop, source);
	machine_request_stop(&shim, SIGKILL, 0); // nobody waits for this container any more
}

static void signals_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct signalfd_siginfo info;
	if (read(source->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD)
		children_reap(&shim.children);
	else if (info.ssi_signo == SIGTERM)
		machine_host_down(&shim);
}

static void kick_ready(struct source *source, uint32_t events)
{
	(void)events;
	uint64_t count;
	(void)!read(source->fd, &count, sizeof count);
	stdio_resume(&shim);
	machine_written(&shim);
	control_journal_read(&shim);
	compress_check(&shim);
	log_loss_check(&shim);
}

static bool is_named(const struct spec *spec, int fd)
{
	for (size_t i = 0; i < spec->ports; i++)
		if (spec->port[i].fd == fd)
			return true;
	for (size_t i = 0; i < spec->holds; i++)
		if (spec->hold[i].fd == fd)
			return true;
	return fd == shim.ready.fd;
}

// Everything that was inherited and is not in the contract.
static void close_inherited(const struct spec *spec)
{
	int highest = READY_FD;
	for (size_t i = 0; i < spec->ports; i++)
		highest = spec->port[i].fd > highest ? spec->port[i].fd : highest;
	for (size_t i = 0; i < spec->holds; i++)
		highest = spec->hold[i].fd > highest ? spec->hold[i].fd : highest;
	close_range((unsigned)highest + 1, ~0U, 0);
	for (int fd = READY_FD; fd <= highest; fd++) {
		if (is_named(spec, fd))
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		else
			close(fd);
	}
}

static int take_signals(void)
{
	sigset_t all;
	sigfillset(&all);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigset_t taken = all;
	sigdelset(&taken, SIGPIPE);
	sigdelset(&taken, SIGHUP);
	shim.signals = (struct source){ .fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signals_ready };
	return shim.signals.fd < 0 ? -errno : loop_set(&shim.loop, &shim.signals, EPOLLIN);
}

// Two shims in one directory would answer for the same container. One that is just leaving is waited for.
static int lock_directory(void)
{
	const struct timespec pause = { .tv_nsec = 5 * MS };
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); // held until we end
	for (int64_t until = now_mono() + LOCK_PATIENCE; fd >= 0;) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK || now_mono() > until)
			break;
		nanosleep(&pause, NULL);
	}
	return -errno;
}

static void set_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	shim.children.nofile = limit;
	if (shim.spec.nofile_soft >= 0)
		shim.children.nofile = (struct rlimit){ (rlim_t)shim.spec.nofile_soft, (rlim_t)shim.spec.nofile_hard };
	limit.rlim_cur = limit.rlim_max; // relays need descriptors
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(const char *dir, struct error *err)
{
	shim.ready = (struct source){ .fd = fcntl(READY_FD, F_GETFD) < 0 ? -1 : READY_FD, .ready = ready_hung_up };
	mallopt(M_ARENA_MAX, 1);
	if (chdir(dir) < 0)
		return error_set(err, "system", -errno, "%s", dir);
	int failed = spec_load(&shim.spec, err);
	if (failed)
		return failed;
	close_inherited(&shim.spec);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, 0);
	cgroup_join(&shim.spec);
	set_limits();
	status_init(&shim.status);
	shim.status.restart_count = shim.spec.restart_count;
	if ((failed = lock_directory()) < 0)
		return error_set(err, "system", failed, "another shim holds %s", dir);
	if ((failed = loop_init(&shim.loop)) < 0 || (failed = take_signals()) < 0)
		return error_set(err, "system", failed, "event loop");
	shim.control.listener.fd = -1;
	stdio_clear(&shim);
	machine_init(&shim);
	health_init(&shim);
	return 0;
}

static int watch_writer(struct error *err)
{
	shim.writer_kick = (struct source){ .fd = shim.writer.kick, .ready = kick_ready };
	int failed = loop_set(&shim.loop, &shim.writer_kick, EPOLLIN);
	return failed ? error_set(err, "system", failed, "writer") : 0;
}

static int open_all(bool fresh, struct error *err)
{
	int failed = writer_start(&shim.writer, &shim.spec, fresh, err);
	if (!failed)
		failed = watch_writer(err);
	if (!failed)
		failed = stdio_init(&shim, err);
	if (!failed)
		failed = control_listen(&shim, err);
	if (!failed)
		failed = holds_check(&shim, err);
	return failed ? failed : ports_start(&shim, err);
}

static int begin(const char *mode, struct error *err)
{
	bool adopting = strcmp(mode, "adopt") == 0;
	struct old_status old;
	int failed = 0;
	if (!adopting)
		journal_resume(&shim, 0);
	else if ((failed = adopt_read(&shim, &old, err)) < 0)
		return failed;
	if ((failed = open_all(!adopting, err)) < 0)
		return failed;
	if (adopting) {
		if ((failed = adopt_begin(&shim, &old, err)) < 0)
			return failed;
		shim_ready(&shim, NULL);
	} else if (shim.spec.kind == KIND_EXEC) {
		machine_exec(&shim);
		status_save(&shim);
		shim_ready(&shim, NULL);
	} else {
		if (shim.ready.fd >= 0)
			(void)loop_set(&shim.loop, &shim.ready, EPOLLERR);
		machine_run(&shim);
	}
	return 0;
}

static void clean_up(bool adopting)
{
	ports_stop(&shim);
	control_close(&shim);
	if (!adopting) {
		stdio_close(&shim);
		stdio_remove(&shim);
	}
	static const char *const files[] = { "pid", "runtime.log", "runtime.err", "probe.log", "probe.err", "probe.pid", "resume.log", "resume.err" };
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(files[i]);
}

int main(int argc, char **argv)
{
	struct error err = { .kind = "system" };
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("moored-shim %s contract %s\n", SHIM_VERSION, CONTRACT) < 0;
	bool known = argc == 3 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "exec") == 0 || strcmp(argv[1], "adopt") == 0);
	if (!known) {
		fprintf(stderr, "usage: moored-shim run|exec|adopt DIR\n       moored-shim --version\n");
		return 100;
	}
	if (prepare(argv[2], &err) < 0) {
		shim_ready(&shim, &err);
		return 111;
	}
	if (begin(argv[1], &err) < 0) {
		shim_ready(&shim, &err);
		clean_up(strcmp(argv[1], "adopt") == 0);
		return 111;
	}
	while (!shim.leaving)
		loop_step(&shim.loop);
	clean_up(false);
	if (writer_reached(&shim.writer, writer_mark(&shim.writer)))
		writer_stop(&shim.writer);
	_exit(0); // a thread that hangs in the data root must not keep us
}
