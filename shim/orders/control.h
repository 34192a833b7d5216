// shim.sock: requests, attach clients, watchers.
#pragma once
#include "base/loop.h"
#include "base/record.h"

#define CONN_MAX 64
#define REQUEST_MAX 4096
#define REQUEST_FDS 8

struct shim;

enum conn_mode { CONN_REQUESTS, CONN_ATTACH, CONN_WATCH };

// What a client has not taken yet; mapped when first needed.
struct outbuf {
	char *map;
	size_t cap, head, used;
};

struct conn {
	struct source source;
	struct shim *shim;
	struct conn *next;
	enum conn_mode mode;
	bool waiting; // for the answer to `start`
	bool input_ended, output_ended;
	bool dead; // takes nothing any more
	bool doomed; // closed as soon as nobody is in the middle of it
	bool hung_up;
	struct outbuf out;
	// attach
	bool wants[3];
	struct timer stalled;
	// watch
	bool loading; // the journal on disk comes first
	uint64_t since;
	size_t line_len;
	char line[REQUEST_MAX + 1];
	int fds[REQUEST_FDS]; // that came with the request
	size_t fd_count;
};

struct control {
	struct source listener;
	struct conn *conns;
	size_t count;
	struct timer sweep; // closes the doomed
	bool journal_reading; // the writer's thread reads the journal for the one that is `waiting`
};

int listen_at(const char *name, int backlog);
void control_init(struct shim *shim);
int control_watch(struct shim *shim); // a socket that listens already
void control_resume(struct shim *shim); // with the clients of a predecessor
void control_sweep(struct shim *shim); // closes the doomed
int control_listen(struct shim *shim, struct error *err);
// Answers; the connection may be closed by it.
void control_ok(struct conn *conn, const struct text *pairs);
void control_error(struct conn *conn, const char *kind, const char *message);
// A journal line to every watcher.
void control_journal(struct shim *shim, const char *line, size_t len);
// The answer of the writer's thread to a read of the journal.
void control_journal_read(struct shim *shim);
bool control_watched(const struct shim *shim);
void control_close_watchers(struct shim *shim);
// Whether there are clients that have not yet taken everything.
bool control_flushing(const struct shim *shim);
void control_close(struct shim *shim);

// For the modes of a connection (control.c, attach.c, watch.c).
// One more, with `fd`; NULL when there are too many.
struct conn *conn_new(struct shim *shim, int fd);
void outbuf_drop(struct outbuf *out);
bool conn_send(struct conn *conn, const void *head, size_t head_len, const void *body, size_t body_len); // false: no room, nothing sent
void conn_update(struct conn *conn); // which events it now waits for
void conn_doom(struct conn *conn);
void conn_close(struct conn *conn);
// Closes what the request brought along and nobody took.
void conn_close_fds(struct conn *conn);
void requests_run(struct conn *conn);
