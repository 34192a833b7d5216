// Published ports: sockets that are only held, and relays for addresses that DNAT cannot serve.
#pragma once
#include "base/loop.h"
#include "orders/spec.h"
#include <sys/socket.h>

struct shim;
struct tcp_flow;
struct udp_flow;

#define TCP_FLOWS_MAX 512
#define UDP_FLOWS_MAX 256

struct target {
	struct sockaddr_storage address;
	socklen_t len;
};

// One published socket.
struct relay {
	struct source source;
	struct shim *shim;
	enum port_kind kind;
	struct target target;
	struct timer resume; // after descriptors or flows ran out
	struct tcp_flow *tcp;
	struct udp_flow *udp;
	size_t flows;
	struct relay *next;
};

struct ports {
	struct relay *relays;
};

int ports_start(struct shim *shim, struct error *err);
int ports_resume(struct shim *shim); // with what a predecessor had under way
// `port`: what a published port is used for from now on.
struct port_order {
	const char *proto, *host; // where it is bound: `tcp`, `udp` or `sctp`, and its address
	uint16_t host_port;
	const char *use; // as in the spec
	const char *address; // of a relay's target, or NULL
	uint16_t port;
};
// With `fd`, one more socket, ours after success; -EEXIST if one is held there. Without, the one that is held there, -ENOENT if
// there is none. -EINVAL: an order that makes no sense.
int port_order(struct shim *shim, const struct port_order *order, int fd);
void ports_stop(struct shim *shim);

// A relay that is not started; NULL when its target is none.
struct relay *relay_new(struct shim *shim, const struct port_spec *port);
// relay_tcp.c, relay_udp.c
int relay_tcp_start(struct relay *relay);
void relay_tcp_stop(struct relay *relay);
int relay_udp_start(struct relay *relay);
void relay_udp_stop(struct relay *relay);
