// The container's event journal: numbers its lines, hands them to the writer's thread and to the watchers.
#pragma once
#include "base/record.h"

#define JOURNAL_MEMORY (32 * 1024)

struct shim;

struct journal {
	uint64_t seq; // the last one given out
	uint64_t first; // the first that is still in memory
	size_t len;
	char memory[JOURNAL_MEMORY];
};

// Adds `KIND pairs`; does nothing for an exec session, which has no journal.
void journal_add(struct shim *shim, const char *kind, const struct text *pairs);
void journal_add_at(struct shim *shim, int64_t time, const char *kind, const struct text *pairs);
void journal_add_plain(struct shim *shim, const char *kind);
// The lines in memory that are newer than `since`.
const char *journal_after(const struct journal *journal, uint64_t since, size_t *len);
// Whether nothing newer than `since` is on disk only.
bool journal_covers(const struct journal *journal, uint64_t since);
// Goes on counting where `seq` or, if that is 0, the file ends. The latter reads from the data root.
void journal_resume(struct shim *shim, uint64_t seq);
