#include "services/flows.h"
#include "shim.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool parse_target(const struct port_spec *port, struct target *out)
{
	struct sockaddr_in *v4 = (void *)&out->address;
	struct sockaddr_in6 *v6 = (void *)&out->address;
	memset(&out->address, 0, sizeof out->address);
	if (inet_pton(AF_INET, port->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port->port);
		out->len = sizeof *v4;
		return true;
	}
	if (inet_pton(AF_INET6, port->address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port->port);
		out->len = sizeof *v6;
		return true;
	}
	return false;
}

struct relay *relay_new(struct shim *shim, const struct port_spec *port)
{
	struct target target;
	struct relay *relay = parse_target(port, &target) ? calloc(1, sizeof *relay) : NULL;
	if (!relay)
		return NULL;
	relay->shim = shim;
	relay->kind = port->kind;
	relay->source.fd = port->fd;
	relay->target = target;
	relay->next = shim->ports.relays;
	shim->ports.relays = relay;
	return relay;
}

static int start_one(struct shim *shim, const struct port_spec *port)
{
	if (fcntl(port->fd, F_GETFD) < 0)
		return -EBADF;
	if (port->kind == PORT_RESERVE)
		return 0; // open until we leave, and that is all
	struct relay *relay = relay_new(shim, port);
	if (!relay)
		return -EINVAL;
	int failed = fcntl(port->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : port->kind == PORT_RELAY_TCP ? relay_tcp_start(relay) : relay_udp_start(relay);
	if (failed) { // whose socket it is, the caller knows
		(void)loop_set(&shim->loop, &relay->source, 0);
		shim->ports.relays = relay->next;
		free(relay);
	}
	return failed;
}

int ports_resume(struct shim *shim)
{
	int failed = 0;
	for (struct relay *relay = shim->ports.relays; relay && !failed; relay = relay->next)
		failed = relay->kind == PORT_RELAY_TCP ? relay_tcp_resume(relay) : relay_udp_resume(relay);
	return failed;
}

// The address that a socket is bound to.
static bool bound_to(int fd, const struct port_order *order)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof name;
	int proto = 0;
	socklen_t proto_len = sizeof proto;
	char host[INET6_ADDRSTRLEN];
	const struct sockaddr_in *v4 = (const void *)&name;
	const struct sockaddr_in6 *v6 = (const void *)&name;
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &proto_len) < 0)
		return false;
	bool is_v4 = name.ss_family == AF_INET;
	if (!is_v4 && name.ss_family != AF_INET6)
		return false;
	const char *named = proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : proto == IPPROTO_SCTP ? "sctp" : "";
	(void)inet_ntop(name.ss_family, is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, host, sizeof host);
	return strcmp(named, order->proto) == 0 && strcmp(host, order->host) == 0 && ntohs(is_v4 ? v4->sin_port : v6->sin6_port) == order->host_port;
}

static struct port_spec *port_bound(struct spec *spec, const struct port_order *order)
{
	for (size_t i = 0; i < spec->ports; i++)
		if (bound_to(spec->port[i].fd, order))
			return &spec->port[i];
	return NULL;
}

static struct relay *relay_with(const struct shim *shim, int fd)
{
	struct relay *relay = shim->ports.relays;
	while (relay && relay->source.fd != fd)
		relay = relay->next;
	return relay;
}

static bool take_use(const struct port_order *order, struct port_spec *out)
{
	struct target target;
	out->kind = strcmp(order->use, "relay-tcp") == 0 ? PORT_RELAY_TCP : strcmp(order->use, "relay-udp") == 0 ? PORT_RELAY_UDP : PORT_RESERVE;
	if (out->kind == PORT_RESERVE)
		return strcmp(order->use, "reserve") == 0;
	if (!order->address || strlen(order->address) >= sizeof out->address || strcmp(order->proto, out->kind == PORT_RELAY_TCP ? "tcp" : "udp") != 0)
		return false;
	memcpy(out->address, order->address, strlen(order->address) + 1);
	out->port = order->port;
	return parse_target(out, &target);
}

// A relay that there is leads elsewhere for who comes from now on; connections that are under way stay.
static int use_port(struct shim *shim, struct port_spec *port, const struct port_spec *wanted)
{
	struct relay *relay = relay_with(shim, port->fd);
	int fd = port->fd, failed;
	if (relay && wanted->kind == PORT_RESERVE)
		return 0; // it goes on listening: whom the packet filter does not lead past it, it still serves
	struct port_spec before = *port;
	*port = *wanted;
	port->fd = fd;
	if (!relay) {
		failed = start_one(shim, port);
		if (failed)
			*port = before;
		return failed;
	}
	(void)parse_target(port, &relay->target);
	relay_udp_stop(relay); // each client's socket leads to the old one
	return 0;
}

int port_order(struct shim *shim, const struct port_order *order, int fd)
{
	struct spec *spec = &shim->spec;
	struct port_spec wanted = { .fd = fd }, *port = port_bound(spec, order);
	if (!take_use(order, &wanted) || (fd >= 0 && !bound_to(fd, order)))
		return -EINVAL;
	if (fd < 0)
		return port ? use_port(shim, port, &wanted) : -ENOENT;
	if (port || spec->ports == SPEC_PORTS)
		return port ? -EEXIST : -ENOSPC;
	int failed = start_one(shim, &wanted);
	if (failed == 0)
		spec->port[spec->ports++] = wanted;
	return failed;
}

int ports_start(struct shim *shim, struct error *err)
{
	for (size_t i = 0; i < shim->spec.ports; i++) {
		const struct port_spec *port = &shim->spec.port[i];
		int failed = start_one(shim, port);
		if (failed)
			return error_set(err, "system", failed, "port descriptor %d", port->fd);
	}
	return 0;
}

void ports_stop(struct shim *shim)
{
	while (shim->ports.relays) {
		struct relay *relay = shim->ports.relays;
		shim->ports.relays = relay->next;
		relay_tcp_stop(relay);
		relay_udp_stop(relay);
		timer_stop(&shim->loop, &relay->resume);
		loop_close(&shim->loop, &relay->source);
		free(relay);
	}
}
