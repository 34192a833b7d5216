#include "orders/spec.h"
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int parse(struct spec *spec, const char *body, struct error *err)
{
	char *text = malloc(8192);
	int n = snprintf(text, 8192, "moored-spec 1.0\n%send\n", body);
	return spec_parse(spec, text, (size_t)n, err);
}

static bool refused(const char *body, const char *field)
{
	static struct spec spec;
	struct error err = { 0 };
	return parse(&spec, body, &err) < 0 && strcmp(err.kind, "spec") == 0 && strstr(err.message, field);
}

#define LEAST "kind container\nid x\nruntime /bin/runc\nexit-path /e\njournal-path /j\n"

void test_spec(void)
{
	static struct spec spec;
	struct error err;
	CHECK(parse(&spec, LEAST, &err) == 0);
	CHECK(spec.stop_timeout_ms == 10000 && spec.stop_signal == 15 && !spec.log_json && spec.policy.kind == RESTART_NO);
	free(spec.text);

	char *text = malloc(SPEC_MAX);
	ssize_t n = read_file_at(AT_FDCWD, "golden/records/spec-container.rec", text, SPEC_MAX);
	CHECK(n > 0 && spec_parse(&spec, text, (size_t)n, &err) == 0);
	CHECK(spec.runtime_args == 2 && strcmp(spec.runtime_arg[1], "--criu=criu") == 0);
	CHECK(spec.ports == 3 && spec.port[2].kind == PORT_RELAY_UDP && spec.port[2].port == 53 && strcmp(spec.port[2].address, "fd00::2") == 0);
	CHECK(spec.holds == 2 && spec.hold[0].fd == 7 && strcmp(spec.hold[1].name, "resolver-tcp") == 0);
	CHECK(spec.policy.kind == RESTART_ON_FAILURE && spec.policy.max == 5 && spec.restart_count == 2);
	CHECK(spec.health.interval == 30 * SECOND && spec.keep_links == 2 && spec.log_non_blocking && spec.stop_timeout_ms == -1);
	CHECK(spec.nofile_soft == 1024 && spec.nofile_hard == 524288);
	free(spec.text);

	CHECK(refused("kind container\n", "id"));
	CHECK(refused("kind other\n", "kind"));
	CHECK(refused(LEAST "runtime runc\n", "runtime"));
	CHECK(refused(LEAST "stop-signal 99\n", "stop-signal"));
	CHECK(refused(LEAST "log json-file\n", "log-path"));
	CHECK(refused(LEAST "port reserve 3\n", "port"));
	CHECK(refused(LEAST "port relay-tcp 5 1.2.3.4 70000\n", "port"));
	CHECK(refused(LEAST "port relay-tcp 5\n", "port"));
	CHECK(refused(LEAST "hold 3 a\n", "hold"));
	CHECK(refused(LEAST "hold 5\n", "hold"));
	CHECK(refused(LEAST "hold 5 a,b\n", "hold"));
	CHECK(refused(LEAST "hold 5 a\nhold 6 a\nhold 7 a\nhold 8 a\nhold 9 a\nhold 10 a\nhold 11 a\nhold 12 a\nhold 13 a\n", "hold"));
	CHECK(refused(LEAST "terminal yes\n", "terminal"));
	CHECK(refused(LEAST "console-size 1\n", "console-size"));
	CHECK(refused(LEAST "log-attrs {%0A}\n", "log-attrs"));
	CHECK(refused(LEAST "log-path /a%00b\n", "log-path"));
	CHECK(refused(LEAST "pipe-size -1\n", "pipe-size"));
	CHECK(refused(LEAST "rlimit-nofile 5 1\n", "rlimit-nofile"));
	CHECK(refused(LEAST "restart sometimes\n", "restart"));
	CHECK(refused(LEAST "a b c d e f g h i j k\n", "file"));
}
