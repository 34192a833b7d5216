// Relaying UDP: a connected socket towards the container for each client, ended when it is quiet.
#include "shim.h"
#include "services/flows.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define IDLE_MOST (90 * SECOND)
#define DATAGRAM_MAX 65536
#define BURST 64

static char datagram[DATAGRAM_MAX];

static void flow_close(struct udp_flow *flow)
{
	struct relay *relay = flow->relay;
	for (struct udp_flow **at = &relay->udp; *at; at = &(*at)->next) {
		if (*at == flow) {
			*at = flow->next;
			break;
		}
	}
	timer_stop(&relay->shim->loop, &flow->idle);
	loop_close(&relay->shim->loop, &flow->source);
	relay->flows--;
	free(flow);
}

static void idle_due(struct timer *timer)
{
	struct udp_flow *flow = container_of(timer, struct udp_flow, idle);
	int64_t quiet = now_mono() - flow->last;
	if (quiet >= IDLE_MOST)
		flow_close(flow);
	else
		timer_set(&flow->relay->shim->loop, timer, IDLE_MOST - quiet + MS);
}

static void answer_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct udp_flow *flow = container_of(source, struct udp_flow, source);
	for (int i = 0; i < BURST; i++) {
		ssize_t n = recv(source->fd, datagram, sizeof datagram, MSG_DONTWAIT);
		if (n < 0)
			return; // nothing more, or an unreachable port: the client finds out by silence
		flow->last = now_mono();
		struct iovec iov = { datagram, (size_t)n };
		struct msghdr msg = { .msg_name = &flow->client, .msg_namelen = flow->client_len, .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = flow->control_len ? flow->control : NULL, .msg_controllen = flow->control_len };
		(void)sendmsg(flow->relay->source.fd, &msg, MSG_DONTWAIT);
	}
}

// The quietest makes room for a new client.
static void evict(struct relay *relay)
{
	struct udp_flow *quietest = relay->udp;
	for (struct udp_flow *flow = relay->udp; flow; flow = flow->next)
		if (flow->last < quietest->last)
			quietest = flow;
	if (quietest)
		flow_close(quietest);
}

static void keep_destination(struct udp_flow *flow, struct msghdr *msg)
{
	flow->control_len = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
		bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO;
		if ((!v4 && !v6) || c->cmsg_len > sizeof flow->control)
			continue;
		memcpy(flow->control, c, c->cmsg_len);
		flow->control_len = v4 ? CMSG_SPACE(sizeof(struct in_pktinfo)) : CMSG_SPACE(sizeof(struct in6_pktinfo));
		if (v4) {
			struct in_pktinfo *info = (void *)CMSG_DATA((struct cmsghdr *)(void *)flow->control);
			info->ipi_ifindex = 0; // routing decides; only the source address is ours to choose
		}
		return;
	}
}

struct udp_flow *udp_flow_new(struct relay *relay)
{
	struct udp_flow *flow = calloc(1, sizeof *flow);
	if (!flow)
		return NULL;
	flow->relay = relay;
	flow->idle.fire = idle_due;
	flow->source = (struct source){ .fd = -1, .ready = answer_ready };
	flow->next = relay->udp;
	relay->udp = flow;
	relay->flows++;
	return flow;
}

static struct udp_flow *flow_open(struct relay *relay, struct msghdr *msg)
{
	if (relay->flows >= UDP_FLOWS_MAX)
		evict(relay);
	struct udp_flow *flow = udp_flow_new(relay);
	if (!flow)
		return NULL;
	memcpy(&flow->client, msg->msg_name, msg->msg_namelen);
	flow->client_len = msg->msg_namelen;
	keep_destination(flow, msg);
	const struct sockaddr *target = (const struct sockaddr *)&relay->target.address;
	flow->source.fd = socket(target->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (flow->source.fd < 0 || connect(flow->source.fd, target, relay->target.len) < 0 ||
	    loop_set(&relay->shim->loop, &flow->source, EPOLLIN) < 0) {
		flow_close(flow);
		return NULL;
	}
	timer_set(&relay->shim->loop, &flow->idle, IDLE_MOST);
	return flow;
}

static struct udp_flow *flow_of(const struct relay *relay, const struct msghdr *msg)
{
	for (struct udp_flow *flow = relay->udp; flow; flow = flow->next)
		if (flow->client_len == msg->msg_namelen && memcmp(&flow->client, msg->msg_name, msg->msg_namelen) == 0)
			return flow;
	return NULL;
}

static void client_ready(struct source *source, uint32_t events)
{
	(void)events;
	struct relay *relay = container_of(source, struct relay, source);
	for (int i = 0; i < BURST; i++) {
		struct sockaddr_storage client = { 0 };
		union {
			struct cmsghdr align;
			char space[256];
		} control;
		struct iovec iov = { datagram, sizeof datagram };
		struct msghdr msg = { .msg_name = &client, .msg_namelen = sizeof client, .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control, .msg_controllen = sizeof control };
		ssize_t n = recvmsg(source->fd, &msg, MSG_DONTWAIT);
		if (n < 0)
			return;
		struct udp_flow *flow = flow_of(relay, &msg);
		flow = flow ? flow : flow_open(relay, &msg);
		if (!flow)
			continue;
		flow->last = now_mono();
		(void)send(flow->source.fd, datagram, (size_t)n, MSG_DONTWAIT);
	}
}

int relay_udp_start(struct relay *relay)
{
	int on = 1;
	(void)setsockopt(relay->source.fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	(void)setsockopt(relay->source.fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
	relay->source.ready = client_ready;
	return loop_set(&relay->shim->loop, &relay->source, EPOLLIN);
}

int relay_udp_resume(struct relay *relay)
{
	int failed = relay_udp_start(relay);
	for (struct udp_flow *flow = relay->udp; flow && !failed; flow = flow->next) {
		failed = loop_set(&relay->shim->loop, &flow->source, EPOLLIN);
		timer_set(&relay->shim->loop, &flow->idle, MS); // looks how long it has been quiet
	}
	return failed;
}

void relay_udp_stop(struct relay *relay)
{
	while (relay->udp)
		flow_close(relay->udp);
}
