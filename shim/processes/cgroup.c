#include "processes/cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 16

int64_t cgroup_oom_kills(const struct spec *spec)
{
	char path[4096], text[4096];
	if (!spec->cgroup_memory)
		return 0;
	snprintf(path, sizeof path, "%s/%s", spec->cgroup_memory, spec->cgroup_version == 1 ? "memory.oom_control" : "memory.events");
	if (read_file_at(AT_FDCWD, path, text, sizeof text) < 0)
		return 0;
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, "oom_kill ", 9) == 0)
			return strtoll(line + 9, NULL, 10);
	return 0;
}

static bool processes(int dir, bool kill_them)
{
	char text[8192];
	ssize_t n = read_file_at(dir, "cgroup.procs", text, sizeof text);
	if (n == -EFBIG)
		text[sizeof text - 1] = 0;
	else if (n <= 0)
		return false;
	for (char *at = text; kill_them && *at;) {
		char *end;
		long pid = strtol(at, &end, 10);
		if (end == at || *end != '\n')
			break; // the last of a full buffer may be cut
		if (pid > 1 && pid != getpid())
			(void)kill((pid_t)pid, SIGKILL);
		at = end + 1;
	}
	return true;
}

static bool sweep(int dir, bool kill_them, int depth)
{
	bool any = processes(dir, kill_them);
	if ((any && !kill_them) || depth == DEPTH_MAX)
		return any;
	int again = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	DIR *list = again < 0 ? NULL : fdopendir(again);
	if (!list) {
		close_fd(&again);
		return any;
	}
	for (struct dirent *entry; (entry = readdir(list));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		cleanup_fd int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (below >= 0 && sweep(below, kill_them, depth + 1))
			any = true;
	}
	closedir(list);
	return any;
}

bool cgroup_populated(const struct spec *spec, bool kill_them)
{
	if (!spec->cgroup_procs)
		return false;
	cleanup_fd int dir = open(spec->cgroup_procs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 && sweep(dir, kill_them, 0);
}

void cgroup_join(const struct spec *spec)
{
	char path[4096], pid[16];
	int len = snprintf(pid, sizeof pid, "%d", (int)getpid());
	for (size_t i = 0; i < spec->shim_cgroups; i++) {
		snprintf(path, sizeof path, "%s/cgroup.procs", spec->shim_cgroup[i]);
		cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			(void)!write(fd, pid, (size_t)len); // without it the shim runs in its parent's, which is no reason to give up
	}
}
