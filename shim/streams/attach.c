#include "streams/attach.h"
#include "shim.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_HEADER 8

static char input_buffer[STDIN_BUFFER];

void attach_cut_stalled(struct timer *timer)
{
	struct conn *c = container_of(timer, struct conn, stalled);
	conn_close(c);
}

// Stdin that came right behind the request.
static void take_line(struct conn *c)
{
	size_t room = stdin_room(c->shim), n = c->line_len < room ? c->line_len : room;
	if (n == 0)
		return;
	if (c->wants[STREAM_STDIN])
		stdin_put(c->shim, c->line, n);
	c->line_len -= n;
	memmove(c->line, c->line + n, c->line_len);
}

void attach_begin(struct conn *c)
{
	c->mode = CONN_ATTACH;
	take_line(c);
	if (machine_output_over(c->shim))
		attach_end(c->shim);
}

static bool is_client_of(const struct conn *c, enum stream stream)
{
	return c->mode == CONN_ATTACH && c->wants[stream] && !c->dead && !c->output_ended;
}

bool attach_room(struct shim *shim, enum stream stream)
{
	bool room = true;
	for (struct conn *c = shim->control.conns; c; c = c->next) {
		if (!is_client_of(c, stream) || !c->out.map || c->out.cap - c->out.used >= READ_MAX + FRAME_HEADER)
			continue;
		room = false;
		if (!c->stalled.armed)
			timer_set(&shim->loop, &c->stalled, SECOND);
	}
	return room;
}

void attach_output(struct shim *shim, enum stream stream, const char *bytes, size_t len)
{
	unsigned char header[FRAME_HEADER] = { (unsigned char)stream, 0, 0, 0, (unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len };
	for (struct conn *c = shim->control.conns; c; c = c->next) {
		if (!is_client_of(c, stream))
			continue;
		if (shim->spec.terminal)
			(void)conn_send(c, bytes, len, NULL, 0);
		else
			(void)conn_send(c, header, sizeof header, bytes, len);
	}
}

bool attach_can_read(const struct conn *c)
{
	return !c->wants[STREAM_STDIN] || stdin_room(c->shim) > 0;
}

static void input_over(struct conn *c)
{
	const struct spec *spec = &c->shim->spec;
	c->input_ended = true;
	if (c->wants[STREAM_STDIN] && (spec->stdin_once || spec->kind == KIND_EXEC))
		stdin_close(c->shim);
}

void attach_input(struct conn *c)
{
	size_t room = c->wants[STREAM_STDIN] ? stdin_room(c->shim) : sizeof input_buffer;
	if (c->line_len) {
		take_line(c);
		return;
	}
	ssize_t n = recv(c->source.fd, input_buffer, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		input_over(c);
	else if (c->wants[STREAM_STDIN])
		stdin_put(c->shim, input_buffer, (size_t)n);
}

void attach_stdin_room(struct shim *shim)
{
	for (struct conn *c = shim->control.conns; c; c = c->next)
		if (c->mode == CONN_ATTACH && c->wants[STREAM_STDIN]) {
			take_line(c);
			conn_update(c);
		}
}

void attach_end(struct shim *shim)
{
	for (struct conn *c = shim->control.conns; c; c = c->next) {
		if (c->mode != CONN_ATTACH || c->output_ended)
			continue;
		c->output_ended = true;
		if (c->out.used == 0)
			(void)shutdown(c->source.fd, SHUT_WR);
	}
}
