// What every beginning of a shim has in common: its parts before anything is open, its loop, its signals.
#include "shim.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

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
	struct shim *s = container_of(source, struct shim, ready);
	loop_close(&s->loop, source);
	machine_request_stop(s, SIGKILL, 0); // nobody waits for this container any more
}

static void signals_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *s = container_of(source, struct shim, signals);
	struct signalfd_siginfo info;
	if (read(source->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD)
		children_reap(&s->children);
	else if (info.ssi_signo == SIGTERM)
		machine_host_down(s);
}

static void kick_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct shim *s = container_of(source, struct shim, writer_kick);
	uint64_t count;
	(void)!read(source->fd, &count, sizeof count);
	stdio_resume(s);
	machine_written(s);
	control_journal_read(s);
	compress_check(s);
	log_loss_check(s);
	upgrade_step(s);
}

int shim_loop(struct shim *s)
{
	int failed = loop_init(&s->loop);
	if (failed)
		return failed;
	sigset_t all;
	sigfillset(&all);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigset_t taken = all;
	sigdelset(&taken, SIGPIPE);
	sigdelset(&taken, SIGHUP);
	s->signals = (struct source){ .fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signals_ready };
	return s->signals.fd < 0 ? -errno : loop_set(&s->loop, &s->signals, EPOLLIN);
}

int shim_watch_writer(struct shim *s)
{
	s->writer_kick = (struct source){ .fd = s->writer.kick, .ready = kick_ready };
	return loop_set(&s->loop, &s->writer_kick, EPOLLIN);
}

void shim_init(struct shim *s)
{
	s->ready = (struct source){ .fd = -1, .ready = ready_hung_up };
	s->lock = -1;
	status_init(&s->status);
	control_init(s);
	stdio_clear(s);
	machine_init(s);
	oom_init(s);
	health_init(s);
	compress_init(s);
	reviver_init(s);
	upgrade_init(s);
}

// What an exec does not leave as it was, too.
void shim_process(void)
{
	mallopt(M_ARENA_MAX, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, 0);
	prctl(PR_SET_NAME, "moored-shim");
}
