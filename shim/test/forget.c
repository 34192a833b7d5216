#include "forget.h"
#include "services/flows.h"
#include <stdlib.h>
#include <sys/mman.h>

static void forget_flows(struct relay *relay)
{
	while (relay->tcp) {
		struct tcp_flow *flow = relay->tcp;
		relay->tcp = flow->next;
		free(flow);
	}
	while (relay->udp) {
		struct udp_flow *flow = relay->udp;
		relay->udp = flow->next;
		free(flow);
	}
}

void forget(struct shim *shim)
{
	while (shim->control.conns) {
		struct conn *c = shim->control.conns;
		shim->control.conns = c->next;
		outbuf_drop(&c->out);
		free(c);
	}
	while (shim->ports.relays) {
		struct relay *relay = shim->ports.relays;
		shim->ports.relays = relay->next;
		forget_flows(relay);
		free(relay);
	}
	if (shim->stdio.in_buffer)
		munmap(shim->stdio.in_buffer, STDIN_BUFFER);
	if (shim->writer.ring)
		munmap(shim->writer.ring, shim->writer.size);
	if (shim->writer.log.out)
		munmap(shim->writer.log.out, shim->writer.log.cap);
	free(shim->spec.text);
	*shim = (struct shim){ 0 };
}
