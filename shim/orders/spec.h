// What the daemon ordered: the `spec` file.
#pragma once
#include "base/record.h"
#include "states/restart.h"

#define SPEC_MAX (256 * 1024)
#define SPEC_PORTS 256
#define SPEC_LIST 32
#define SPEC_HOLDS 8
#define HOLD_NAME 32

enum spec_kind { KIND_CONTAINER, KIND_EXEC };
enum port_kind { PORT_RESERVE, PORT_RELAY_TCP, PORT_RELAY_UDP };

struct port_spec {
	enum port_kind kind;
	int fd;
	char address[48];
	uint16_t port;
};

// A socket that is only held, for the process that asks for it by `give-sockets`.
struct hold_spec {
	int fd;
	char name[HOLD_NAME + 1];
};

struct health_spec {
	const char *process; // NULL: no probes
	const char *command; // shown in the journal
	int64_t interval, timeout, start_period, start_interval; // nanoseconds
	int retries;
};

struct spec {
	char *text; // every string below points into it
	int file; // the file as it was written, for a successor
	enum spec_kind kind;
	const char *id, *exec_id;
	const char *runtime, *runtime_root;
	const char *runtime_arg[SPEC_LIST];
	size_t runtime_args;
	bool systemd_cgroup;
	bool terminal;
	uint16_t rows, cols;
	bool open_stdin, stdin_once;
	int64_t pipe_size;
	bool log_json, log_compress, log_non_blocking;
	const char *log_path, *log_attrs;
	int64_t log_max_size, log_max_file, log_buffer;
	const char *exit_path, *journal_path;
	int64_t cgroup_version;
	const char *cgroup_memory, *cgroup_procs;
	struct restart_policy policy;
	int64_t restart_count;
	bool live_restore;
	int64_t stop_signal, stop_timeout_ms;
	struct port_spec port[SPEC_PORTS];
	size_t ports;
	struct hold_spec hold[SPEC_HOLDS];
	size_t holds;
	const char *netns;
	const char *resolver; // where the resolver of names works
	const char *keep_link[SPEC_LIST];
	size_t keep_links;
	char keep_text[SPEC_LIST * 16]; // where keep_link points after `policy keep-links=`; a link's name has 15 bytes
	struct health_spec health;
	int64_t nofile_soft, nofile_hard; // -1: as they are
	const char *shim_cgroup[SPEC_LIST];
	size_t shim_cgroups;
};

// Takes the text over (it must be from malloc, terminated); frees it when it fails.
int spec_parse(struct spec *spec, char *text, size_t len, struct error *err);
int spec_load(struct spec *spec, struct error *err);
// Fields that others write, too: `port` and `hold`.
bool spec_take_port(struct spec *spec, const struct field *field);
bool hold_name_good(const char *name);
bool spec_take_hold(struct spec *spec, const struct field *field);
// Takes `eth0,eth1` in place of the links that the spec named. False if they are too many or too long.
bool spec_keep_links(struct spec *spec, const char *names);
