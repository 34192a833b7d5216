#include "facts/status.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *health_name(enum health_state state)
{
	static const char *const names[] = { "none", "starting", "healthy", "unhealthy" };
	return names[state];
}

static enum health_state health_of(const char *name)
{
	for (int i = HEALTH_NONE; i <= HEALTH_UNHEALTHY; i++)
		if (strcmp(name, health_name((enum health_state)i)) == 0)
			return (enum health_state)i;
	return HEALTH_NONE;
}

const char *status_state(const char *name)
{
	static const char *const states[] = { "created", "running", "restarting", "exited" };
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(name, states[i]) == 0)
			return states[i];
	return NULL;
}

void status_init(struct status *s)
{
	*s = (struct status){ .state = "created" };
	ssize_t n = read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", s->boot_id, sizeof s->boot_id);
	s->boot_id[n > 0 && s->boot_id[n - 1] == '\n' ? n - 1 : 0] = 0;
}

// One fact; as a record's line or as a pair.
struct sink {
	struct text *text;
	bool pairs;
};

static void put_word(const struct sink *to, const char *key, const char *value)
{
	if (to->pairs) {
		text_pair(to->text, key, value);
		return;
	}
	text_add(to->text, "%s ", key);
	text_word(to->text, value, strlen(value));
	text_add(to->text, "\n");
}

static void put_int(const struct sink *to, const char *key, int64_t value)
{
	if (to->pairs)
		text_pair_int(to->text, key, value);
	else
		text_add(to->text, "%s %lld\n", key, (long long)value);
}

static void put_facts(const struct shim *shim, const struct sink *to)
{
	const struct status *s = &shim->status;
	put_word(to, "state", s->state);
	put_int(to, "shim-pid", getpid());
	put_word(to, "shim-version", SHIM_VERSION);
	put_word(to, "contract", CONTRACT);
	put_int(to, "pid", s->pid);
	put_int(to, "pid-start", s->pid_start);
	put_word(to, "boot-id", s->boot_id);
	put_int(to, "run", s->run);
	put_int(to, "restart-count", s->restart_count);
	put_int(to, "started-at", s->started_at);
	put_int(to, "finished-at", s->finished_at);
	put_int(to, "exit-code", s->exit_code);
	put_int(to, "exit-signal", s->exit_signal);
	put_int(to, "oom", s->oom);
	put_word(to, "health", health_name(s->health));
	put_int(to, "health-streak", s->health_streak);
	put_int(to, "journal-seq", (int64_t)shim->journal.seq);
	put_int(to, "pipe-size", s->pipe_size);
	put_int(to, "log-dropped", (int64_t)s->log_dropped);
	put_int(to, "next-restart-at", s->next_restart_at);
	put_word(to, "error", s->error);
	put_int(to, "stopping", s->stopping);
}

void status_save(struct shim *shim)
{
	char buffer[16384];
	struct text t = TEXT_ON(buffer);
	text_add(&t, "moored-status 1.0\n");
	put_facts(shim, &(struct sink){ .text = &t });
	text_add(&t, "end\n");
	(void)record_save(AT_FDCWD, "status", &t); // DIR is a tmpfs; a daemon asks `state` when in doubt
}

void status_pairs(const struct shim *shim, struct text *out)
{
	put_facts(shim, &(struct sink){ .text = out, .pairs = true });
}

void status_exit_record(const struct shim *shim, bool final, struct text *out)
{
	const struct status *s = &shim->status;
	const struct sink to = { .text = out };
	text_add(out, "moored-exit 1.0\n");
	put_int(&to, "run", s->run);
	put_int(&to, "exit-code", s->exit_code);
	put_int(&to, "exit-signal", s->exit_signal);
	put_int(&to, "oom", s->oom);
	put_int(&to, "started-at", s->started_at);
	put_int(&to, "finished-at", s->finished_at);
	put_int(&to, "restart-count", s->restart_count);
	put_int(&to, "final", final);
	text_add(out, "end\n");
}

static bool take_number(const struct field *f, struct old_status *out)
{
	struct status *s = &out->status;
	struct { const char *key; int64_t *where; } known[] = {
		{ "pid-start", &s->pid_start }, { "run", &s->run }, { "restart-count", &s->restart_count },
		{ "started-at", &s->started_at }, { "finished-at", &s->finished_at }, { "health-streak", &s->health_streak },
		{ "journal-seq", &out->journal_seq }, { "pipe-size", &s->pipe_size },
	};
	int64_t number;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(f->key, known[i].key) == 0)
			return parse_i64(f->word[0], known[i].where);
	if (strcmp(f->key, "pid") == 0) {
		if (!parse_i64(f->word[0], &number) || number < 0 || number > INT32_MAX)
			return false;
		s->pid = (pid_t)number;
	}
	return true;
}

int status_parse(struct old_status *out, char *text, size_t len)
{
	struct record record;
	struct field f;
	struct status *s = &out->status;
	*out = (struct old_status){ .status = { .state = "" } };
	int more = record_open(&record, text, len, "status");
	while (more >= 0 && (more = record_next(&record, &f)) > 0) {
		if (f.count == 0 || !take_number(&f, out))
			return -EINVAL;
		if (strcmp(f.key, "state") == 0)
			s->state = f.word[0];
		else if (strcmp(f.key, "boot-id") == 0 && f.len[0] < sizeof s->boot_id)
			memcpy(s->boot_id, f.word[0], f.len[0] + 1);
		else if (strcmp(f.key, "health") == 0)
			s->health = health_of(f.word[0]);
		else if (strcmp(f.key, "stopping") == 0)
			s->stopping = f.word[0][0] == '1';
	}
	return more;
}
