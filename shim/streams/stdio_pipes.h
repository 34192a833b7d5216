// The container's stdin, stdout and stderr: FIFOs in DIR, or the master of a terminal.
#pragma once
#include "base/loop.h"
#include "log/logline.h"

struct shim;
struct conn;

#define READ_MAX (64 * 1024)
#define STDIN_BUFFER (64 * 1024)

struct output {
	struct source source; // the reading end; fd -1: ended
	struct shim *shim;
	enum stream stream;
	bool paused; // the log or a client is full
	// Non-blocking log: what was put last is no whole line; its rest was dropped; the rest of a dropped line is to come.
	bool mid_line, broken, skipping;
};

struct stdio {
	struct output out[2]; // stdout (or the terminal), stderr
	struct source in; // the writing end of stdin; with a terminal a second descriptor of the master
	struct source console; // console.sock, while a terminal is awaited
	char *in_buffer; // mapped when first needed
	size_t in_head, in_used;
	bool in_closing; // closed when the buffer is empty
	int container[3]; // the container's ends, open only until the runtime has them
	uint16_t rows, cols;
	uint64_t reads; // ever, of output
	struct timer quiet;
	bool touched;
};

void stdio_clear(struct shim *shim); // nothing is open
int stdio_init(struct shim *shim, struct error *err); // makes the FIFOs or console.sock
int stdio_open(struct shim *shim, struct error *err); // before each create: both ends
void stdio_close_container_ends(struct shim *shim);
int stdio_adopt(struct shim *shim, struct error *err); // our ends only
void stdio_remove(const struct shim *shim); // the names in DIR

// What the container, or a failed runtime, left in the FIFOs; for messages.
size_t stdio_leftovers(struct shim *shim, char *out, size_t cap);

void stdio_resume(struct shim *shim); // room again somewhere
// Whether everything there is has been read: ended, or nothing to read at this moment.
bool stdio_ended(const struct shim *shim);
bool stdio_idle(const struct shim *shim);
void stdio_close(struct shim *shim);

size_t stdin_room(const struct shim *shim);
void stdin_put(struct shim *shim, const char *bytes, size_t len);
bool stdin_map(struct shim *shim); // its buffer
void stdin_init(struct shim *shim);
void stdin_resume(struct shim *shim); // with what a predecessor had in its buffer
void stdin_close(struct shim *shim); // after what is buffered
int stdio_resize(struct shim *shim, uint16_t rows, uint16_t cols);
// Begins to read what the container writes.
void stdio_watch(struct shim *shim);
