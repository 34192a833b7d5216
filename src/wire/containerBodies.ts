/** Request bodies of the container and exec routes. */
import type { ContainerConfig, EndpointRequest, HostConfig } from '../core/container/config.ts';
import type { UpdateRequest } from '../core/container/update.ts';
import { invalid } from '../base/errors.ts';
import { array, bool, decodeBody, field, int, map, mapped, nullable, optional, string, struct } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';
import { configFromWire, containerConfigFields } from './containerConfig.ts';
import { nilIfEmpty, stringMap, strings } from './lists.ts';
import { resourceFields, resourcesFromWire } from './containerResources.ts';
import { consoleSize, emptyHostConfig, hostConfig, restartPolicy } from './hostConfig.ts';

const IpamConfig = struct('network.EndpointIPAMConfig', {
  ipv4Address: field('IPv4Address', string),
  ipv6Address: field('IPv6Address', string),
  linkLocalIps: field('LinkLocalIPs', strings),
});

const EndpointStruct = struct('network.EndpointSettings', {
  ipam: field('IPAMConfig', nullable(IpamConfig)),
  links: field('Links', nilIfEmpty),
  aliases: field('Aliases', nilIfEmpty),
  macAddress: field('MacAddress', string),
  driverOpts: field('DriverOpts', stringMap),
  gwPriority: field('GwPriority', int),
});

/** What is asked of one network; the parts that only an answer has are passed over. */
export const endpointRequest: Codec<EndpointRequest> = mapped(EndpointStruct, {
  from: ({ ipam, ...rest }): EndpointRequest => ({
    ...rest,
    ipv4Address: ipam?.ipv4Address ?? '',
    ipv6Address: ipam?.ipv6Address ?? '',
    linkLocalIps: [...ipam?.linkLocalIps ?? []],
  }),
  to: ({ ipv4Address, ipv6Address, linkLocalIps, ...rest }) => ({ ...rest, ipam: { ipv4Address, ipv6Address, linkLocalIps } }),
});

const NetworkingConfig = struct('network.NetworkingConfig', { endpoints: field('EndpointsConfig', map(endpointRequest)) });

const CreateBody = struct('container.CreateRequest', {
  ...containerConfigFields,
  macAddress: field('MacAddress', string),
  hostConfig: optional('HostConfig', hostConfig),
  networking: optional('NetworkingConfig', NetworkingConfig),
});

export interface CreateRequest {
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  readonly networks: Record<string, EndpointRequest>;
}

/** `POST /containers/create`. */
export function decodeCreate(text: string): CreateRequest {
  const { macAddress, hostConfig: host = emptyHostConfig(), networking, ...wire } = decodeBody(CreateBody, text);
  const networks: Record<string, EndpointRequest> = { ...networking?.endpoints };
  const mode = host.networkMode === '' ? 'default' : host.networkMode;
  if (macAddress !== '' && !mode.startsWith('container:')) {
    networks[mode] = withMac(networks[mode] ?? endpointRequest.zero(), macAddress);
  }
  return { config: configFromWire(wire), host, networks };
}

/** Before API 1.44 a container had one address, at the top of the body. */
function withMac(request: EndpointRequest, macAddress: string): EndpointRequest {
  if (request.macAddress !== '' && request.macAddress !== macAddress) {
    throw invalid('the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty');
  }
  return { ...request, macAddress };
}

const UpdateBody = struct('container.UpdateConfig', { ...resourceFields, restartPolicy: optional('RestartPolicy', restartPolicy) });

/** `POST /containers/{id}/update`. A policy without a name is none. */
export function decodeUpdate(text: string): UpdateRequest {
  const { restartPolicy: policy, ...wire } = decodeBody(UpdateBody, text);
  const named = policy !== undefined && (policy.name !== 'no' || /"name"\s*:\s*"no"/i.test(text));
  return { resources: resourcesFromWire(wire), ...(named && { restartPolicy: policy }) };
}

const ExecCreateBody = struct('container.ExecOptions', {
  user: field('User', string),
  privileged: field('Privileged', bool),
  tty: field('Tty', bool),
  consoleSize: optional('ConsoleSize', consoleSize),
  attachStdin: field('AttachStdin', bool),
  attachStderr: field('AttachStderr', bool),
  attachStdout: field('AttachStdout', bool),
  detachKeys: field('DetachKeys', string),
  env: field('Env', array(string)),
  workingDir: field('WorkingDir', string),
  cmd: field('Cmd', array(string)),
});
export type ExecCreateRequest = Infer<typeof ExecCreateBody>;

/** `POST /containers/{id}/exec`; invalid `No exec command specified`. */
export function decodeExecCreate(text: string): ExecCreateRequest {
  const request = decodeBody(ExecCreateBody, text);
  if (request.cmd.length === 0) throw invalid('No exec command specified');
  return request;
}

const ExecStartBody = struct('container.ExecStartOptions', {
  detach: field('Detach', bool),
  tty: field('Tty', bool),
  consoleSize: optional('ConsoleSize', consoleSize),
});
export type ExecStartRequest = Infer<typeof ExecStartBody>;

/** `POST /exec/{id}/start`. */
export function decodeExecStart(text: string): ExecStartRequest {
  const request = decodeBody(ExecStartBody, text);
  if (request.consoleSize !== undefined && !request.tty) throw invalid('console size is only supported when TTY is enabled');
  return request;
}
