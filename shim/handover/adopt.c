#include "handover/adopt.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

int adopt_read(struct shim *shim, struct old_status *old, struct error *err)
{
	char text[20000];
	ssize_t n = read_file_at(AT_FDCWD, "status", text, sizeof text);
	int failed = n < 0 ? (int)n : status_parse(old, text, (size_t)n);
	if (failed)
		return error_set(err, "system", failed, "status");
	const struct status *s = &old->status;
	if (strcmp(s->state, "running") != 0 || s->pid <= 1)
		return error_set(err, "system", 0, "container is not running");
	old->status.state = "running"; // not in `text` any more
	if (strcmp(s->boot_id, shim->status.boot_id) != 0)
		return error_set(err, "system", 0, "container ran before the last boot");
	// The pidfd first: what is checked afterwards is then about the process that it holds.
	shim->machine.pidfd.fd = pidfd_open(s->pid, 0);
	if (shim->machine.pidfd.fd < 0 || process_start_time(s->pid) != s->pid_start)
		return error_set(err, "system", 0, "container is not running");
	return 0;
}

int adopt_begin(struct shim *shim, const struct old_status *old, struct error *err)
{
	struct status *s = &shim->status;
	char boot_id[sizeof s->boot_id];
	memcpy(boot_id, s->boot_id, sizeof boot_id);
	*s = old->status;
	memcpy(s->boot_id, boot_id, sizeof boot_id);
	journal_resume(shim, (uint64_t)(old->journal_seq > 0 ? old->journal_seq : 0));
	int failed = stdio_adopt(shim, err);
	if (failed)
		return failed;
	machine_adopted(shim);
	status_save(shim);
	return 0;
}
