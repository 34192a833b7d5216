// The state that one shim binary gives to the next: a memfd with a record `moored-handover 1.0`, and from STATE_TEXT on
// the bytes that its fields name by offset and length. A minor adds fields; unknown ones are ignored.
#pragma once
#include "base/record.h"

#define STATE_TEXT (16 << 20)
#define STATE_BYTES (512LL << 20)

struct shim;

// What is being written.
struct giving {
	int fd;
	struct text text; // in a shared mapping of the memfd
	int64_t bytes;
	int failed;
	int *fds; // descriptors that go along
	size_t fd_count, fd_room;
};

int giving_begin(struct giving *g);
int giving_end(struct giving *g); // complete, and sealed
void giving_drop(struct giving *g);
void give_fd(struct giving *g, int fd); // -1 is none
// `KEY OFFSET LENGTH`; the two pieces are one run of bytes.
void give_bytes(struct giving *g, const char *key, const void *first, size_t first_len, const void *second, size_t second_len);

// What is being read. It has changed nothing outside this process's memory.
struct taking {
	struct shim *shim;
	const char *bytes;
	size_t bytes_len;
	struct conn *conn; // the last one
	struct tcp_flow *tcp;
	int tcp_ways;
};

// The bytes that words `at` and `at + 1` name; NULL when they are not there or more than `most`.
const char *taken_bytes(const struct taking *t, const struct field *f, size_t at, size_t most, size_t *len);
bool taken_int(const struct field *f, size_t at, int64_t low, int64_t high, int64_t *out);

// The whole state of a shim that is quiet (upgrade.c).
void state_give(struct giving *g, struct shim *shim);
// Into a shim that was initialised. -EPROTONOSUPPORT: another major.
int state_take(struct shim *shim, char *text, size_t len, const char *bytes, size_t bytes_len, struct error *err);

// fields.c: single values. parts.c: what there are several of, and runs of bytes.
void fields_give(struct giving *g, const struct shim *shim);
bool field_take(struct taking *t, const struct field *f, bool *known);
bool fields_good(const struct shim *shim);
void fields_open(const struct shim *shim, void (*each)(int fd, void *context), void *context);
void fields_resume(struct shim *shim); // timers and children
void parts_give(struct giving *g, struct shim *shim);
bool part_take(struct taking *t, const struct field *f, bool *known);
void parts_open(const struct shim *shim, void (*each)(int fd, void *context), void *context);
