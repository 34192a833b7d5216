/**
 * An image's config blob (OCI image spec, "Image Configuration"; Docker's is the same with more keys). The id of an image
 * is the digest of these bytes as they came, so they are kept as they came: this decodes them for the engine and
 * encodes only the configs of images that are made here.
 */
import { invalid } from '../../base/errors.ts';
import { stringify } from '../../base/json.ts';
import type { JsonObject } from '../../base/json.ts';
import type { ContainerConfig, HealthConfig } from '../container/config.ts';
import type { Image } from './image.ts';
import { count, flag, integer, member, objectAt, objectsAt, parseObject, stringMapAt, stringsAt, text } from './jsonFields.ts';
import { isSha256 } from './reference.ts';

/** What the config itself says of an image; the rest of `Image` is the store's. */
export type ImageConfig = Pick<Image, 'architecture' | 'os' | 'variant' | 'created' | 'author' | 'comment' | 'config' | 'diffIds' | 'history'>;

export const MAX_CONFIG_BYTES = 8 * 1024 * 1024;
const MAX_LAYERS = 1024;

/** Throws `invalid` for what is no image config. */
export function decodeImageConfig(bytes: Uint8Array): ImageConfig {
  if (bytes.length > MAX_CONFIG_BYTES) throw invalid('image config is too large');
  const root = parseObject(bytes, 'image config');
  const rootfs = member(root, 'rootfs');
  if (!(rootfs instanceof Map)) throw invalid('invalid image JSON, no RootFS key');
  return {
    architecture: text(root, 'architecture'),
    os: text(root, 'os') || 'linux',
    variant: text(root, 'variant'),
    created: text(root, 'created'),
    author: text(root, 'author'),
    comment: text(root, 'comment'),
    config: decodeDefaults(objectAt(root, 'config')),
    diffIds: decodeDiffIds(rootfs),
    history: objectsAt(root, 'history').map((entry) => ({
      created: text(entry, 'created'),
      createdBy: text(entry, 'created_by'),
      author: text(entry, 'author'),
      comment: text(entry, 'comment'),
      emptyLayer: flag(entry, 'empty_layer'),
    })),
  };
}

function decodeDiffIds(rootfs: JsonObject): string[] {
  const diffIds = stringsAt(rootfs, 'diff_ids') ?? [];
  if (diffIds.length > MAX_LAYERS) throw invalid(`image has too many layers (${diffIds.length})`);
  const bad = diffIds.find((diffId) => !isSha256(diffId));
  if (bad !== undefined) throw invalid(`invalid diff id ${JSON.stringify(bad)} in image config`);
  return diffIds;
}

/** The `config` object: a container's defaults. */
export function decodeDefaults(config: JsonObject): ContainerConfig {
  const healthcheck = member(config, 'Healthcheck');
  return {
    hostname: text(config, 'Hostname'),
    domainname: text(config, 'Domainname'),
    user: text(config, 'User'),
    attachStdin: flag(config, 'AttachStdin'),
    attachStdout: flag(config, 'AttachStdout'),
    attachStderr: flag(config, 'AttachStderr'),
    exposedPorts: [...objectAt(config, 'ExposedPorts').keys()],
    tty: flag(config, 'Tty'),
    openStdin: flag(config, 'OpenStdin'),
    stdinOnce: flag(config, 'StdinOnce'),
    env: stringsAt(config, 'Env') ?? [],
    cmd: stringsAt(config, 'Cmd'),
    entrypoint: stringsAt(config, 'Entrypoint'),
    ...(healthcheck instanceof Map ? { healthcheck: decodeHealth(healthcheck) } : {}),
    image: text(config, 'Image'),
    volumes: [...objectAt(config, 'Volumes').keys()],
    workingDir: text(config, 'WorkingDir'),
    networkDisabled: flag(config, 'NetworkDisabled'),
    onBuild: stringsAt(config, 'OnBuild') ?? [],
    labels: stringMapAt(config, 'Labels'),
    stopSignal: text(config, 'StopSignal'),
    ...(member(config, 'StopTimeout') === null ? {} : { stopTimeout: Number(integer(config, 'StopTimeout')) }),
    shell: stringsAt(config, 'Shell') ?? [],
  };
}

const decodeHealth = (health: JsonObject): HealthConfig => ({
  test: stringsAt(health, 'Test') ?? [],
  intervalNs: integer(health, 'Interval'),
  timeoutNs: integer(health, 'Timeout'),
  startPeriodNs: integer(health, 'StartPeriod'),
  startIntervalNs: integer(health, 'StartInterval'),
  retries: count(health, 'Retries'),
});

/** A config's defaults that say nothing. */
export const emptyDefaults = (): ContainerConfig => decodeDefaults(new Map());

/** The bytes of a config made here (commit, import, archives of the old form). */
export function encodeImageConfig(image: ImageConfig): Buffer {
  return Buffer.from(stringify({
    architecture: image.architecture,
    author: image.author || undefined,
    comment: image.comment || undefined,
    config: encodeDefaults(image.config),
    created: image.created,
    history: image.history.map((entry) => ({
      created: entry.created || undefined,
      author: entry.author || undefined,
      created_by: entry.createdBy || undefined,
      comment: entry.comment || undefined,
      empty_layer: entry.emptyLayer || undefined,
    })),
    os: image.os,
    rootfs: { type: 'layers', diff_ids: image.diffIds },
    variant: image.variant || undefined,
  }));
}

const keySet = (keys: readonly string[]): Record<string, object> | undefined =>
  keys.length === 0 ? undefined : Object.fromEntries(keys.toSorted().map((key) => [key, {}]));

const nonEmpty = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list);

function encodeDefaults(config: ContainerConfig): Record<string, unknown> {
  return {
    Hostname: config.hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ExposedPorts: keySet(config.exposedPorts),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: nonEmpty(config.env) ?? null,
    Cmd: config.cmd,
    Healthcheck: config.healthcheck && encodeHealth(config.healthcheck),
    Image: config.image,
    Volumes: keySet(config.volumes) ?? null,
    WorkingDir: config.workingDir,
    Entrypoint: config.entrypoint,
    NetworkDisabled: config.networkDisabled || undefined,
    OnBuild: nonEmpty(config.onBuild) ?? null,
    Labels: Object.keys(config.labels).length === 0 ? null : config.labels,
    StopSignal: config.stopSignal || undefined,
    StopTimeout: config.stopTimeout,
    Shell: nonEmpty(config.shell),
  };
}

const encodeHealth = (health: HealthConfig): Record<string, unknown> => ({
  Test: nonEmpty(health.test),
  Interval: health.intervalNs || undefined,
  Timeout: health.timeoutNs || undefined,
  StartPeriod: health.startPeriodNs || undefined,
  StartInterval: health.startIntervalNs || undefined,
  Retries: health.retries || undefined,
});
