// The verbs of shim.sock.
#include "shim.h"
#include "orders/watch.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef void verb(struct conn *conn, const struct pairs *pairs);

// An integer of a request; answers the error itself when it is missing or out of range.
static bool number(struct conn *c, const struct pairs *pairs, const char *key, int64_t low, int64_t high, int64_t *out)
{
	char message[128];
	if (pairs_get(pairs, key) && pairs_int(pairs, key, out) && *out >= low && *out <= high)
		return true;
	snprintf(message, sizeof message, "invalid or missing %s", key);
	control_error(c, "request", message);
	return false;
}

static bool flag(const struct pairs *pairs, const char *key)
{
	const char *value = pairs_get(pairs, key);
	return value && strcmp(value, "1") == 0;
}

static void verb_hello(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	char buffer[128];
	struct text t = TEXT_ON(buffer);
	text_pair(&t, "contract", CONTRACT);
	text_pair(&t, "version", SHIM_VERSION);
	text_pair_int(&t, "pid", getpid());
	control_ok(c, &t);
}

static void verb_start(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	machine_request_start(c->shim, c);
}

// Names the journal's line that tells what was done, if one does.
static void ok_told(struct conn *c, uint64_t before)
{
	uint64_t seq = c->shim->journal.seq;
	char buffer[64];
	struct text t = TEXT_ON(buffer);
	if (seq > before)
		text_pair_int(&t, "seq", (int64_t)seq);
	control_ok(c, seq > before ? &t : NULL);
}

static void verb_signal(struct conn *c, const struct pairs *pairs)
{
	int64_t sig;
	if (!number(c, pairs, "signal", 0, 64, &sig))
		return;
	uint64_t before = c->shim->journal.seq;
	int failed = machine_signal(c->shim, (int)sig);
	if (failed == -ESRCH)
		control_error(c, "not-running", "container is not running");
	else if (failed)
		control_error(c, "system", strerror(-failed));
	else
		ok_told(c, before);
}

static void verb_stop(struct conn *c, const struct pairs *pairs)
{
	int64_t sig, timeout;
	if (!number(c, pairs, "signal", 0, 64, &sig) || !number(c, pairs, "timeout-ms", -1, INT64_MAX / MS, &timeout))
		return;
	uint64_t before = c->shim->journal.seq;
	machine_request_stop(c->shim, (int)sig, timeout);
	ok_told(c, before);
}

static void verb_policy(struct conn *c, const struct pairs *pairs)
{
	struct spec *spec = &c->shim->spec;
	struct restart_policy policy = spec->policy;
	int64_t live = spec->live_restore, sig = spec->stop_signal, timeout = spec->stop_timeout_ms;
	const char *name = pairs_get(pairs, "restart");
	bool good = !name || restart_policy_name(name, &policy.kind);
	good = pairs_int(pairs, "restart-max", &policy.max) && pairs_int(pairs, "live-restore", &live) && good;
	good = pairs_int(pairs, "stop-signal", &sig) && pairs_int(pairs, "stop-timeout-ms", &timeout) && good;
	if (!good || sig < 1 || sig > 64 || live < 0 || live > 1) {
		control_error(c, "request", "invalid policy");
		return;
	}
	const char *links = pairs_get(pairs, "keep-links");
	if (links && !spec_keep_links(spec, links)) {
		control_error(c, "request", "too many links");
		return;
	}
	spec->policy = policy;
	spec->live_restore = live;
	spec->stop_signal = sig;
	spec->stop_timeout_ms = timeout;
	control_ok(c, NULL);
	machine_watch_changed(c->shim); // a restart that waited may be due now
}

static void verb_resize(struct conn *c, const struct pairs *pairs)
{
	int64_t rows, cols;
	if (!number(c, pairs, "rows", 0, UINT16_MAX, &rows) || !number(c, pairs, "cols", 0, UINT16_MAX, &cols))
		return;
	int failed = stdio_resize(c->shim, (uint16_t)rows, (uint16_t)cols);
	if (failed == -ENOTTY)
		control_error(c, "no-terminal", "container has no terminal");
	else if (failed)
		control_error(c, "system", strerror(-failed));
	else
		control_ok(c, NULL);
}

static void verb_attach(struct conn *c, const struct pairs *pairs)
{
	c->wants[STREAM_STDIN] = flag(pairs, "stdin");
	c->wants[STREAM_STDOUT] = flag(pairs, "stdout");
	c->wants[STREAM_STDERR] = flag(pairs, "stderr");
	control_ok(c, NULL);
	c->mode = CONN_ATTACH; // begun by requests_run, when its line is out of the buffer
}

static void verb_close_stdin(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	stdin_close(c->shim);
	control_ok(c, NULL);
}

static void verb_log_reopen(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	if (writer_put(&c->shim->writer, JOB_REOPEN, NULL, 0))
		control_ok(c, NULL);
	else
		control_error(c, "busy", "the log is not being written");
}

static void verb_state(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	char buffer[16384];
	struct text t = TEXT_ON(buffer);
	status_pairs(c->shim, &t);
	control_ok(c, &t);
}

static void verb_watch(struct conn *c, const struct pairs *pairs)
{
	int64_t since = 0;
	if (!pairs_int(pairs, "since", &since) || since < 0) {
		control_error(c, "request", "invalid since");
		return;
	}
	control_ok(c, NULL);
	watch_begin(c, (uint64_t)since);
}

static void verb_give_sockets(struct conn *c, const struct pairs *pairs)
{
	(void)pairs;
	holds_give(c);
}

static void verb_upgrade(struct conn *c, const struct pairs *pairs)
{
	const char *path = pairs_get(pairs, "path");
	if (path)
		upgrade_begin(c, path);
	else
		control_error(c, "request", "invalid or missing path");
}

static void verb_hold(struct conn *c, const struct pairs *pairs)
{
	const char *names = pairs_get(pairs, "sockets");
	if (names)
		holds_take(c, names);
	else
		control_error(c, "request", "invalid or missing sockets");
}

static void verb_port(struct conn *c, const struct pairs *pairs)
{
	int64_t host_port, port = 0;
	const char *proto = pairs_get(pairs, "proto"), *host = pairs_get(pairs, "host"), *use = pairs_get(pairs, "use"), *address = pairs_get(pairs, "address");
	if (!number(c, pairs, "host-port", 1, UINT16_MAX, &host_port))
		return;
	if (address && !number(c, pairs, "port", 1, UINT16_MAX, &port))
		return;
	struct port_order order = { .proto = proto ? proto : "", .host = host ? host : "", .host_port = (uint16_t)host_port, .use = use ? use : "", .address = address, .port = (uint16_t)port };
	int failed = port_order(c->shim, &order, c->fd_count == 1 ? c->fds[0] : -1);
	if (failed == 0 && c->fd_count == 1)
		c->fd_count = 0; // it is the port's now
	if (failed == -EINVAL)
		control_error(c, "request", "invalid port");
	else if (failed == -ENOENT)
		control_error(c, "no-port", "no socket of this port is held");
	else if (failed)
		control_error(c, "system", strerror(-failed));
	else
		control_ok(c, NULL);
}

static const struct {
	const char *name;
	verb *run;
} verbs[] = {
	{ "hello", verb_hello }, { "start", verb_start }, { "signal", verb_signal }, { "stop", verb_stop },
	{ "policy", verb_policy }, { "resize", verb_resize }, { "attach", verb_attach }, { "close-stdin", verb_close_stdin },
	{ "log-reopen", verb_log_reopen }, { "state", verb_state }, { "watch", verb_watch },
	{ "give-sockets", verb_give_sockets }, { "hold", verb_hold }, { "port", verb_port }, { "upgrade", verb_upgrade },
};

static void run_one(struct conn *c, char *line, size_t len)
{
	struct pairs pairs;
	const char *name;
	if (request_parse(line, len, &name, &pairs) < 0) {
		control_error(c, "request", "malformed request");
		conn_close_fds(c);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].name, name) == 0) {
			verbs[i].run(c, &pairs);
			conn_close_fds(c);
			return;
		}
	}
	control_error(c, "request", "unknown verb");
	conn_close_fds(c);
}

void requests_run(struct conn *c)
{
	while (c->mode == CONN_REQUESTS && !c->waiting && !c->dead) {
		char *newline = memchr(c->line, '\n', c->line_len);
		if (!newline && c->line_len < REQUEST_MAX)
			return;
		if (!newline) {
			control_error(c, "request", "request is too long");
			conn_doom(c);
			return;
		}
		size_t len = (size_t)(newline - c->line);
		char line[REQUEST_MAX + 1];
		memcpy(line, c->line, len + 1);
		c->line_len -= len + 1;
		memmove(c->line, newline + 1, c->line_len);
		run_one(c, line, len);
	}
	if (c->mode == CONN_ATTACH)
		attach_begin(c);
}
