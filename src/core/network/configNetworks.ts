/** Networks that only lend their configuration (`--config-only`), and those that borrow one (`--config-from`); moby's rules and words. */
import { forbidden, notFound } from '../../base/errors.ts';
import type { NetworkPort, NetworkRecord } from '../ports/network.ts';

type Request = Parameters<NetworkPort['create']>[0];

/** What the request comes to with what it borrows. Throws if it may not lend, or borrow. */
export function withBorrowed(request: Request, networks: readonly NetworkRecord[]): Request {
  const { configOnly = false, configFrom = '' } = request;
  if (configOnly && (request.ingress || request.internal || request.attachable)) {
    throw forbidden('configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.');
  }
  if (configOnly && configFrom !== '') throw forbidden('a configuration network cannot depend on another configuration network');
  if (configFrom === '') return request;
  const { ipam, options, labels, enableIpv6 } = request;
  const own = [ipam.config, Object.keys(ipam.options), Object.keys(options), Object.keys(labels)].some(({ length }) => length > 0);
  if (own || enableIpv6) throw forbidden('user specified configurations are not supported if the network depends on a configuration network');
  const lender = networks.find((network) => network.configOnly === true && network.name === configFrom);
  if (lender === undefined) throw notFound(`configuration network "${configFrom}" not found`);
  return { ...request, enableIpv4: lender.enableIpv4, enableIpv6: lender.enableIpv6, ipam: lender.ipam, options: lender.options, labels: lender.labels };
}

/** A lender stays as long as somebody borrows. */
export function refuseLent(network: NetworkRecord, networks: readonly NetworkRecord[]): void {
  if (network.configOnly === true && networks.some(({ configFrom }) => configFrom === network.name)) throw forbidden(`configuration network "${network.name}" is in use`);
}
