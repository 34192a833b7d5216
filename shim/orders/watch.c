#include "orders/watch.h"
#include "shim.h"
#include "facts/journalfile.h"
#include <string.h>
#include <sys/mman.h>

static void send_memory(struct conn *c, uint64_t since)
{
	size_t len;
	const char *lines = journal_after(&c->shim->journal, since, &len);
	if (len && !conn_send(c, lines, len, NULL, 0))
		conn_doom(c);
}

// One read at a time: the one that the writer's thread is doing is marked by `waiting`.
static void next_read(struct shim *shim)
{
	if (shim->control.journal_reading)
		return;
	for (struct conn *c = shim->control.conns; c; c = c->next) {
		if (!c->loading)
			continue;
		c->waiting = writer_put(&shim->writer, JOB_READ_JOURNAL, &c->since, sizeof c->since);
		if (!c->waiting) { // the data root hangs: what is in memory has to do
			c->loading = false;
			send_memory(c, c->since);
		}
		shim->control.journal_reading = c->waiting;
		return;
	}
}

void watch_begin(struct conn *c, uint64_t since)
{
	struct shim *shim = c->shim;
	c->mode = CONN_WATCH;
	c->since = since;
	if (journal_covers(&shim->journal, since)) {
		send_memory(c, since);
	} else {
		c->loading = true;
		next_read(shim);
	}
	machine_watch_changed(shim);
}

void control_journal_read(struct shim *shim)
{
	struct writer *w = &shim->writer;
	pthread_mutex_lock(&w->lock);
	bool ready = w->journal_ready;
	char *map = w->journal_map;
	size_t len = w->journal_len, size = w->journal_map_size;
	w->journal_ready = false;
	w->journal_map = NULL;
	pthread_mutex_unlock(&w->lock);
	if (!ready)
		return;
	shim->control.journal_reading = false;
	struct conn *c = shim->control.conns;
	while (c && !(c->loading && c->waiting))
		c = c->next;
	if (!c || !map) {
		if (map)
			munmap(map, size);
	} else {
		uint64_t last = journal_last_seq(map, len);
		c->out = (struct outbuf){ .map = map, .cap = size, .used = len };
		send_memory(c, last > c->since ? last : c->since);
	}
	if (c) {
		c->loading = c->waiting = false;
		conn_update(c);
	}
	next_read(shim);
}

void control_journal(struct shim *shim, const char *line, size_t len)
{
	for (struct conn *c = shim->control.conns; c; c = c->next)
		if (c->mode == CONN_WATCH && !c->loading && !conn_send(c, line, len, NULL, 0))
			conn_doom(c); // does not read: it comes again with the last number it knows
}

bool control_watched(const struct shim *shim)
{
	for (const struct conn *c = shim->control.conns; c; c = c->next)
		if (c->mode == CONN_WATCH && !c->dead)
			return true;
	return false;
}

void control_close_watchers(struct shim *shim)
{
	for (struct conn *c = shim->control.conns; c; c = c->next)
		if (c->mode == CONN_WATCH)
			c->output_ended = true;
}
