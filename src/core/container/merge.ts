/** A container's configuration over its image's, field by field as Docker does. */
import { invalid } from '../../base/errors.ts';
import { nameOf } from '../oci/env.ts';
import type { ContainerConfig, HealthConfig } from './config.ts';

/** What the image says wherever the user says nothing; invalid `no command specified` if neither names a command. */
export function mergeImageConfig(user: ContainerConfig, image: ContainerConfig | null): ContainerConfig {
  const merged = image === null ? { ...user } : overImage(user, image);
  // The way to say "without the image's entrypoint".
  if (merged.entrypoint?.length === 1 && merged.entrypoint[0] === '') merged.entrypoint = null;
  if ((merged.entrypoint ?? []).length === 0 && (merged.cmd ?? []).length === 0) throw invalid('no command specified');
  return merged;
}

function overImage(user: ContainerConfig, image: ContainerConfig): ContainerConfig {
  const healthcheck = mergeHealthcheck(user.healthcheck, image.healthcheck);
  return {
    ...user,
    ...commandOf(user, image),
    ...(healthcheck !== undefined && { healthcheck }),
    user: user.user === '' ? image.user : user.user,
    exposedPorts: union(user.exposedPorts, image.exposedPorts),
    env: mergeImageEnv(user.env, image.env),
    labels: { ...image.labels, ...user.labels },
    workingDir: user.workingDir === '' ? image.workingDir : user.workingDir,
    volumes: union(user.volumes, image.volumes),
    stopSignal: user.stopSignal === '' ? image.stopSignal : user.stopSignal,
    shell: user.shell.length === 0 ? [...image.shell] : user.shell,
  };
}

/** An entrypoint of the user's takes the image's command away. */
function commandOf(user: ContainerConfig, image: ContainerConfig): Pick<ContainerConfig, 'cmd' | 'entrypoint'> {
  if (user.entrypoint !== null && user.entrypoint.length > 0) return { cmd: user.cmd, entrypoint: user.entrypoint };
  const given = user.cmd !== null && user.cmd.length > 0;
  return { cmd: given ? user.cmd : image.cmd, entrypoint: user.entrypoint ?? image.entrypoint };
}

const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])];

/** The user's variables, then those of the image that the user does not set. */
function mergeImageEnv(user: readonly string[], image: readonly string[]): string[] {
  const names = new Set(user.map(nameOf));
  return [...user, ...image.filter((entry) => !names.has(nameOf(entry)))];
}

function mergeHealthcheck(user: HealthConfig | undefined, image: HealthConfig | undefined): HealthConfig | undefined {
  if (user === undefined || image === undefined) return user ?? image;
  return {
    test: user.test.length === 0 ? image.test : user.test,
    intervalNs: user.intervalNs === 0n ? image.intervalNs : user.intervalNs,
    timeoutNs: user.timeoutNs === 0n ? image.timeoutNs : user.timeoutNs,
    startPeriodNs: user.startPeriodNs === 0n ? image.startPeriodNs : user.startPeriodNs,
    startIntervalNs: user.startIntervalNs === 0n ? image.startIntervalNs : user.startIntervalNs,
    retries: user.retries === 0 ? image.retries : user.retries,
  };
}
