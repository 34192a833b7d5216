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
	if (fcntl(port->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return port->kind == PORT_RELAY_TCP ? relay_tcp_start(relay) : relay_udp_start(relay);
}

int ports_resume(struct shim *shim)
{
	int failed = 0;
	for (struct relay *relay = shim->ports.relays; relay && !failed; relay = relay->next)
		failed = relay->kind == PORT_RELAY_TCP ? relay_tcp_resume(relay) : relay_udp_resume(relay);
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
