#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_MAX 4097

static size_t put_utf8(char *out, unsigned rune)
{
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}
	if (rune < 0x800) {
		out[0] = (char)(0xc0 | rune >> 6);
		out[1] = (char)(0x80 | (rune & 63));
		return 2;
	}
	out[0] = (char)(0xe0 | rune >> 12);
	out[1] = (char)(0x80 | (rune >> 6 & 63));
	out[2] = (char)(0x80 | (rune & 63));
	return 3;
}

static unsigned hex4(const char *at)
{
	unsigned value = 0;
	for (int i = 0; i < 4; i++) {
		char c = at[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a') + 10 : 64;
		if (digit > 15)
			return 0xfffd;
		value = value << 4 | digit;
	}
	return value;
}

// The JSON string that starts after its opening quote; undecodable parts stand as they are.
static void json_string(const char *at, const char *end, char *out, size_t cap)
{
	size_t len = 0;
	while (at < end && *at != '"' && len + 4 < cap) {
		if (*at != '\\' || at + 1 >= end) {
			out[len++] = *at++;
			continue;
		}
		char c = at[1];
		at += 2;
		if (c == 'u' && end - at >= 4) {
			len += put_utf8(out + len, hex4(at));
			at += 4;
		} else {
			out[len++] = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
		}
	}
	out[len] = 0;
}

bool runtime_log_error(const char *log, size_t len, char *out, size_t cap)
{
	static const char level[] = "\"level\":\"error\"", msg[] = "\"msg\":\"";
	const char *end = log + len, *found = NULL, *found_end = NULL;
	for (const char *line = log; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		stop = stop ? stop : end;
		if (memmem(line, (size_t)(stop - line), level, sizeof level - 1)) {
			const char *text = memmem(line, (size_t)(stop - line), msg, sizeof msg - 1);
			found = text ? text + sizeof msg - 1 : found;
			found_end = text ? stop : found_end;
		}
		line = stop + 1;
	}
	if (!found)
		return false;
	json_string(found, found_end, out, cap);
	return true;
}

int runtime_exit_code(const char *message, int otherwise)
{
	static const struct { const char *text; int code; } known[] = {
		{ "executable file not found", 127 },
		{ "no such file or directory", 127 },
		{ "not a directory", 127 },
		{ "permission denied", 126 },
		{ "is a directory", 126 },
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasestr(message, known[i].text))
			return known[i].code;
	return otherwise;
}

static void describe(const struct op *op, int status, struct error *err)
{
	char path[64], tail[TAIL_MAX];
	err->kind = "runtime";
	snprintf(path, sizeof path, "%s.log", op->name);
	ssize_t n = read_tail_at(AT_FDCWD, path, tail, sizeof tail);
	if (op->timed_out) {
		snprintf(err->message, sizeof err->message, "the runtime did not answer in time");
		return;
	}
	if (n > 0 && runtime_log_error(tail, (size_t)n, err->message, sizeof err->message))
		return;
	size_t len = 0;
	if (n > 0)
		len = (size_t)snprintf(err->message, sizeof err->message, "%s", tail);
	snprintf(path, sizeof path, "%s.err", op->name);
	n = read_tail_at(AT_FDCWD, path, tail, len < TAIL_MAX ? sizeof tail - len : 1);
	if (n > 0)
		len += (size_t)snprintf(err->message + len, sizeof err->message - len, "%s", tail);
	if (len == 0)
		snprintf(err->message, sizeof err->message, "the runtime ended with %s %d", WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void op_exited(struct child *child, int status)
{
	struct op *op = container_of(child, struct op, child);
	struct error err = { 0 };
	timer_stop(&op->shim->loop, &op->limit);
	op->busy = false;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!good)
		describe(op, status, &err);
	op->done(op, good ? NULL : &err);
}

static void op_expired(struct timer *timer)
{
	struct op *op = container_of(timer, struct op, limit);
	op->timed_out = true;
	kill(op->child.pid, SIGKILL); // not reaped yet, so the pid is still its own
}

static int fresh_file(const char *name, const char *suffix)
{
	char path[64];
	snprintf(path, sizeof path, "%s.%s", name, suffix);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void op_start(struct op *op, const struct op_order *order)
{
	const struct spec *spec = &op->shim->spec;
	const char *argv[SPEC_LIST + 24];
	size_t n = 0;
	char log[64];
	snprintf(log, sizeof log, "%s.log", op->name);
	argv[n++] = spec->runtime;
	if (spec->runtime_root) {
		argv[n++] = "--root";
		argv[n++] = spec->runtime_root;
	}
	if (spec->systemd_cgroup)
		argv[n++] = "--systemd-cgroup";
	for (size_t i = 0; i < spec->runtime_args; i++)
		argv[n++] = spec->runtime_arg[i];
	argv[n++] = "--log";
	argv[n++] = log;
	argv[n++] = "--log-format";
	argv[n++] = "json";
	argv[n++] = order->verb;
	for (size_t i = 0; order->args && order->args[i]; i++)
		argv[n++] = order->args[i];
	argv[n++] = spec->id;
	argv[n] = NULL;

	cleanup_fd int log_fd = fresh_file(op->name, "log"); // made by us, so that nothing older is read
	cleanup_fd int err_fd = fresh_file(op->name, "err");
	(void)log_fd;
	struct spawn spawn = { .argv = argv, .in = order->in, .out = order->out, .err = order->err >= 0 ? order->err : err_fd };
	op->child.exited = op_exited;
	op->timed_out = false;
	op->busy = true;
	int failed = child_spawn(&op->shim->children, &op->child, &spawn);
	if (failed) {
		struct error err;
		op->busy = false;
		error_set(&err, "system", failed, "fork");
		op->done(op, &err);
		return;
	}
	op->limit.fire = op_expired;
	timer_set(&op->shim->loop, &op->limit, order->timeout);
}
