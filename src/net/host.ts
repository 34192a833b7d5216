/** The host's own settings and routes, as far as networks need them. */
import { parseCidr } from '../base/cidr.ts';
import type { Cidr } from '../base/cidr.ts';
import { RouteSocket } from '../sys/netlinkRoute.ts';
import { ensureSysctl, readSysctl } from '../sys/sysctl.ts';

/** Turns forwarding on; true if that of v4 was off. */
export function enableForwarding(options: { v6: boolean }): boolean {
  const wasOff = readSysctl('net.ipv4.ip_forward') === '0';
  ensureSysctl('net.ipv4.ip_forward', '1');
  if (options.v6) {
    ensureSysctl('net.ipv6.conf.default.forwarding', '1');
    ensureSysctl('net.ipv6.conf.all.forwarding', '1');
  }
  return wasOff;
}

/** What a bridge needs beside its addresses. */
export function setBridgeSysctls(bridge: string, options: { loopbackPorts: boolean; v6: boolean; apart: boolean }): void {
  const name = bridge.replaceAll('.', '/');
  if (options.loopbackPorts) ensureSysctl(`net.ipv4.conf.${name}.route_localnet`, '1');
  // Containers on isolated ports do not hear each other: the host answers for them, and the packet filter says who meets whom.
  if (options.apart || readSysctl(`net.ipv4.conf.${name}.proxy_arp_pvlan`) === '1') {
    ensureSysctl(`net.ipv4.conf.${name}.proxy_arp_pvlan`, options.apart ? '1' : '0');
    ensureSysctl(`net.ipv4.conf.${name}.send_redirects`, options.apart ? '0' : '1');
  }
  ensureSysctl(`net.ipv6.conf.${name}.accept_ra`, '0');
  // While its link-local address is tentative, a router solicits nobody: a container's first second would be lost.
  ensureSysctl(`net.ipv6.conf.${name}.accept_dad`, '0');
  if (options.v6) ensureSysctl(`net.ipv6.conf.${name}.disable_ipv6`, '0');
}

/**
 * Containers that must not reach each other sit on isolated bridge ports. Where the packet filter sees bridged packets
 * too (br_netfilter) it drops them itself, and translates to published ports within the bridge, which isolation would
 * forbid.
 */
export const canIsolate = (): boolean => readSysctl('net.bridge.bridge-nf-call-iptables') !== '1';

/** What the host has routes to, except through one link; default routes count for nothing. */
export function routedPrefixes(except = ''): Cidr[] {
  using socket = new RouteSocket();
  const exceptIndex = except === '' ? -1 : socket.link(except)?.index ?? -1;
  return socket.routes().flatMap((route) => {
    if (route.prefixLength === 0 || route.oif === exceptIndex || route.dst === '') return [];
    return parseCidr(`${route.dst}/${route.prefixLength}`)?.cidr ?? [];
  });
}

/** The addresses (`a.b.c.d/n`) of a link, link-local ones apart; undefined if there is no such link. */
export function linkAddresses(name: string): string[] | undefined {
  using socket = new RouteSocket();
  const link = socket.link(name);
  if (link === undefined) return undefined;
  return socket.addresses()
    .filter(({ index, address }) => index === link.index && !address.startsWith('fe80:'))
    .map(({ address, prefixLength }) => `${address}/${prefixLength}`);
}
