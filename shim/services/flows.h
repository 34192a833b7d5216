// What is under way through a relay; known to the relays themselves and to the handover.
#pragma once
#include "services/ports.h"
#include <netinet/in.h>

// From one socket into a pipe and out of it into the other.
struct way {
	int pipe[2];
	size_t held;
	bool ended; // the source said its end
	bool closed; // and the sink was told
};

struct tcp_flow {
	struct source side[2]; // client, container
	struct way way[2]; // way[i] leads from side[i] to the other
	struct relay *relay;
	struct timer limit;
	bool connecting;
	struct tcp_flow *next;
};

// The address that a client spoke to, as IP_PKTINFO or IPV6_PKTINFO.
#define UDP_CONTROL CMSG_SPACE(sizeof(struct in6_pktinfo))

struct udp_flow {
	struct source source; // towards the container
	struct relay *relay;
	struct timer idle;
	int64_t last;
	struct sockaddr_storage client;
	socklen_t client_len;
	char control[UDP_CONTROL]; // answers come from there
	size_t control_len;
	struct udp_flow *next;
};

// A flow of this relay with nothing open; NULL without memory.
struct tcp_flow *tcp_flow_new(struct relay *relay);
struct udp_flow *udp_flow_new(struct relay *relay);
// Goes on with what a predecessor had under way.
int relay_tcp_resume(struct relay *relay);
int relay_udp_resume(struct relay *relay);
