// Leaf helpers: clocks, descriptors, numbers, errors. Nothing here knows what a container is.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MS 1000000LL
#define SECOND 1000000000LL

// Functions that can fail return a negative errno; those that also explain themselves fill a struct error,
// which is left untouched on success.
struct error {
	const char *kind;
	char message[4400];
};

int error_set(struct error *err, const char *kind, int number, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void close_fd(int *fd);
#define cleanup_fd __attribute__((cleanup(close_fd)))

int64_t now_real(void); // nanoseconds since the epoch
int64_t now_mono(void); // nanoseconds, for intervals

// A decimal number that fills the whole string; false leaves *out alone.
bool parse_i64(const char *text, int64_t *out);

int write_all(int fd, const void *data, size_t len);
// Reads at most cap - 1 bytes and terminates them; the length or a negative errno, -EFBIG when there is more.
ssize_t read_file_at(int dir, const char *name, char *out, size_t cap);
ssize_t read_text(int fd, char *out, size_t cap); // the same, from where the descriptor stands
// The last cap - 1 bytes of a file that may be longer.
ssize_t read_tail_at(int dir, const char *name, char *out, size_t cap);

// A file by its folder and its name in it: a folder that is moved, itself or with one above it, is followed.
struct place {
	int dir;
	const char *name; // points into the path
};
const char *place_name(const char *path); // what is behind the last slash
int place_open(struct place *place, const char *path);

// Field 22 of /proc/PID/stat; 0 when there is no such process.
int64_t process_start_time(pid_t pid);
void random_hex(char *out, size_t digits);
