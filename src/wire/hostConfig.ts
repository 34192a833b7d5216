/** `HostConfig`: Docker's JSON and our type. Key order and nulls as API 1.51 shows them. */
import type { HostConfig, PortBinding } from '../core/container/config.ts';
import { restartPolicyName } from '../core/container/validate.ts';
import { array, bigInt64, bool, decode, field, int, map, mapped, nullable, omitEmpty, optional, string, struct, uint64 } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';
import { nilIfEmpty, stringMap, strings, withProtocol } from './lists.ts';
import { NO_WINDOWS, resourceFields, resourcesFromWire } from './containerResources.ts';
import { mountConfig } from './mountConfig.ts';

const LogConfig = struct('container.LogConfig', { type: field('Type', string), config: field('Config', stringMap) });

const RestartPolicyStruct = struct('container.RestartPolicy', { name: field('Name', string), maximumRetryCount: field('MaximumRetryCount', int) });
export const restartPolicy = mapped(RestartPolicyStruct, {
  from: (wire) => ({ name: restartPolicyName(wire.name), maximumRetryCount: wire.maximumRetryCount }),
  to: (policy) => policy,
});

const Binding = struct('nat.PortBinding', { hostIp: field('HostIp', string), hostPort: field('HostPort', string) });

/** Bindings by port; a port without any is still published, anywhere. */
export const portBindings: Codec<Record<string, PortBinding[]>> = mapped(map(array(Binding)), {
  from: (wire) => {
    const result: Record<string, PortBinding[]> = {};
    for (const [port, bindings] of Object.entries(wire)) {
      const key = withProtocol(port);
      const all = bindings.length === 0 ? [{ hostIp: '', hostPort: '' }] : bindings;
      result[key] = [...result[key] ?? [], ...all];
    }
    return result;
  },
  to: (bindings) => bindings,
});

/** Rows and columns: what is missing is 0, what is too much is dropped. */
export const consoleSize: Codec<[number, number]> = mapped(array(uint64), {
  from: ([rows = 0, columns = 0]): [number, number] => [rows, columns],
  to: (size) => size,
});

const HostConfigStruct = struct('container.HostConfig', {
  binds: field('Binds', nilIfEmpty),
  containerIdFile: field('ContainerIDFile', string),
  logConfig: field('LogConfig', LogConfig),
  networkMode: field('NetworkMode', string),
  portBindings: field('PortBindings', portBindings),
  restartPolicy: field('RestartPolicy', restartPolicy),
  autoRemove: field('AutoRemove', bool),
  volumeDriver: field('VolumeDriver', string),
  volumesFrom: field('VolumesFrom', nilIfEmpty),
  consoleSize: field('ConsoleSize', consoleSize),
  annotations: omitEmpty('Annotations', stringMap),
  capAdd: field('CapAdd', nilIfEmpty),
  capDrop: field('CapDrop', nilIfEmpty),
  cgroupnsMode: field('CgroupnsMode', string),
  dns: field('Dns', strings),
  dnsOptions: field('DnsOptions', strings),
  dnsSearch: field('DnsSearch', strings),
  extraHosts: field('ExtraHosts', nilIfEmpty),
  groupAdd: field('GroupAdd', nilIfEmpty),
  ipcMode: field('IpcMode', string),
  cgroup: field('Cgroup', string),
  links: field('Links', nilIfEmpty),
  oomScoreAdj: field('OomScoreAdj', int),
  pidMode: field('PidMode', string),
  privileged: field('Privileged', bool),
  publishAllPorts: field('PublishAllPorts', bool),
  readonlyRootfs: field('ReadonlyRootfs', bool),
  securityOpt: field('SecurityOpt', nilIfEmpty),
  storageOpt: omitEmpty('StorageOpt', stringMap),
  tmpfs: omitEmpty('Tmpfs', stringMap),
  utsMode: field('UTSMode', string),
  usernsMode: field('UsernsMode', string),
  shmSize: field('ShmSize', bigInt64),
  sysctls: omitEmpty('Sysctls', stringMap),
  runtime: omitEmpty('Runtime', string),
  isolation: field('Isolation', string),
  ...resourceFields,
  mounts: omitEmpty('Mounts', mapped(array(mountConfig), { from: (mounts) => [...mounts], to: (mounts) => mounts })),
  maskedPaths: field('MaskedPaths', nullable(strings)),
  readonlyPaths: field('ReadonlyPaths', nullable(strings)),
  init: optional('Init', bool),
});

function fromWire(wire: Infer<typeof HostConfigStruct>): HostConfig {
  const { init, ...rest } = wire;
  return { ...rest, ...resourcesFromWire(rest), init: init ?? null };
}

export const hostConfig: Codec<HostConfig> = mapped(HostConfigStruct, {
  from: fromWire,
  to: (host) => ({ ...host, ...NO_WINDOWS, init: host.init ?? undefined }),
});

/** What a body without a `HostConfig` means. */
export const emptyHostConfig = (): HostConfig => decode(hostConfig, null);
