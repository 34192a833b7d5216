#include "processes/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_stdio(const struct spawn *spawn)
{
	int wanted[3] = { spawn->in, spawn->out, spawn->err };
	// First out of the way of 0..2, so that no dup2 overwrites a descriptor that is still needed.
	for (int i = 0; i < 3; i++) {
		if (wanted[i] < 0)
			wanted[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		wanted[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 10);
	}
	for (int i = 0; i < 3; i++)
		dup2(wanted[i], i);
}

static void restore_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &action, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void in_child(const struct children *children, const struct spawn *spawn)
{
	set_stdio(spawn);
	restore_signals();
	close_range(3, ~0U, 0);
	if (spawn->work)
		_exit(spawn->work(spawn->context));
	(void)setrlimit(RLIMIT_NOFILE, &children->nofile);
	execv(spawn->argv[0], (char *const *)spawn->argv);
	dprintf(2, "exec %s: %s\n", spawn->argv[0], strerror(errno));
	_exit(127);
}

static struct child *take(struct children *children, pid_t pid)
{
	for (struct child **at = &children->list; *at; at = &(*at)->next) {
		if ((*at)->pid == pid) {
			struct child *child = *at;
			*at = child->next;
			child->pid = 0;
			return child;
		}
	}
	return NULL;
}

void child_watch(struct children *children, struct child *child, pid_t pid)
{
	child->pid = pid;
	child->next = children->list;
	children->list = child;
}

int child_spawn(struct children *children, struct child *child, const struct spawn *spawn)
{
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		in_child(children, spawn);
	child_watch(children, child, pid);
	return 0;
}

bool child_claim(struct children *children, struct child *child, pid_t pid, int *status)
{
	if (child->pid)
		(void)take(children, child->pid); // an earlier process that has not been reaped yet
	for (size_t i = 0; i < UNCLAIMED_MAX; i++) {
		if (children->unclaimed[i].pid == pid) {
			*status = children->unclaimed[i].status;
			children->unclaimed[i].pid = 0;
			return true;
		}
	}
	child_watch(children, child, pid);
	return false;
}

void children_forget(struct children *children)
{
	for (size_t i = 0; i < UNCLAIMED_MAX; i++)
		children->unclaimed[i].pid = 0;
}

void children_reap(struct children *children)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = take(children, pid);
		if (child) {
			child->exited(child, status);
			continue;
		}
		size_t at = children->unclaimed_next++ % UNCLAIMED_MAX;
		children->unclaimed[at].pid = pid;
		children->unclaimed[at].status = status;
	}
}
