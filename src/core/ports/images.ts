import type { EventLogPort } from './eventLog.ts';
import type { Readable } from 'node:stream';
import type { ContainerConfig } from '../container/config.ts';
import type { ChainId, Image } from '../image/image.ts';

/** One object of a progress stream, Docker's `jsonmessage` with our field names; `wire/` writes it. */
export type Progress =
  | { kind: 'status'; status: string; id?: string; progress?: { current: number; total: number }; layer?: boolean }
  | { kind: 'stream'; text: string }
  | { kind: 'aux'; value: Record<string, unknown> };

export type ProgressSink = (progress: Progress) => void;

export interface RegistryAuth {
  username?: string;
  password?: string;
  serverAddress?: string;
  identityToken?: string;
  registryToken?: string;
}

export interface PullOptions {
  /** Reference as given, with tag or digest (`busybox`, `reg:5000/a/b:1`, `a@sha256:…`). */
  reference: string;
  allTags: boolean;
  /** `linux/arm64/v8`, or empty for the host's. */
  platform: string;
  auth: RegistryAuth | null;
  progress: ProgressSink;
  signal: AbortSignal;
}

/** What removing an image did, in order: `Untagged`/`Deleted` of `DELETE /images`. */
export type ImageDeletion = { untagged: string } | { deleted: string };

/** For `docker events` (type image): pull, tag, untag, delete, load, import; save and push, which change nothing, are only published. */
export type ImageEvents = Pick<EventLogPort, 'publish' | 'telling'>;

/** A container and the image it was made of. */
export interface ImageUse {
  id: string;
  imageId: string;
  running: boolean;
}

/** What a registry says of a reference (`GET /distribution/{name}/json`). */
export interface DistributionInspect {
  descriptor: { mediaType: string; digest: string; size: number };
  platforms: { architecture: string; os: string; variant: string }[];
}

/** Images: the content-addressed store, registries and archives. Errors in Docker's words (engine-api A7, A8, A14). */
export interface ImagePort {
  /** name[:tag], name@digest, id or unique id prefix; not-found `No such image: x:latest`. */
  resolve(reference: string): Promise<Image>;
  get(id: string): Promise<Image | undefined>;
  list(): Promise<Image[]>;
  /** The chain id of the image's top layer. */
  topLayer(image: Image): ChainId;
  pull(options: PullOptions): Promise<void>;
  push(options: { reference: string; auth: RegistryAuth | null; allTags: boolean; progress: ProgressSink; signal: AbortSignal }): Promise<void>;
  load(tar: Readable, options: { quiet: boolean; platform: string; progress: ProgressSink; signal: AbortSignal }): Promise<void>;
  save(references: string[], signal: AbortSignal): Promise<Readable>;
  import(tar: Readable, options: { repo: string; tag: string; message: string; changes: string[]; platform: string; progress: ProgressSink; signal: AbortSignal }): Promise<string>;
  /** An archive from the web (`docker import URL`), to be read or destroyed. */
  fetch(source: string, progress: ProgressSink, signal: AbortSignal): Promise<Readable>;
  /** A new image of one more layer over `parent` (`docker commit`). */
  commit(options: { parent: Image | null; diff: Readable; config: ContainerConfig; author: string; comment: string; createdBy: string; reference: string; containerId: string }): Promise<Image>;
  tag(source: string, repo: string, tag: string): Promise<void>;
  /**
   * Docker's rules for `docker rmi`: untags by name, deletes by id when nothing else refers to it. `usedBy` lists
   * containers by image id, for the refusals.
   */
  remove(reference: string, options: { force: boolean; noPrune: boolean; usedBy: ImageUse[] }): Promise<ImageDeletion[]>;
  /** Removes what nobody uses: images without a name, with `all` also those with one, as far as `matches` says. */
  prune(options: { all: boolean; matches(image: Image): boolean; usedBy: ImageUse[] }): Promise<{ deleted: ImageDeletion[]; reclaimed: number }>;
  /**
   * Frees the layers of images that were removed by force while a stopped container used them, once no container of
   * `inUse` (image ids) does. To be called after containers were removed; cheap when there is nothing to do.
   */
  collect(inUse: ReadonlySet<string>): Promise<void>;
  /** What the registry has under a reference, without pulling it. */
  inspectRemote(options: { reference: string; auth: RegistryAuth | null; signal: AbortSignal }): Promise<DistributionInspect>;
  /** Whether a registry takes these credentials (`docker login`); throws `unauthorized` if not. */
  authenticate(auth: RegistryAuth, signal: AbortSignal): Promise<{ status: string; identityToken: string }>;
  /** Finishes or undoes what a crash left (temporary blobs, layers nobody refers to). Called once, at start. */
  recover(): Promise<void>;
}
