// Published ports: sockets that are only held, and relays for addresses that DNAT cannot serve.
#pragma once
#include "base.h"

struct shim;

struct ports {
	struct tcp_relay *tcp;
	struct udp_relay *udp;
};

int ports_start(struct shim *shim, struct error *err);
void ports_stop(struct shim *shim);
