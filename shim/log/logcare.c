#include "log/logcare.h"
#include "shim.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// Names in the log's folder, which is descriptor 0 of the child.
struct compression {
	char plain[PATH_MAX], temporary[PATH_MAX], packed[PATH_MAX];
};

// In the child: gzip into a temporary name, so that <x>.1.gz is whole or not there.
static int compress(void *context)
{
	const struct compression *c = context;
	static const char *const argv[] = { "/usr/bin/gzip", "-c", NULL };
	int in = openat(0, c->plain, O_RDONLY | O_CLOEXEC), out = openat(0, c->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (in < 0 || out < 0)
		return 1;
	(void)setpriority(PRIO_PROCESS, 0, 19);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		(void)unlinkat(0, c->temporary, 0);
		return 1;
	}
	return renameat(0, c->temporary, 0, c->packed) == 0 && unlinkat(0, c->plain, 0) == 0 ? 0 : 1;
}

static void compressed(struct child *child, int status)
{
	(void)status; // a file that could not be compressed stays as it is
	writer_compressed(&container_of(child, struct shim, compressor)->writer);
}

void compress_init(struct shim *shim)
{
	shim->compressor.exited = compressed;
}

void compress_check(struct shim *shim)
{
	struct writer *w = &shim->writer;
	pthread_mutex_lock(&w->lock);
	bool wanted = w->compress_wanted;
	w->compress_wanted = false;
	pthread_mutex_unlock(&w->lock);
	if (!wanted)
		return;
	static struct compression names;
	snprintf(names.plain, sizeof names.plain, "%s.1", w->log.place.name);
	snprintf(names.temporary, sizeof names.temporary, "%s.1.gz.new", w->log.place.name);
	snprintf(names.packed, sizeof names.packed, "%s.1.gz", w->log.place.name);
	struct spawn spawn = { .work = compress, .context = &names, .in = w->log.place.dir, .out = -1, .err = -1 };
	if (shim->compressor.pid || child_spawn(&shim->children, &shim->compressor, &spawn) < 0)
		writer_compressed(w);
}

void log_loss_check(struct shim *shim)
{
	struct writer *w = &shim->writer;
	char buffer[64];
	pthread_mutex_lock(&w->lock);
	uint64_t dropped = w->log_dropped, noted = w->log_noted;
	pthread_mutex_unlock(&w->lock);
	if (dropped != shim->status.log_dropped) {
		shim->status.log_dropped = dropped;
		status_save(shim);
	}
	if (noted != shim->noted) {
		struct text t = TEXT_ON(buffer);
		text_pair_int(&t, "count", (int64_t)(noted - shim->noted));
		shim->noted = noted;
		journal_add(shim, "log-dropped", &t);
	}
}
