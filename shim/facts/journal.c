#include "facts/journal.h"
#include "facts/journalfile.h"
#include "shim.h"
#include <string.h>

// Room for a line: the oldest ones leave.
static void make_room(struct journal *j, size_t len)
{
	if (j->len + len <= sizeof j->memory)
		return;
	size_t least = j->len + len - sizeof j->memory / 2;
	const char *cut = least < j->len ? memchr(j->memory + least, '\n', j->len - least) : NULL;
	size_t gone = cut ? (size_t)(cut - j->memory) + 1 : j->len;
	memmove(j->memory, j->memory + gone, j->len - gone);
	j->len -= gone;
	j->first = j->len ? journal_line_seq(j->memory, j->len) : j->seq;
}

void journal_add(struct shim *shim, const char *kind, const struct text *pairs)
{
	journal_add_at(shim, now_real(), kind, pairs);
}

void journal_add_at(struct shim *shim, int64_t time, const char *kind, const struct text *pairs)
{
	struct journal *j = &shim->journal;
	char line[JOURNAL_MEMORY / 2];
	struct text t = TEXT_ON(line);
	if (!shim->spec.journal_path || shim->spec.kind == KIND_EXEC)
		return;
	j->seq++;
	text_add(&t, "%llu %lld %s", (unsigned long long)j->seq, (long long)time, kind);
	if (pairs && pairs->len)
		text_add(&t, " %s", pairs->at);
	text_add(&t, "\n");
	if (t.overflow)
		return;
	make_room(j, t.len);
	memcpy(j->memory + j->len, line, t.len);
	j->len += t.len;
	status_save(shim); // before the line: a successor may leave a gap in the numbers, never repeat one
	(void)writer_put(&shim->writer, JOB_JOURNAL, line, t.len);
	control_journal(shim, line, t.len);
}

void journal_add_plain(struct shim *shim, const char *kind)
{
	journal_add(shim, kind, NULL);
}

const char *journal_after(const struct journal *j, uint64_t since, size_t *len)
{
	const char *line = j->memory, *end = j->memory + j->len, *stop;
	while (line < end && (stop = memchr(line, '\n', (size_t)(end - line))) && journal_line_seq(line, (size_t)(stop - line)) <= since)
		line = stop + 1;
	*len = (size_t)(end - line);
	return line;
}

bool journal_covers(const struct journal *j, uint64_t since)
{
	return since + 1 >= j->first || since >= j->seq;
}

void journal_resume(struct shim *shim, uint64_t seq)
{
	const char *path = shim->spec.journal_path;
	shim->journal.seq = seq || !path || shim->spec.kind == KIND_EXEC ? seq : journal_file_last_seq(path);
	shim->journal.first = shim->journal.seq + 1;
}
