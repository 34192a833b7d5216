#include "handover/adopt.h"
#include "handover/resume.h"
#include "processes/cgroup.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PATIENCE (2 * SECOND)

static struct shim shim;

static bool is_named(const struct spec *spec, int fd)
{
	for (size_t i = 0; i < spec->ports; i++)
		if (spec->port[i].fd == fd)
			return true;
	for (size_t i = 0; i < spec->holds; i++)
		if (spec->hold[i].fd == fd)
			return true;
	return fd == shim.ready.fd || fd == spec->file;
}

// Everything that was inherited and is not in the contract.
static void close_inherited(const struct spec *spec)
{
	int highest = spec->file > READY_FD ? spec->file : READY_FD;
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

// Two shims in one directory would answer for the same container. One that is just leaving is waited for.
static int lock_directory(void)
{
	const struct timespec pause = { .tv_nsec = 5 * MS };
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int64_t until = now_mono() + LOCK_PATIENCE; fd >= 0;) {
		shim.lock = fd;
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
	shim_init(&shim);
	if (fcntl(READY_FD, F_GETFD) >= 0)
		shim.ready.fd = READY_FD;
	if (chdir(dir) < 0)
		return error_set(err, "system", -errno, "%s", dir);
	int failed = spec_load(&shim.spec, err);
	if (failed)
		return failed;
	close_inherited(&shim.spec);
	shim_process();
	cgroup_join(&shim.spec);
	set_limits();
	shim.status.restart_count = shim.spec.restart_count;
	if ((failed = lock_directory()) < 0)
		return error_set(err, "system", failed, "another shim holds %s", dir);
	failed = shim_loop(&shim);
	return failed ? error_set(err, "system", failed, "event loop") : 0;
}

static int open_all(bool fresh, struct error *err)
{
	int failed = writer_start(&shim.writer, &shim.spec, fresh, err);
	if (!failed && (failed = shim_watch_writer(&shim)) < 0)
		(void)error_set(err, "system", failed, "writer");
	if (!failed)
		failed = stdio_init(&shim, err);
	if (!failed)
		failed = control_listen(&shim, err);
	if (!failed)
		failed = holds_check(&shim, err);
	if (!failed)
		reviver_start(&shim);
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
	reviver_stop(&shim);
	control_close(&shim);
	if (!adopting) {
		stdio_close(&shim);
		stdio_remove(&shim);
	}
	static const char *const files[] = { "pid", "runtime.log", "runtime.err", "probe.log", "probe.err", "probe.pid", "resume.log", "resume.err" };
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(files[i]);
}

// Goes on with what another binary of ours had, in the same process.
static int resume(char **argv)
{
	int64_t state = -1, back = -1;
	const char *refused = NULL;
	struct error err = { .kind = "system" };
	for (char **arg = argv + 3; arg[0] && arg[1]; arg += 2) {
		if (strcmp(arg[0], "--state") == 0)
			(void)parse_i64(arg[1], &state);
		else if (strcmp(arg[0], "--back") == 0)
			(void)parse_i64(arg[1], &back);
		else if (strcmp(arg[0], "--refused") == 0)
			refused = arg[1];
	}
	shim_process();
	if (resume_take(&shim, (int)state, &err) < 0) {
		resume_back(&shim, argv, (int)state, (int)back, err.message);
		return -1;
	}
	close((int)state);
	close((int)back);
	resume_begin(&shim, refused);
	return 0;
}

static int first(char **argv)
{
	struct error err = { .kind = "system" };
	if (prepare(argv[2], &err) < 0) {
		shim_ready(&shim, &err);
		return -1;
	}
	if (begin(argv[1], &err) < 0) {
		shim_ready(&shim, &err);
		clean_up(strcmp(argv[1], "adopt") == 0);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("moored-shim %s contract %s\n", SHIM_VERSION, CONTRACT) < 0;
	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return resume_check(&shim);
	bool known = argc >= 3 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "exec") == 0 || strcmp(argv[1], "adopt") == 0);
	bool handed = known && argc >= 5 && strcmp(argv[3], "--state") == 0;
	if (!known || (argc != 3 && !handed)) {
		fprintf(stderr, "usage: moored-shim run|exec|adopt DIR\n       moored-shim --version\n");
		return 100;
	}
	if ((handed ? resume(argv) : first(argv)) < 0)
		return 111;
	while (!shim.leaving)
		loop_step(&shim.loop);
	clean_up(false);
	if (writer_reached(&shim.writer, writer_mark(&shim.writer)))
		writer_stop(&shim.writer);
	_exit(0); // a thread that hangs in the data root must not keep us
}
