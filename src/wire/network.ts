/** How networks are asked for and shown (engine-api A8). */
import { rfc3339Nano } from '../base/clock.ts';
import { invalid } from '../base/errors.ts';
import { isPredefined } from '../core/network/bridge.ts';
import type { EndpointRecord, IpamConfig, NetworkPort, NetworkRecord } from '../core/ports/network.ts';
import { endpointRequest } from './containerBodies.ts';
import { array, bool, field, mapped, nullable, optional, string, struct } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';
import { stringMap } from './lists.ts';

const IpamConfigStruct = struct('network.IPAMConfig', {
  subnet: field('Subnet', string),
  ipRange: field('IPRange', string),
  gateway: field('Gateway', string),
  auxAddresses: field('AuxiliaryAddresses', stringMap),
});

const Ipam = struct('network.IPAM', {
  driver: field('Driver', string),
  options: field('Options', stringMap),
  config: field('Config', array(IpamConfigStruct)),
});

const ConfigReference = struct('network.ConfigReference', { network: field('Network', string) });

/** `POST /networks/create`. */
export const NetworkCreateBody = struct('network.CreateRequest', {
  name: field('Name', string),
  driver: field('Driver', string),
  scope: field('Scope', string),
  enableIpv4: optional('EnableIPv4', bool),
  enableIpv6: optional('EnableIPv6', bool),
  ipam: optional('IPAM', Ipam),
  internal: field('Internal', bool),
  attachable: field('Attachable', bool),
  ingress: field('Ingress', bool),
  configOnly: field('ConfigOnly', bool),
  configFrom: field('ConfigFrom', nullable(ConfigReference)),
  options: field('Options', stringMap),
  labels: field('Labels', stringMap),
});

/** Per-driver default of `EnableIPv6`, settable as a default network option. */
const ENABLE_IPV4 = 'com.docker.network.enable_ipv4';
const ENABLE_IPV6 = 'com.docker.network.enable_ipv6';

/** What a body asks of the network room, Docker's defaults filled in. */
export function networkRequest(body: Infer<typeof NetworkCreateBody>): Parameters<NetworkPort['create']>[0] & { driver: string } {
  const { [ENABLE_IPV4]: v4, [ENABLE_IPV6]: v6, ...options } = body.options;
  const driver = body.driver === '' || body.driver === 'default' ? 'bridge' : body.driver;
  return {
    name: body.name,
    // Nothing drives a network that only lends its configuration.
    driver: (body.configOnly ? 'null' : driver) as NetworkRecord['driver'],
    ...(body.configOnly ? { configOnly: true } : {}),
    ...(body.configFrom === null || body.configFrom.network === '' ? {} : { configFrom: body.configFrom.network }),
    enableIpv4: body.enableIpv4 ?? boolOption(ENABLE_IPV4, v4, true),
    enableIpv6: body.enableIpv6 ?? boolOption(ENABLE_IPV6, v6, false),
    internal: body.internal,
    attachable: body.attachable,
    ingress: body.ingress,
    options,
    labels: body.labels,
    ipam: {
      driver: body.ipam === undefined || body.ipam.driver === '' ? 'default' : body.ipam.driver,
      options: body.ipam?.options ?? {},
      config: (body.ipam?.config ?? []).map((entry) => ({ ...entry })),
    },
  };
}

function boolOption(name: string, value: string | undefined, absent: boolean): boolean {
  if (value === undefined) return absent;
  if (!/^(true|false|1|0)$/i.test(value)) throw invalid(`option ${name} is not a valid boolean: ${value}`);
  return value === '1' || value.toLowerCase() === 'true';
}

/** `POST /networks/{id}/connect`. */
export const ConnectBody = struct('network.ConnectOptions', {
  container: field('Container', string),
  endpoint: field('EndpointConfig', defaulted(endpointRequest)),
});

/** `POST /networks/{id}/disconnect`. */
export const DisconnectBody = struct('network.DisconnectOptions', {
  container: field('Container', string),
  force: field('Force', bool),
});

/** Null is the zero value. */
function defaulted<T>(codec: Codec<T>): Codec<T> {
  return mapped(nullable(codec), { from: (value) => value ?? codec.zero(), to: (value) => value });
}

/** A running container on a network. */
export interface AttachedContainer {
  readonly containerId: string;
  /** Without the slash. */
  readonly name: string;
  readonly endpoint: EndpointRecord;
}

/** `GET /networks/{id}`, and with no containers an item of `GET /networks`. */
export function networkView(network: NetworkRecord, attached: readonly AttachedContainer[]): unknown {
  return {
    Name: network.name,
    Id: network.id,
    Created: rfc3339Nano(network.createdNs),
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv4: network.enableIpv4,
    EnableIPv6: network.enableIpv6,
    IPAM: {
      Driver: network.ipam.driver,
      // Nobody gave the predefined ones any; null, as dockerd has it.
      Options: isPredefined(network.name) ? null : network.ipam.options,
      Config: network.driver !== 'bridge' && network.configOnly !== true ? null : network.ipam.config.map(ipamView),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: network.configFrom ?? '' },
    ConfigOnly: network.configOnly === true,
    Containers: Object.fromEntries(attached.map(({ containerId, name, endpoint }) => [containerId, {
      Name: name,
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress,
      IPv4Address: endpoint.ipv4 === '' ? '' : `${endpoint.ipv4}/${endpoint.ipv4PrefixLength}`,
      IPv6Address: endpoint.ipv6 === '' ? '' : `${endpoint.ipv6}/${endpoint.ipv6PrefixLength}`,
    }])),
    Options: network.options,
    Labels: network.labels,
  };
}

function ipamView(entry: IpamConfig): unknown {
  return {
    Subnet: entry.subnet,
    ...(entry.ipRange === '' ? {} : { IPRange: entry.ipRange }),
    ...(entry.gateway === '' ? {} : { Gateway: entry.gateway }),
    ...(Object.keys(entry.auxAddresses).length === 0 ? {} : { AuxiliaryAddresses: entry.auxAddresses }),
  };
}
