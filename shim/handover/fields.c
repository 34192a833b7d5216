// The single values of a shim that go along: one table for giving and for taking.
#include "handover/state.h"
#include "shim.h"
#include <stdlib.h>
#include <string.h>

// How a member lies in struct shim.
enum type { T_BOOL, T_INT, T_I64, T_U16, T_FD, T_TIMER, T_CHILD, T_TEXT };

struct member {
	const char *key;
	enum type type;
	size_t at, size;
};

#define MEMBER(key, type, member) { key, type, offsetof(struct shim, member), sizeof(((struct shim *)0)->member) }

static const struct member members[] = {
	MEMBER("lock", T_FD, lock),
	MEMBER("spec-file", T_FD, spec.file),
	MEMBER("nofile-soft", T_I64, children.nofile.rlim_cur),
	MEMBER("nofile-hard", T_I64, children.nofile.rlim_max),
	// Orders that may have changed.
	MEMBER("restart", T_INT, spec.policy.kind),
	MEMBER("restart-max", T_I64, spec.policy.max),
	MEMBER("live-restore", T_BOOL, spec.live_restore),
	MEMBER("stop-signal", T_I64, spec.stop_signal),
	MEMBER("stop-timeout-ms", T_I64, spec.stop_timeout_ms),
	// States.
	MEMBER("state", T_INT, machine.state),
	MEMBER("init", T_CHILD, machine.init),
	MEMBER("pidfd", T_FD, machine.pidfd.fd),
	MEMBER("kill-due", T_TIMER, machine.kill_timer),
	MEMBER("restart-due", T_TIMER, machine.restart_timer),
	MEMBER("abandon-due", T_TIMER, machine.abandon_timer),
	MEMBER("delay", T_I64, machine.delay),
	MEMBER("run-began", T_I64, machine.run_began),
	MEMBER("adopted", T_BOOL, machine.adopted),
	MEMBER("host-down", T_BOOL, machine.host_down),
	MEMBER("current-signal", T_INT, machine.stop_signal),
	MEMBER("current-timeout-ms", T_I64, machine.stop_timeout_ms),
	// Facts.
	MEMBER("pid", T_INT, status.pid),
	MEMBER("pid-start", T_I64, status.pid_start),
	MEMBER("run", T_I64, status.run),
	MEMBER("restart-count", T_I64, status.restart_count),
	MEMBER("started-at", T_I64, status.started_at),
	MEMBER("finished-at", T_I64, status.finished_at),
	MEMBER("exit-code", T_INT, status.exit_code),
	MEMBER("exit-signal", T_INT, status.exit_signal),
	MEMBER("oom", T_BOOL, status.oom),
	MEMBER("health", T_INT, status.health),
	MEMBER("health-streak", T_I64, status.health_streak),
	MEMBER("pipe-size", T_I64, status.pipe_size),
	MEMBER("log-dropped", T_I64, status.log_dropped),
	MEMBER("next-restart-at", T_I64, status.next_restart_at),
	MEMBER("stopping", T_BOOL, status.stopping),
	MEMBER("error", T_TEXT, status.error),
	MEMBER("journal-seq", T_I64, journal.seq),
	MEMBER("journal-first", T_I64, journal.first),
	// Streams.
	MEMBER("stdout", T_FD, stdio.out[0].source.fd),
	MEMBER("stderr", T_FD, stdio.out[1].source.fd),
	MEMBER("stdout-mid-line", T_BOOL, stdio.out[0].mid_line),
	MEMBER("stderr-mid-line", T_BOOL, stdio.out[1].mid_line),
	MEMBER("stdout-broken", T_BOOL, stdio.out[0].broken),
	MEMBER("stderr-broken", T_BOOL, stdio.out[1].broken),
	MEMBER("stdout-skipping", T_BOOL, stdio.out[0].skipping),
	MEMBER("stderr-skipping", T_BOOL, stdio.out[1].skipping),
	MEMBER("stdin", T_FD, stdio.in.fd),
	MEMBER("stdin-closing", T_BOOL, stdio.in_closing),
	MEMBER("console", T_FD, stdio.console.fd),
	MEMBER("rows", T_U16, stdio.rows),
	MEMBER("cols", T_U16, stdio.cols),
	// The log, and who else writes to the data root.
	MEMBER("log-folder", T_FD, writer.log.place.dir),
	MEMBER("log-file", T_FD, writer.log.fd),
	MEMBER("log-size", T_I64, writer.log.size),
	MEMBER("log-lost", T_I64, writer.lost),
	MEMBER("log-owed", T_I64, writer.log.dropped),
	MEMBER("log-dropped-total", T_I64, writer.log.dropped_total),
	MEMBER("log-noted", T_I64, writer.log.noted),
	MEMBER("log-told", T_I64, noted),
	MEMBER("log-reason", T_TEXT, writer.log.reason),
	MEMBER("stdout-partial", T_BOOL, writer.line[0].partial),
	MEMBER("stderr-partial", T_BOOL, writer.line[1].partial),
	MEMBER("compress-wanted", T_BOOL, writer.compress_wanted),
	MEMBER("compressing", T_BOOL, writer.compressing),
	MEMBER("compressor", T_CHILD, compressor),
	MEMBER("journal-folder", T_FD, writer.journal.dir),
	MEMBER("journal-file", T_FD, writer.journal_fd),
	MEMBER("journal-size", T_I64, writer.journal_size),
	MEMBER("exit-file", T_FD, writer.exit_fd),
	// Services.
	MEMBER("listener", T_FD, control.listener.fd),
	MEMBER("oom-events", T_FD, oom.events.fd),
	MEMBER("oom-told", T_I64, oom.told),
	MEMBER("probing", T_BOOL, health.active),
	MEMBER("probe-busy", T_BOOL, health.busy),
	MEMBER("probe-due", T_BOOL, health.due),
	MEMBER("probe-cancelled", T_BOOL, health.cancelled),
	MEMBER("probe-timed-out", T_BOOL, health.timed_out),
	MEMBER("probe-cut", T_BOOL, health.cut),
	MEMBER("probe-process", T_CHILD, health.process),
	MEMBER("probe-pid", T_INT, health.pid),
	MEMBER("probe-id", T_TEXT, health.exec_id),
	MEMBER("probe-output", T_FD, health.output.fd),
	MEMBER("probe-start", T_I64, health.now.start),
	MEMBER("probe-next-due", T_TIMER, health.next),
	MEMBER("probe-limit-due", T_TIMER, health.limit),
	MEMBER("probe-since", T_I64, health.started),
};

static const void *at(const struct shim *shim, const struct member *m)
{
	return (const char *)shim + m->at;
}

static int64_t number_of(const struct member *m, const void *from)
{
	const struct timer *timer = from;
	switch (m->type) {
	case T_BOOL:
		return *(const bool *)from;
	case T_INT:
	case T_FD:
		return *(const int *)from;
	case T_U16:
		return *(const uint16_t *)from;
	case T_TIMER:
		return timer->armed ? timer->due : 0;
	case T_CHILD:
		return ((const struct child *)from)->pid;
	default:
		return *(const int64_t *)from;
	}
}

void fields_give(struct giving *g, const struct shim *shim)
{
	text_add(&g->text, "state-name %s\n", shim->status.state);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct member *m = &members[i];
		const void *from = at(shim, m);
		if (m->type == T_FD)
			give_fd(g, *(const int *)from);
		text_add(&g->text, "%s ", m->key);
		if (m->type == T_TEXT)
			text_word(&g->text, from, strlen(from));
		else
			text_add(&g->text, "%lld", (long long)number_of(m, from));
		text_add(&g->text, "\n");
	}
}

static bool take(const struct member *m, const struct field *f, void *to)
{
	static const struct { int64_t low, high; } range[] = {
		[T_BOOL] = { 0, 1 }, [T_INT] = { INT32_MIN, INT32_MAX }, [T_I64] = { INT64_MIN, INT64_MAX }, [T_U16] = { 0, UINT16_MAX },
		[T_FD] = { -1, INT32_MAX }, [T_TIMER] = { 0, INT64_MAX }, [T_CHILD] = { 0, INT32_MAX },
	};
	int64_t n;
	if (m->type == T_TEXT) {
		bool good = f->count > 0 && f->len[0] < m->size && !memchr(f->word[0], 0, f->len[0]);
		if (good)
			memcpy(to, f->word[0], f->len[0] + 1);
		return good;
	}
	if (!taken_int(f, 0, range[m->type].low, range[m->type].high, &n))
		return false;
	switch (m->type) {
	case T_BOOL:
		*(bool *)to = n;
		break;
	case T_INT:
	case T_FD:
		*(int *)to = (int)n;
		break;
	case T_U16:
		*(uint16_t *)to = (uint16_t)n;
		break;
	case T_TIMER:
		((struct timer *)to)->due = n; // armed when everything else is there
		break;
	case T_CHILD:
		((struct child *)to)->pid = (pid_t)n;
		break;
	default:
		*(int64_t *)to = n;
	}
	return true;
}

bool field_take(struct taking *t, const struct field *f, bool *known)
{
	struct shim *shim = t->shim;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strcmp(members[i].key, f->key) == 0) {
			*known = true;
			return take(&members[i], f, (char *)shim + members[i].at);
		}
	}
	if (strcmp(f->key, "state-name") != 0)
		return true;
	*known = true;
	shim->status.state = f->count ? status_state(f->word[0]) : NULL;
	return shim->status.state != NULL;
}

// What later code takes for granted.
bool fields_good(const struct shim *shim)
{
	const struct machine *m = &shim->machine;
	const struct health *h = &shim->health;
	bool state = m->state == S_CREATED || m->state == S_RUNNING || m->state == S_WAITING;
	bool orders = shim->spec.policy.kind <= RESTART_ON_FAILURE && shim->spec.stop_signal >= 1 && shim->spec.stop_signal <= 64;
	bool process = shim->status.pid >= 0 && (m->state != S_RUNNING || (shim->status.pid > 1 && (m->adopted || m->init.pid > 1)));
	bool probe = h->pid >= 0 && (!h->pid || h->pid == h->process.pid) && (!h->busy || h->process.pid > 1);
	bool files = shim->lock >= 0 && shim->spec.file >= 0 && shim->control.listener.fd >= 0;
	return state && orders && process && probe && files && shim->status.health <= HEALTH_UNHEALTHY && shim->writer.log.size >= 0 &&
	       m->stop_signal >= 0 && m->stop_signal <= 64;
}

void fields_open(const struct shim *shim, void (*each)(int fd, void *context), void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (members[i].type == T_FD && *(const int *)at(shim, &members[i]) >= 0)
			each(*(const int *)at(shim, &members[i]), context);
}

void fields_resume(struct shim *shim)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		void *to = (char *)shim + members[i].at;
		struct timer *timer = to;
		struct child *child = to;
		if (members[i].type == T_TIMER && timer->due)
			timer_at(&shim->loop, timer, timer->due);
		if (members[i].type == T_CHILD && child->pid)
			child_watch(&shim->children, child, child->pid);
	}
}
