/** `Config` of a container and of an image: Docker's JSON and our type. Key order and nulls as API 1.51 shows them. */
import type { ContainerConfig, HealthConfig } from '../core/container/config.ts';
import { array, bool, duration, field, int, mapped, nullable, omitEmpty, optional, string, stringOrStrings, stringSet, struct } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';
import { nilIfEmpty, stringMap, strings, withProtocol } from './lists.ts';

export { hostConfig as HostConfigCodec } from './hostConfig.ts';

const Health = struct('container.HealthConfig', {
  test: omitEmpty('Test', array(string)),
  intervalNs: omitEmpty('Interval', duration),
  timeoutNs: omitEmpty('Timeout', duration),
  startPeriodNs: omitEmpty('StartPeriod', duration),
  startIntervalNs: omitEmpty('StartInterval', duration),
  retries: omitEmpty('Retries', int),
});

export const healthConfig: Codec<HealthConfig> = mapped(Health, {
  from: (wire): HealthConfig => ({ ...wire, test: [...wire.test] }),
  to: (health) => health,
});

/** Keys of a set as a list; nil if empty. */
const nilSet: Codec<string[]> = mapped(nullable(stringSet), {
  from: (set): string[] => [...set ?? []],
  to: (list) => (list.length === 0 ? null : new Set(list)),
});

const ports: Codec<string[]> = mapped(stringSet, { from: (set) => [...set].map(withProtocol), to: (list) => new Set(list) });

const command: Codec<string[] | null> = mapped(stringOrStrings, { from: (list) => (list === null ? null : [...list]), to: (list) => list });

/** The fields, to be spread into the create body, which has them at its top. */
export const containerConfigFields = {
  hostname: field('Hostname', string),
  domainname: field('Domainname', string),
  user: field('User', string),
  attachStdin: field('AttachStdin', bool),
  attachStdout: field('AttachStdout', bool),
  attachStderr: field('AttachStderr', bool),
  exposedPorts: omitEmpty('ExposedPorts', ports),
  tty: field('Tty', bool),
  openStdin: field('OpenStdin', bool),
  stdinOnce: field('StdinOnce', bool),
  env: field('Env', strings),
  cmd: field('Cmd', command),
  healthcheck: optional('Healthcheck', healthConfig),
  image: field('Image', string),
  volumes: field('Volumes', nilSet),
  workingDir: field('WorkingDir', string),
  entrypoint: field('Entrypoint', command),
  networkDisabled: omitEmpty('NetworkDisabled', bool),
  onBuild: field('OnBuild', nilIfEmpty),
  labels: field('Labels', stringMap),
  stopSignal: omitEmpty('StopSignal', string),
  stopTimeout: optional('StopTimeout', int),
  shell: omitEmpty('Shell', strings),
};

const Config = struct('container.Config', containerConfigFields);

export function configFromWire(wire: Infer<typeof Config>): ContainerConfig {
  const { healthcheck, stopTimeout, ...rest } = wire;
  return { ...rest, ...(healthcheck !== undefined && { healthcheck }), ...(stopTimeout !== undefined && { stopTimeout }) };
}

export const ContainerConfigCodec: Codec<ContainerConfig> = mapped(Config, {
  from: configFromWire,
  to: (config) => ({ ...config, healthcheck: config.healthcheck, stopTimeout: config.stopTimeout }),
});
