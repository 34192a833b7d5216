// What there are several of (ports, flows, clients), and runs of bytes: into the state and out of it.
#include "handover/state.h"
#include "services/flows.h"
#include "shim.h"
#include <string.h>
#include <sys/mman.h>

#define OUT_LEAST (1 << 20)
#define OUT_MOST (64 << 20)

// ---- orders

static void give_ports(struct giving *g, const struct spec *spec)
{
	static const char *const kinds[] = { "reserve", "relay-tcp", "relay-udp" };
	for (size_t i = 0; i < spec->ports; i++) {
		const struct port_spec *p = &spec->port[i];
		give_fd(g, p->fd);
		text_add(&g->text, "port %s %d", kinds[p->kind], p->fd);
		if (p->kind != PORT_RESERVE)
			text_add(&g->text, " %s %u", p->address, p->port);
		text_add(&g->text, "\n");
	}
	for (size_t i = 0; i < spec->holds; i++) {
		give_fd(g, spec->hold[i].fd);
		text_add(&g->text, "hold %d %s\n", spec->hold[i].fd, spec->hold[i].name);
	}
	for (size_t i = 0; i < spec->keep_links; i++)
		text_add(&g->text, i ? ",%s" : "keep-links %s", spec->keep_link[i]);
	if (spec->keep_links)
		text_add(&g->text, "\n");
}

static bool take_port(struct taking *t, const struct field *f)
{
	struct spec *spec = &t->shim->spec;
	if (!spec_take_port(spec, f))
		return false;
	const struct port_spec *port = &spec->port[spec->ports - 1];
	return port->kind == PORT_RESERVE || relay_new(t->shim, port) != NULL;
}

static bool take_hold(struct taking *t, const struct field *f)
{
	return spec_take_hold(&t->shim->spec, f);
}

static bool take_keep_links(struct taking *t, const struct field *f)
{
	return f->count > 0 && spec_keep_links(&t->shim->spec, f->word[0]);
}

// ---- bytes

static void give_ring(struct giving *g, const char *key, const char *ring, size_t size, size_t head, size_t used)
{
	size_t first = used < size - head ? used : size - head;
	if (used)
		give_bytes(g, key, ring + head, first, ring, used - first);
}

static void give_buffers(struct giving *g, const struct shim *shim)
{
	const struct writer *w = &shim->writer;
	give_bytes(g, "journal", shim->journal.memory, shim->journal.len, NULL, 0);
	give_ring(g, "stdin-bytes", shim->stdio.in_buffer, STDIN_BUFFER, shim->stdio.in_head, shim->stdio.in_used);
	give_bytes(g, "stdout-pending", w->line[0].pending, w->line[0].pending_len, NULL, 0);
	give_bytes(g, "stderr-pending", w->line[1].pending, w->line[1].pending_len, NULL, 0);
	give_bytes(g, "log-torn", w->log.out, w->log.len, NULL, 0);
	give_bytes(g, "probe-said", shim->health.now.output, shim->health.now.len, NULL, 0);
}

// Into a buffer of `most` bytes.
static bool take_into(const struct taking *t, const struct field *f, char *to, size_t most, size_t *len)
{
	const char *bytes = taken_bytes(t, f, 0, most, len);
	if (!bytes)
		return false;
	memcpy(to, bytes, *len);
	return true;
}

static bool take_journal(struct taking *t, const struct field *f)
{
	return take_into(t, f, t->shim->journal.memory, sizeof t->shim->journal.memory, &t->shim->journal.len);
}

static bool take_stdin(struct taking *t, const struct field *f)
{
	struct stdio *io = &t->shim->stdio;
	return !io->in_buffer && stdin_map(t->shim) && take_into(t, f, io->in_buffer, STDIN_BUFFER, &io->in_used);
}

static bool take_stdout_pending(struct taking *t, const struct field *f)
{
	struct logline *line = &t->shim->writer.line[0];
	return take_into(t, f, line->pending, sizeof line->pending, &line->pending_len);
}

static bool take_stderr_pending(struct taking *t, const struct field *f)
{
	struct logline *line = &t->shim->writer.line[1];
	return take_into(t, f, line->pending, sizeof line->pending, &line->pending_len);
}

// What is left of a line that a failing write has torn; it ends with its newline.
static bool take_torn(struct taking *t, const struct field *f)
{
	struct logfile *log = &t->shim->writer.log;
	if (!log->path || !take_into(t, f, log->out, log->cap, &log->len) || log->out[log->len - 1] != '\n')
		return false;
	log->torn = log->len;
	return true;
}

static bool take_probe_said(struct taking *t, const struct field *f)
{
	return take_into(t, f, t->shim->health.now.output, PROBE_OUTPUT, &t->shim->health.now.len);
}

// ---- what is under way through the relays

static void give_flows(struct giving *g, const struct shim *shim)
{
	for (const struct relay *r = shim->ports.relays; r; r = r->next) {
		for (const struct tcp_flow *flow = r->tcp; flow; flow = flow->next) {
			text_add(&g->text, "tcp %d %d %d %d %lld\n", r->source.fd, flow->side[0].fd, flow->side[1].fd, flow->connecting,
				(long long)(flow->limit.armed ? flow->limit.due : 0));
			for (size_t i = 0; i < 2; i++) {
				const struct way *way = &flow->way[i];
				text_add(&g->text, "way %d %d %zu %d %d\n", way->pipe[0], way->pipe[1], way->held, way->ended, way->closed);
				give_fd(g, flow->side[i].fd);
				give_fd(g, way->pipe[0]);
				give_fd(g, way->pipe[1]);
			}
		}
		for (const struct udp_flow *flow = r->udp; flow; flow = flow->next) {
			text_add(&g->text, "udp %d %d %lld ", r->source.fd, flow->source.fd, (long long)flow->last);
			text_word(&g->text, (const char *)&flow->client, flow->client_len);
			text_add(&g->text, " ");
			text_word(&g->text, flow->control, flow->control_len);
			text_add(&g->text, "\n");
			give_fd(g, flow->source.fd);
		}
	}
}

static struct relay *relay_of(const struct taking *t, const struct field *f, enum port_kind kind)
{
	int64_t fd;
	if (!taken_int(f, 0, 0, INT32_MAX, &fd))
		return NULL;
	struct relay *r = t->shim->ports.relays;
	while (r && (r->source.fd != fd || r->kind != kind))
		r = r->next;
	return r;
}

static bool take_tcp(struct taking *t, const struct field *f)
{
	int64_t client, container, connecting, due;
	struct relay *r = relay_of(t, f, PORT_RELAY_TCP);
	bool good = taken_int(f, 1, 0, INT32_MAX, &client) && taken_int(f, 2, 0, INT32_MAX, &container) && taken_int(f, 3, 0, 1, &connecting) &&
		    taken_int(f, 4, 0, INT64_MAX, &due) && (!t->tcp || t->tcp_ways == 2);
	t->tcp = good && r && r->flows < TCP_FLOWS_MAX ? tcp_flow_new(r) : NULL;
	t->tcp_ways = 0;
	if (!t->tcp)
		return false;
	t->tcp->side[0].fd = (int)client;
	t->tcp->side[1].fd = (int)container;
	t->tcp->connecting = connecting;
	t->tcp->limit.due = due;
	return true;
}

static bool take_way(struct taking *t, const struct field *f)
{
	int64_t in, out, held, ended, closed;
	bool good = taken_int(f, 0, 0, INT32_MAX, &in) && taken_int(f, 1, 0, INT32_MAX, &out) && taken_int(f, 2, 0, INT32_MAX, &held) &&
		    taken_int(f, 3, 0, 1, &ended) && taken_int(f, 4, 0, 1, &closed);
	if (!good || !t->tcp || t->tcp_ways == 2)
		return false;
	t->tcp->way[t->tcp_ways++] = (struct way){ .pipe = { (int)in, (int)out }, .held = (size_t)held, .ended = ended, .closed = closed };
	return true;
}

static bool take_udp(struct taking *t, const struct field *f)
{
	int64_t fd, last;
	struct relay *r = relay_of(t, f, PORT_RELAY_UDP);
	bool good = taken_int(f, 1, 0, INT32_MAX, &fd) && taken_int(f, 2, 0, INT64_MAX, &last) && f->count >= 5 &&
		    f->len[3] <= sizeof(struct sockaddr_storage) && f->len[4] <= UDP_CONTROL;
	struct udp_flow *flow = good && r && r->flows < UDP_FLOWS_MAX ? udp_flow_new(r) : NULL;
	if (!flow)
		return false;
	flow->source.fd = (int)fd;
	flow->last = last;
	flow->client_len = (socklen_t)f->len[3];
	memcpy(&flow->client, f->word[3], f->len[3]);
	flow->control_len = f->len[4];
	memcpy(flow->control, f->word[4], f->len[4]);
	return true;
}

// ---- clients

enum { INPUT_ENDED = 1, OUTPUT_ENDED = 2, DEAD = 4, HUNG_UP = 8, ASKER = 16, WANTS = 32 }; // WANTS << stream

static void give_conns(struct giving *g, const struct shim *shim)
{
	for (const struct conn *c = shim->control.conns; c; c = c->next) {
		int flags = (c->input_ended ? INPUT_ENDED : 0) | (c->output_ended ? OUTPUT_ENDED : 0) | (c->dead ? DEAD : 0) |
			    (c->hung_up ? HUNG_UP : 0) | (c == shim->upgrade.asker ? ASKER : 0);
		for (int i = 0; i < 3; i++)
			flags |= c->wants[i] ? WANTS << i : 0;
		give_fd(g, c->source.fd);
		text_add(&g->text, "client %d %d %d %llu\n", c->source.fd, c->mode, flags, (unsigned long long)c->since);
		give_bytes(g, "client-line", c->line, c->line_len, NULL, 0);
		for (size_t i = 0; i < c->fd_count; i++) {
			give_fd(g, c->fds[i]);
			text_add(&g->text, "client-brought %d\n", c->fds[i]);
		}
		give_ring(g, "client-out", c->out.map, c->out.cap, c->out.head, c->out.used);
	}
}

static bool take_client(struct taking *t, const struct field *f)
{
	int64_t fd, mode, flags, since;
	bool good = taken_int(f, 0, 0, INT32_MAX, &fd) && taken_int(f, 1, CONN_REQUESTS, CONN_WATCH, &mode) &&
		    taken_int(f, 2, 0, (WANTS << 3) - 1, &flags) && taken_int(f, 3, 0, INT64_MAX, &since);
	struct conn *c = good ? conn_new(t->shim, (int)fd) : NULL;
	t->conn = c;
	if (!c)
		return false;
	c->mode = (enum conn_mode)mode;
	c->since = (uint64_t)since;
	c->input_ended = flags & INPUT_ENDED;
	c->output_ended = flags & OUTPUT_ENDED;
	c->dead = flags & DEAD;
	c->hung_up = flags & HUNG_UP;
	for (int i = 0; i < 3; i++)
		c->wants[i] = flags & (WANTS << i);
	if (flags & ASKER) {
		if (t->shim->upgrade.asker || c->mode != CONN_REQUESTS)
			return false;
		t->shim->upgrade.asker = c;
		c->waiting = true;
	}
	return true;
}

static bool take_client_line(struct taking *t, const struct field *f)
{
	return t->conn && take_into(t, f, t->conn->line, REQUEST_MAX, &t->conn->line_len);
}

static bool take_client_brought(struct taking *t, const struct field *f)
{
	int64_t fd;
	if (!t->conn || t->conn->fd_count == REQUEST_FDS || !taken_int(f, 0, 0, INT32_MAX, &fd))
		return false;
	t->conn->fds[t->conn->fd_count++] = (int)fd;
	return true;
}

static bool take_client_out(struct taking *t, const struct field *f)
{
	size_t len;
	const char *bytes = t->conn && !t->conn->out.map ? taken_bytes(t, f, 0, OUT_MOST, &len) : NULL;
	if (!bytes)
		return false;
	size_t cap = len > OUT_LEAST ? (len + 4095) & ~(size_t)4095 : OUT_LEAST;
	char *map = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return false;
	memcpy(map, bytes, len);
	t->conn->out = (struct outbuf){ .map = map, .cap = cap, .used = len };
	return true;
}

// ----

static const struct {
	const char *key;
	bool (*take)(struct taking *t, const struct field *f);
} parts[] = {
	{ "port", take_port }, { "hold", take_hold }, { "keep-links", take_keep_links }, { "journal", take_journal },
	{ "stdin-bytes", take_stdin }, { "stdout-pending", take_stdout_pending }, { "stderr-pending", take_stderr_pending },
	{ "log-torn", take_torn }, { "probe-said", take_probe_said }, { "tcp", take_tcp }, { "way", take_way }, { "udp", take_udp },
	{ "client", take_client }, { "client-line", take_client_line }, { "client-out", take_client_out },
	{ "client-brought", take_client_brought },
};

void parts_give(struct giving *g, struct shim *shim)
{
	give_ports(g, &shim->spec);
	give_buffers(g, shim);
	give_flows(g, shim);
	give_conns(g, shim);
}

bool part_take(struct taking *t, const struct field *f, bool *known)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (strcmp(parts[i].key, f->key) == 0) {
			*known = true;
			return parts[i].take(t, f);
		}
	}
	return true; // a newer minor's
}

void parts_open(const struct shim *shim, void (*each)(int fd, void *context), void *context)
{
	for (size_t i = 0; i < shim->spec.ports; i++)
		each(shim->spec.port[i].fd, context);
	for (size_t i = 0; i < shim->spec.holds; i++)
		each(shim->spec.hold[i].fd, context);
	for (const struct relay *r = shim->ports.relays; r; r = r->next) {
		for (const struct tcp_flow *flow = r->tcp; flow; flow = flow->next) {
			for (int i = 0; i < 2; i++) {
				each(flow->side[i].fd, context);
				each(flow->way[i].pipe[0], context);
				each(flow->way[i].pipe[1], context);
			}
		}
		for (const struct udp_flow *flow = r->udp; flow; flow = flow->next)
			each(flow->source.fd, context);
	}
	for (const struct conn *c = shim->control.conns; c; c = c->next) {
		each(c->source.fd, context);
		for (size_t i = 0; i < c->fd_count; i++)
			each(c->fds[i], context);
	}
}
