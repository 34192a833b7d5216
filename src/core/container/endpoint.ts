/** Whether what is asked of one network makes sense, before the network is looked at. */
import { isIPv4, isIPv6 } from 'node:net';
import { invalid } from '../../base/errors.ts';
import type { EndpointRequest } from './config.ts';
import { isUserDefinedNetwork } from './modes.ts';

/** Throws `invalid endpoint settings:` with all problems, one a line. */
export function validateEndpoint(network: string, request: EndpointRequest): void {
  const userDefined = isUserDefinedNetwork(network);
  const problems: string[] = [];
  const check = (wrong: boolean, text: string): void => {
    if (wrong) problems.push(text);
  };
  const { ipv4Address, ipv6Address } = request;
  check(!userDefined && ipv4Address + ipv6Address !== '', 'user specified IP address is supported on user defined networks only');
  check(!userDefined && request.aliases.length > 0, 'network-scoped alias is supported only for containers in user defined networks');
  check(ipv4Address !== '' && !isIPv4(ipv4Address), `invalid IPv4 address: ${ipv4Address}`);
  check(ipv6Address !== '' && !isIPv6(ipv6Address), `invalid IPv6 address: ${ipv6Address}`);
  for (const address of request.linkLocalIps) {
    check(!isIPv4(address) && !isIPv6(address), `invalid link-local IP address: ${address}`);
  }
  check(request.macAddress !== '' && !MAC.test(request.macAddress), `invalid MAC address: ${request.macAddress}`);
  if (problems.length > 0) throw invalid(`invalid endpoint settings:\n${problems.join('\n')}`);
}

const MAC = /^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/;
