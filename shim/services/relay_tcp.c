// Relaying TCP connections: two splices through a pipe each, so that no byte passes through our memory.
#include "shim.h"
#include "services/flows.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PIECE (64 * 1024)
#define CONNECT_MOST (30 * SECOND)
#define HALF_CLOSED_MOST (600 * SECOND) // a side that has ended while the other says nothing

static void flow_close(struct tcp_flow *flow)
{
	struct relay *relay = flow->relay;
	struct loop *loop = &relay->shim->loop;
	for (struct tcp_flow **at = &relay->tcp; *at; at = &(*at)->next) {
		if (*at == flow) {
			*at = flow->next;
			break;
		}
	}
	timer_stop(loop, &flow->limit);
	for (int i = 0; i < 2; i++) {
		loop_close(loop, &flow->side[i]);
		close_fd(&flow->way[i].pipe[0]);
		close_fd(&flow->way[i].pipe[1]);
	}
	free(flow);
	relay->flows--;
	if (relay->source.fd >= 0)
		(void)loop_set(loop, &relay->source, EPOLLIN);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

// Moves what can be moved; false when the connection broke.
static bool move(struct tcp_flow *flow, int from)
{
	struct way *way = &flow->way[from];
	int source = flow->side[from].fd, sink = flow->side[!from].fd;
	if (!way->ended && way->held == 0) {
		ssize_t n = splice(source, NULL, way->pipe[1], NULL, PIECE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n < 0 && !would_block())
			return false;
		if (n == 0)
			way->ended = true;
		if (n > 0)
			way->held = (size_t)n;
	}
	if (way->held) {
		ssize_t n = splice(way->pipe[0], NULL, sink, NULL, way->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n < 0 && !would_block())
			return false;
		if (n > 0)
			way->held -= (size_t)n;
	}
	if (way->ended && way->held == 0 && !way->closed) {
		way->closed = true;
		(void)shutdown(sink, SHUT_WR);
	}
	return true;
}

static void flow_update(struct tcp_flow *flow)
{
	struct loop *loop = &flow->relay->shim->loop;
	for (int i = 0; i < 2; i++) {
		uint32_t events = !flow->way[i].ended && flow->way[i].held == 0 ? EPOLLIN : 0;
		if (flow->way[!i].held)
			events |= EPOLLOUT;
		(void)loop_set(loop, &flow->side[i], events);
	}
	if (flow->way[0].closed || flow->way[1].closed)
		timer_set(loop, &flow->limit, HALF_CLOSED_MOST);
}

static void flow_run(struct tcp_flow *flow)
{
	if (!move(flow, 0) || !move(flow, 1) || (flow->way[0].closed && flow->way[1].closed))
		flow_close(flow);
	else
		flow_update(flow);
}

static void connected(struct tcp_flow *flow)
{
	int failed = 0;
	socklen_t len = sizeof failed;
	if (getsockopt(flow->side[1].fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0 || failed) {
		// A reset says more truly than an orderly end that nobody is there.
		struct linger linger = { .l_onoff = 1 };
		(void)setsockopt(flow->side[0].fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		flow_close(flow);
		return;
	}
	flow->connecting = false;
	timer_stop(&flow->relay->shim->loop, &flow->limit);
	flow_run(flow);
}

static void client_ready(struct source *source, uint32_t events)
{
	(void)events;
	flow_run(container_of(source, struct tcp_flow, side[0]));
}

static void container_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct tcp_flow *flow = container_of(source, struct tcp_flow, side[1]);
	if (flow->connecting)
		connected(flow);
	else
		flow_run(flow);
}

static void limit_reached(struct timer *timer)
{
	flow_close(container_of(timer, struct tcp_flow, limit));
}

static bool flow_open(struct tcp_flow *flow)
{
	struct relay *relay = flow->relay;
	const struct sockaddr *target = (const struct sockaddr *)&relay->target.address;
	int on = 1;
	flow->side[1].fd = socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	for (int i = 0; i < 2; i++) {
		if (flow->side[i].fd < 0 || pipe2(flow->way[i].pipe, O_CLOEXEC | O_NONBLOCK) < 0)
			return false;
		(void)setsockopt(flow->side[i].fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		(void)setsockopt(flow->side[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	}
	if (connect(flow->side[1].fd, target, relay->target.len) < 0 && errno != EINPROGRESS)
		return false;
	flow->connecting = true;
	timer_set(&relay->shim->loop, &flow->limit, CONNECT_MOST);
	return loop_set(&relay->shim->loop, &flow->side[1], EPOLLOUT) == 0;
}

static void resume(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, resume);
	(void)loop_set(&relay->shim->loop, &relay->source, EPOLLIN);
}

struct tcp_flow *tcp_flow_new(struct relay *relay)
{
	struct tcp_flow *flow = calloc(1, sizeof *flow);
	if (!flow)
		return NULL;
	*flow = (struct tcp_flow){
		.side = { { .fd = -1, .ready = client_ready }, { .fd = -1, .ready = container_ready } },
		.way = { { .pipe = { -1, -1 } }, { .pipe = { -1, -1 } } },
		.relay = relay, .limit = { .fire = limit_reached }, .next = relay->tcp,
	};
	relay->tcp = flow;
	relay->flows++;
	return flow;
}

static void client_waits(struct source *source, uint32_t events)
{
	(void)events;
	struct relay *relay = container_of(source, struct relay, source);
	struct loop *loop = &relay->shim->loop;
	if (relay->flows >= TCP_FLOWS_MAX) { // the others wait in the backlog until a flow ends
		(void)loop_set(loop, source, 0);
		return;
	}
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			(void)loop_set(loop, source, 0);
			timer_set(loop, &relay->resume, 100 * MS);
		}
		return;
	}
	struct tcp_flow *flow = tcp_flow_new(relay);
	if (!flow) {
		close(fd);
		return;
	}
	flow->side[0].fd = fd;
	if (!flow_open(flow))
		flow_close(flow);
}

int relay_tcp_start(struct relay *relay)
{
	relay->resume.fire = resume;
	relay->source.ready = client_waits;
	if (listen(relay->source.fd, 1024) < 0)
		return -errno;
	return loop_set(&relay->shim->loop, &relay->source, EPOLLIN);
}

int relay_tcp_resume(struct relay *relay)
{
	int failed = relay_tcp_start(relay);
	for (struct tcp_flow *flow = relay->tcp, *next; flow && !failed; flow = next) {
		next = flow->next;
		if (flow->connecting)
			failed = loop_set(&relay->shim->loop, &flow->side[1], EPOLLOUT);
		if (flow->limit.due)
			timer_at(&relay->shim->loop, &flow->limit, flow->limit.due);
		if (!flow->connecting)
			flow_run(flow); // may end it
	}
	return failed;
}

void relay_tcp_stop(struct relay *relay)
{
	while (relay->tcp)
		flow_close(relay->tcp);
}
