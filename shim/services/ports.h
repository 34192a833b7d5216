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
void ports_stop(struct shim *shim);

// A relay that is not started; NULL when its target is none.
struct relay *relay_new(struct shim *shim, const struct port_spec *port);
// relay_tcp.c, relay_udp.c
int relay_tcp_start(struct relay *relay);
void relay_tcp_stop(struct relay *relay);
int relay_udp_start(struct relay *relay);
void relay_udp_stop(struct relay *relay);
