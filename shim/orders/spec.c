#include "orders/spec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

// How a field's words are taken. `where` is an offset in struct spec.
enum field_type { T_STRING, T_BOOL, T_INT, T_MS, T_LIST, T_SPECIAL };

typedef bool special_field(struct spec *spec, const struct field *field);

static bool take_kind(struct spec *spec, const struct field *f)
{
	spec->kind = strcmp(f->word[0], "exec") == 0 ? KIND_EXEC : KIND_CONTAINER;
	return spec->kind == KIND_EXEC || strcmp(f->word[0], "container") == 0;
}

static bool take_log(struct spec *spec, const struct field *f)
{
	spec->log_json = strcmp(f->word[0], "json-file") == 0;
	return spec->log_json || strcmp(f->word[0], "none") == 0;
}

static bool take_log_mode(struct spec *spec, const struct field *f)
{
	spec->log_non_blocking = strcmp(f->word[0], "non-blocking") == 0;
	return spec->log_non_blocking || strcmp(f->word[0], "blocking") == 0;
}

static bool take_restart(struct spec *spec, const struct field *f)
{
	return restart_policy_name(f->word[0], &spec->policy.kind);
}

static bool take_restart_max(struct spec *spec, const struct field *f)
{
	return parse_i64(f->word[0], &spec->policy.max);
}

static bool take_console_size(struct spec *spec, const struct field *f)
{
	int64_t rows, cols;
	if (f->count < 2 || !parse_i64(f->word[0], &rows) || !parse_i64(f->word[1], &cols))
		return false;
	spec->rows = (uint16_t)rows;
	spec->cols = (uint16_t)cols;
	return rows >= 0 && rows <= UINT16_MAX && cols >= 0 && cols <= UINT16_MAX;
}

static bool take_nofile(struct spec *spec, const struct field *f)
{
	return f->count >= 2 && parse_i64(f->word[0], &spec->nofile_soft) && parse_i64(f->word[1], &spec->nofile_hard) &&
	       spec->nofile_soft >= 0 && spec->nofile_hard >= spec->nofile_soft;
}

static bool take_retries(struct spec *spec, const struct field *f)
{
	int64_t n;
	if (!parse_i64(f->word[0], &n) || n < 0 || n > 1000000)
		return false;
	spec->health.retries = (int)n;
	return true;
}

bool spec_take_port(struct spec *spec, const struct field *f)
{
	int64_t fd, port = 0;
	struct port_spec *p = &spec->port[spec->ports];
	if (f->count < 2 || spec->ports == SPEC_PORTS || !parse_i64(f->word[1], &fd) || fd < 4 || fd > 100000)
		return false;
	if (strcmp(f->word[0], "reserve") == 0)
		p->kind = PORT_RESERVE;
	else if (strcmp(f->word[0], "relay-tcp") == 0)
		p->kind = PORT_RELAY_TCP;
	else if (strcmp(f->word[0], "relay-udp") == 0)
		p->kind = PORT_RELAY_UDP;
	else
		return false;
	if (p->kind != PORT_RESERVE) {
		if (f->count < 4 || !parse_i64(f->word[3], &port) || port < 1 || port > UINT16_MAX)
			return false;
		if (f->len[2] >= sizeof p->address)
			return false;
		memcpy(p->address, f->word[2], f->len[2] + 1);
	}
	p->fd = (int)fd;
	p->port = (uint16_t)port;
	spec->ports++;
	return true;
}

bool hold_name_good(const char *name)
{
	size_t len = strlen(name);
	return len && len <= HOLD_NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool spec_take_hold(struct spec *spec, const struct field *f)
{
	int64_t fd;
	struct hold_spec *h = &spec->hold[spec->holds];
	if (f->count < 2 || spec->holds == SPEC_HOLDS || !parse_i64(f->word[0], &fd) || fd < 4 || fd > 100000)
		return false;
	if (!hold_name_good(f->word[1]))
		return false;
	h->fd = (int)fd;
	memcpy(h->name, f->word[1], strlen(f->word[1]) + 1);
	spec->holds++;
	return true;
}

struct list {
	const char *item[SPEC_LIST];
	size_t count;
};
_Static_assert(offsetof(struct spec, runtime_args) == offsetof(struct spec, runtime_arg) + offsetof(struct list, count), "");
_Static_assert(offsetof(struct spec, keep_links) == offsetof(struct spec, keep_link) + offsetof(struct list, count), "");
_Static_assert(offsetof(struct spec, shim_cgroups) == offsetof(struct spec, shim_cgroup) + offsetof(struct list, count), "");

#define AT(member) .where = offsetof(struct spec, member)

static const struct spec_field {
	const char *key;
	enum field_type type;
	size_t where;
	special_field *special;
} fields[] = {
	{ "kind", T_SPECIAL, .special = take_kind },
	{ "id", T_STRING, AT(id) },
	{ "exec-id", T_STRING, AT(exec_id) },
	{ "runtime", T_STRING, AT(runtime) },
	{ "runtime-root", T_STRING, AT(runtime_root) },
	{ "runtime-arg", T_LIST, AT(runtime_arg) },
	{ "systemd-cgroup", T_BOOL, AT(systemd_cgroup) },
	{ "terminal", T_BOOL, AT(terminal) },
	{ "console-size", T_SPECIAL, .special = take_console_size },
	{ "stdin", T_BOOL, AT(open_stdin) },
	{ "stdin-once", T_BOOL, AT(stdin_once) },
	{ "pipe-size", T_INT, AT(pipe_size) },
	{ "log", T_SPECIAL, .special = take_log },
	{ "log-path", T_STRING, AT(log_path) },
	{ "log-max-size", T_INT, AT(log_max_size) },
	{ "log-max-file", T_INT, AT(log_max_file) },
	{ "log-compress", T_BOOL, AT(log_compress) },
	{ "log-mode", T_SPECIAL, .special = take_log_mode },
	{ "log-buffer", T_INT, AT(log_buffer) },
	{ "log-attrs", T_STRING, AT(log_attrs) },
	{ "exit-path", T_STRING, AT(exit_path) },
	{ "journal-path", T_STRING, AT(journal_path) },
	{ "cgroup-version", T_INT, AT(cgroup_version) },
	{ "cgroup-memory", T_STRING, AT(cgroup_memory) },
	{ "cgroup-procs", T_STRING, AT(cgroup_procs) },
	{ "restart", T_SPECIAL, .special = take_restart },
	{ "restart-max", T_SPECIAL, .special = take_restart_max },
	{ "restart-count", T_INT, AT(restart_count) },
	{ "live-restore", T_BOOL, AT(live_restore) },
	{ "stop-signal", T_INT, AT(stop_signal) },
	{ "stop-timeout-ms", T_INT, AT(stop_timeout_ms) },
	{ "port", T_SPECIAL, .special = spec_take_port },
	{ "hold", T_SPECIAL, .special = spec_take_hold },
	{ "netns", T_STRING, AT(netns) },
	{ "resolver", T_STRING, AT(resolver) },
	{ "keep-link", T_LIST, AT(keep_link) },
	{ "health-process", T_STRING, AT(health.process) },
	{ "health-command", T_STRING, AT(health.command) },
	{ "health-interval-ms", T_MS, AT(health.interval) },
	{ "health-timeout-ms", T_MS, AT(health.timeout) },
	{ "health-start-period-ms", T_MS, AT(health.start_period) },
	{ "health-start-interval-ms", T_MS, AT(health.start_interval) },
	{ "health-retries", T_SPECIAL, .special = take_retries },
	{ "rlimit-nofile", T_SPECIAL, .special = take_nofile },
	{ "shim-cgroup", T_LIST, AT(shim_cgroup) },
};

static bool take(struct spec *spec, const struct spec_field *known, const struct field *f)
{
	void *where = (char *)spec + known->where;
	int64_t number;
	if (f->count == 0)
		return false;
	for (size_t i = 0; i < f->count; i++)
		if (memchr(f->word[i], 0, f->len[i]))
			return false; // a NUL would cut paths and names short
	switch (known->type) {
	case T_STRING:
		*(const char **)where = f->word[0];
		return true;
	case T_BOOL:
		*(bool *)where = f->word[0][0] == '1';
		return f->len[0] == 1 && (f->word[0][0] == '0' || f->word[0][0] == '1');
	case T_INT:
		return parse_i64(f->word[0], where);
	case T_MS:
		if (!parse_i64(f->word[0], &number) || number < 0 || number > INT64_MAX / MS)
			return false;
		*(int64_t *)where = number * MS;
		return true;
	case T_LIST: {
		struct list *list = where;
		if (list->count == SPEC_LIST)
			return false;
		list->item[list->count++] = f->word[0];
		return true;
	}
	case T_SPECIAL:
		return known->special(spec, f);
	}
	return false;
}

static const char *missing_field(const struct spec *spec)
{
	if (!spec->id)
		return "id";
	if (!spec->runtime || spec->runtime[0] != '/')
		return "runtime";
	if (spec->kind == KIND_EXEC && !spec->exec_id)
		return "exec-id";
	if (!spec->exit_path)
		return "exit-path";
	if (spec->kind == KIND_CONTAINER && !spec->journal_path)
		return "journal-path";
	return spec->log_json && !spec->log_path ? "log-path" : NULL;
}

static const char *bad_range(const struct spec *spec)
{
	if (spec->pipe_size < 0 || spec->pipe_size > INT32_MAX)
		return "pipe-size";
	if (spec->log_max_size < 0)
		return "log-max-size";
	if (spec->log_max_file < 1 || spec->log_max_file > 10000)
		return "log-max-file";
	if (spec->log_buffer < 0 || spec->log_buffer > 1 << 30)
		return "log-buffer";
	if (spec->stop_signal < 1 || spec->stop_signal > 64)
		return "stop-signal";
	if (spec->log_attrs && (spec->log_attrs[0] != '{' || strlen(spec->log_attrs) > 32768 || strpbrk(spec->log_attrs, "\n\r")))
		return "log-attrs";
	return NULL;
}

int spec_parse(struct spec *spec, char *text, size_t len, struct error *err)
{
	*spec = (struct spec){
		.text = text, .file = -1, .log_max_file = 1, .log_buffer = 1 << 20, .cgroup_version = 2, .stop_signal = 15,
		.stop_timeout_ms = 10000, .nofile_soft = -1, .nofile_hard = -1,
		.health = { .interval = 30 * SECOND, .timeout = 30 * SECOND, .start_interval = 5 * SECOND, .retries = 3 },
	};
	struct record record;
	struct field field;
	int more = record_open(&record, text, len, "spec");
	const char *bad = more == -EPROTONOSUPPORT ? "version" : "file";
	while (more >= 0 && (more = record_next(&record, &field)) > 0) {
		for (size_t i = 0; i < ARRAY_LEN(fields) && more > 0; i++) {
			if (strcmp(fields[i].key, field.key) != 0)
				continue;
			if (!take(spec, &fields[i], &field)) {
				bad = fields[i].key;
				more = -EINVAL;
			}
		}
	}
	if (more == 0 && ((bad = missing_field(spec)) || (bad = bad_range(spec))))
		more = -EINVAL;
	if (more == 0)
		return 0;
	int failed = error_set(err, "spec", more, "spec: %s", bad);
	free(text);
	spec->text = NULL;
	return failed;
}

int spec_load(struct spec *spec, struct error *err)
{
	char *text = malloc(SPEC_MAX);
	cleanup_fd int file = open("spec", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	ssize_t n = text ? (file < 0 ? -errno : read_text(file, text, SPEC_MAX)) : -ENOMEM;
	if (n < 0) {
		free(text);
		return error_set(err, "spec", (int)n, "spec");
	}
	char *fitting = realloc(text, (size_t)n + 1);
	int failed = spec_parse(spec, fitting ? fitting : text, (size_t)n, err);
	if (failed)
		return failed;
	spec->file = file;
	file = -1;
	return 0;
}

bool spec_keep_links(struct spec *spec, const char *names)
{
	size_t len = strlen(names);
	if (len >= sizeof spec->keep_text)
		return false;
	size_t count = names[0] == 0 ? 0 : 1;
	for (const char *p = names; *p; p++)
		count += *p == ',';
	if (count > SPEC_LIST)
		return false;
	memcpy(spec->keep_text, names, len + 1);
	char *rest = spec->keep_text;
	spec->keep_links = 0;
	for (size_t i = 0; i < count; i++)
		spec->keep_link[spec->keep_links++] = strsep(&rest, ",");
	return true;
}
