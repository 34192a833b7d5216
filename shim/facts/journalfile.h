// The journal on disk: appending, rotating, and reading what is newer than a number.
#pragma once
#include "base/base.h"

int journal_open(const struct place *place, int *fd, int64_t *size);
// Over 1 MiB the file becomes <name>.1 first. A line that cannot be written is lost here (watchers got it).
void journal_append(const struct place *place, int *fd, int64_t *size, const char *line, size_t len);
// The number that a journal line starts with; 0 when it does not.
uint64_t journal_line_seq(const char *line, size_t len);
// The number of the last whole line; 0 when there is none.
uint64_t journal_last_seq(const char *text, size_t len);
uint64_t journal_file_last_seq(const char *path);
// The lines with a greater number, of <name>.1 and <name>, in a mapping of *size bytes with room to add some.
char *journal_read_since(const struct place *place, uint64_t since, size_t *len, size_t *size);
