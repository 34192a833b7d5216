#include "handover/resume.h"
#include "handover/state.h"
#include "services/probe.h"
#include "shim.h"
#include "streams/console.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Reads the state into the shim; nothing is opened, started or changed.
static int read_state(struct shim *shim, int fd, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size < STATE_TEXT || st.st_size > STATE_TEXT + STATE_BYTES)
		return error_set(err, "upgrade", -EINVAL, "handover: size of the state");
	char *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0); // words are decoded in place
	if (map == MAP_FAILED)
		return error_set(err, "upgrade", -errno, "handover: the state");
	int failed = state_take(shim, map, STATE_TEXT, map + STATE_TEXT, (size_t)st.st_size - STATE_TEXT, err);
	munmap(map, (size_t)st.st_size);
	return failed;
}

int resume_check(struct shim *shim)
{
	struct error err;
	shim_init(shim);
	if (read_state(shim, STDIN_FILENO, &err) < 0) {
		printf("err %s\n", err.message);
		return 1;
	}
	printf("ok moored-shim %s contract %s\n", SHIM_VERSION, CONTRACT);
	return 0;
}

static void look_open(int fd, void *missing)
{
	if (fcntl(fd, F_GETFD) < 0)
		*(int *)missing = fd;
}

int resume_take(struct shim *shim, int state, struct error *err)
{
	int missing = -1;
	shim_init(shim);
	int failed = read_state(shim, state, err);
	if (failed)
		return failed;
	fields_open(shim, look_open, &missing);
	parts_open(shim, look_open, &missing);
	if (missing >= 0)
		return error_set(err, "upgrade", -EBADF, "handover: descriptor %d", missing);
	failed = shim_loop(shim);
	if (!failed)
		failed = control_watch(shim);
	if (!failed)
		failed = console_watch(shim);
	if (failed)
		return error_set(err, "upgrade", failed, "event loop");
	shim->writer.log_dropped = shim->writer.log.dropped_total;
	shim->writer.log_noted = shim->writer.log.noted;
	failed = writer_resume(&shim->writer, err);
	return failed ? failed : shim_watch_writer(shim) < 0 ? error_set(err, "upgrade", -errno, "writer") : 0;
}

static void keep_from_children(int fd, void *context)
{
	(void)context;
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void answer(struct shim *shim, const char *refused)
{
	struct conn *asker = shim->upgrade.asker;
	char buffer[256];
	struct text t = TEXT_ON(buffer);
	shim->upgrade.asker = NULL;
	if (!asker)
		return;
	text_pair(&t, "contract", CONTRACT);
	text_pair(&t, "version", SHIM_VERSION);
	text_pair_int(&t, "pid", getpid());
	if (refused)
		control_error(asker, "upgrade", refused);
	else
		control_ok(asker, &t);
	requests_run(asker);
}

void resume_begin(struct shim *shim, const char *refused)
{
	fields_open(shim, keep_from_children, NULL);
	parts_open(shim, keep_from_children, NULL);
	fields_resume(shim);
	oom_watch(shim);
	if (shim->machine.adopted && shim->machine.pidfd.fd >= 0)
		(void)loop_set(&shim->loop, &shim->machine.pidfd, EPOLLIN); // nobody's child: this alone tells
	health_reread(shim);
	probe_resume(shim);
	(void)ports_resume(shim);
	reviver_start(shim);
	stdin_resume(shim);
	stdio_watch(shim);
	compress_check(shim);
	status_save(shim);
	answer(shim, refused);
	control_resume(shim);
	children_reap(&shim->children); // who ended between the two
}

void resume_back(struct shim *shim, char *const *argv, int state, int back, const char *why)
{
	char exe[64], state_text[32];
	(void)shim;
	snprintf(exe, sizeof exe, "/proc/self/fd/%d", back);
	snprintf(state_text, sizeof state_text, "%d", state);
	char *again[] = { argv[0], argv[1], argv[2], "--state", state_text, "--refused", (char *)(uintptr_t)why, NULL };
	if (back >= 0)
		execv(exe, again);
}
