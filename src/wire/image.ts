/** Images as API 1.51 shows them, and what requests about them carry. */
import { rfc3339Nano } from '../base/clock.ts';
import { JsonSyntaxError, parseJson } from '../base/json.ts';
import { invalid } from '../base/errors.ts';
import type { ContainerConfig } from '../core/container/config.ts';
import type { Image } from '../core/image/image.ts';
import { createdNs } from '../core/image/list.ts';
import type { HistoryEntry } from '../core/image/list.ts';
import { hostPlatform } from '../core/image/platform.ts';
import type { DistributionInspect, ImageDeletion, RegistryAuth } from '../core/ports/images.ts';
import { ContainerConfigCodec } from './containerConfig.ts';
import { decode, field, string, struct, JsonDecodeError } from './goJson.ts';
import type { ApiVersion } from './version.ts';

const seconds = (ns: bigint): number => Number(ns / 1_000_000_000n);
const NO_NAME = '<none>:<none>';

export interface ListView {
  readonly apiVersion: ApiVersion;
  /** -1: not counted. */
  readonly sharedSize: number;
}

/** A line of `GET /images/json`. */
export function imageSummary(image: Image, { apiVersion, sharedSize }: ListView): unknown {
  const nameless = image.repoTags.length === 0 && image.repoDigests.length === 0 && !apiVersion.atLeast('1.43');
  return {
    Containers: -1,
    Created: seconds(createdNs(image)),
    Id: image.id,
    Labels: Object.keys(image.config.labels).length === 0 ? null : image.config.labels,
    ParentId: image.parent,
    RepoDigests: nameless ? ['<none>@<none>'] : image.repoDigests,
    RepoTags: nameless ? [NO_NAME] : image.repoTags,
    SharedSize: sharedSize,
    Size: image.size,
    ...(apiVersion.atLeast('1.44') ? {} : { VirtualSize: image.size }),
  };
}

export interface InspectView {
  readonly apiVersion: ApiVersion;
  /** The storage driver that holds the layers. */
  readonly driver: string;
}

/** `GET /images/{name}/json` */
export function imageInspect(image: Image, { apiVersion, driver }: InspectView): unknown {
  const config = ContainerConfigCodec.encode(image.config);
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent,
    Comment: image.comment,
    Created: image.created || undefined,
    DockerVersion: '',
    Author: image.author,
    Config: apiVersion.atLeast('1.50') ? imageDefaults(image.config) : config,
    Architecture: image.architecture || hostPlatform().architecture,
    Variant: image.variant || undefined,
    Os: image.os,
    Size: image.size,
    ...(apiVersion.atLeast('1.44') ? {} : { VirtualSize: image.size }),
    GraphDriver: { Data: null, Name: driver },
    RootFS: { Type: 'layers', Layers: image.diffIds.length === 0 ? undefined : image.diffIds },
    Metadata: { LastTagTime: rfc3339Nano(image.repoTags.length === 0 ? 0n : image.addedNs) },
  };
}

/** Since 1.50 an image's config has only what an image can say, and only what it says. */
function imageDefaults(config: ContainerConfig): unknown {
  const set = (keys: readonly string[]): Record<string, object> | undefined =>
    keys.length === 0 ? undefined : Object.fromEntries(keys.toSorted().map((key) => [key, {}]));
  const list = <T>(items: readonly T[]): readonly T[] | undefined => (items.length === 0 ? undefined : items);
  const full = ContainerConfigCodec.encode(config);
  return {
    User: config.user || undefined,
    ExposedPorts: set(config.exposedPorts),
    Env: list(config.env),
    Entrypoint: list(config.entrypoint ?? []),
    Cmd: list(config.cmd ?? []),
    Volumes: set(config.volumes),
    WorkingDir: config.workingDir || undefined,
    Labels: Object.keys(config.labels).length === 0 ? undefined : config.labels,
    StopSignal: config.stopSignal || undefined,
    Healthcheck: typeof full === 'object' && full !== null && 'Healthcheck' in full ? full.Healthcheck : undefined,
    OnBuild: list(config.onBuild),
    Shell: list(config.shell),
  };
}

/** `GET /images/{name}/history` */
export const historyView = (entries: readonly HistoryEntry[]): unknown =>
  entries.map((entry) => ({
    Comment: entry.comment,
    Created: seconds(entry.createdNs),
    CreatedBy: entry.createdBy,
    Id: entry.id,
    Size: entry.size,
    Tags: entry.tags.length === 0 ? null : entry.tags,
  }));

export const deletionsView = (deletions: readonly ImageDeletion[]): unknown[] =>
  deletions.map((deletion) => ('untagged' in deletion ? { Untagged: deletion.untagged } : { Deleted: deletion.deleted }));

/** `GET /distribution/{name}/json` */
export const distributionView = ({ descriptor, platforms }: DistributionInspect): unknown => ({
  Descriptor: descriptor,
  Platforms: platforms.map(({ architecture, os, variant }) => ({ architecture, os, ...(variant === '' ? {} : { variant }) })),
});

const AuthConfig = struct('registry.AuthConfig', {
  username: field('username', string),
  password: field('password', string),
  auth: field('auth', string),
  email: field('email', string),
  serverAddress: field('serveraddress', string),
  identityToken: field('identitytoken', string),
  registryToken: field('registrytoken', string),
});

/** The body of `POST /auth`. */
export { AuthConfig as AuthBody };

/** The `X-Registry-Auth` header (base64url of JSON); null if it is absent, empty or unreadable, which Docker overlooks. */
export function decodeRegistryAuth(header: string): RegistryAuth | null {
  if (header === '') return null;
  try {
    const value = decode(AuthConfig, parseJson(Buffer.from(header, 'base64url').toString('utf8')));
    const { username, password, serverAddress, identityToken, registryToken } = value;
    if (username === '' && identityToken === '' && registryToken === '') return null;
    return { username, password, serverAddress, identityToken, registryToken };
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof JsonDecodeError) return null;
    throw error;
  }
}

const OciPlatform = struct('v1.Platform', { architecture: field('architecture', string), os: field('os', string), variant: field('variant', string) });

/** The `platform` parameter where it is JSON (load, save, history, inspect, push), as `os/architecture/variant`; empty if absent. */
export function decodePlatform(text: string): string {
  if (text === '') return '';
  try {
    const { os, architecture, variant } = decode(OciPlatform, parseJson(text));
    if (os === '' || architecture === '') throw invalid(`invalid platform: ${text}: os and architecture are required`);
    return [os, architecture, variant].filter((part) => part !== '').join('/');
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof JsonDecodeError) throw invalid(`failed to parse platform: ${error.message}`, error);
    throw error;
  }
}
