import type { Readable } from 'node:stream';

/** A mounted or mountable root: what a container writes to, over its image's layers. */
export interface RwLayer {
  /** The container's id. */
  readonly id: string;
  /** Absolute path at which the root appears while mounted. */
  readonly mountPath: string;
}

/** One changed path of a container against its image (`docker diff`): 0 modified, 1 added, 2 deleted. */
export interface Change {
  path: string;
  kind: 0 | 1 | 2;
}

/**
 * Layers of one storage driver. Read-only layers are known by chain id (OCI image spec, "Layer ChainID"); a container's
 * writable layer by the container's id. Every method is idempotent: a repeated call after a crash finishes the work.
 */
export interface LayerPort {
  readonly driver: string;
  /** True if the layer is there whole. */
  has(chainId: string): Promise<boolean>;
  /**
   * Extracts an uncompressed layer tar as the child of `parent` (null: a base layer). Verifies that the bytes hash to
   * `diffId` (invalid error otherwise, nothing left). The layer is durable before this resolves. `size` is the sum of
   * its files' bytes.
   */
  apply(tar: Readable, options: { chainId: string; diffId: string; parent: string | null; signal?: AbortSignal }): Promise<{ size: number }>;
  /** Bytes of a layer's own files. */
  size(chainId: string): Promise<number>;
  remove(chainId: string): Promise<void>;
  /** The layer as an uncompressed tar whose sha256 is its diffId again. */
  tar(chainId: string): Promise<Readable>;
  list(): Promise<string[]>;

  /** Makes a writable layer over an image's top layer (null: an empty image). */
  createRw(id: string, parent: string | null, options: { storageOpt: Record<string, string> }): Promise<RwLayer>;
  /** Mounts it (if it is not) and returns the root's path. */
  mountRw(id: string): Promise<string>;
  unmountRw(id: string): Promise<void>;
  removeRw(id: string): Promise<void>;
  listRw(): Promise<string[]>;
  /** Bytes in the writable layer. */
  sizeRw(id: string): Promise<number>;
  changes(id: string): Promise<Change[]>;
  /** The writable layer as an uncompressed OCI layer tar (whiteouts and all), for commit. */
  diffTar(id: string): Promise<Readable>;
  /** Pairs for `docker info` (`Backing Filesystem`, …). */
  status(): Promise<[string, string][]>;
}

/** `Lstat` of a path in a container (engine-api: X-Docker-Container-Path-Stat); `mode` is Go's os.FileMode. */
export interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtimeNs: bigint;
  linkTarget: string;
}

/** Where a container's files are to be seen: its root and, in order, what is mounted over it. */
export interface FsView {
  /** Path of the root: the mounted rwlayer, or `/proc/<pid>/root` of a running container. */
  root: string;
  readOnlyRoot: boolean;
  /** The container's bind mounts and volumes. `readOnly` ones refuse to be written to. */
  mounts: { source: string; target: string; readOnly: boolean }[];
  /** Whether the mounts are in place (a running container); if not they are made, for the operation and unseen by others. */
  mounted: boolean;
}

/** `docker cp` and `docker export`: confined to the container's root by the kernel (chroot), not by string checks. */
export interface ArchivePort {
  stat(view: FsView, path: string): Promise<PathStat>;
  /** A tar of the path, its top entry renamed to the path's base name. */
  read(view: FsView, path: string): Promise<{ stat: PathStat; tar: Readable }>;
  /** Extracts a tar (plain, gzip, bzip2, xz, zstd) into the directory `path`. */
  write(view: FsView, path: string, tar: Readable, options: { noOverwriteDirNonDir: boolean; copyUidGid?: { uid: number; gid: number } }): Promise<void>;
  /** The whole root as a tar (`docker export`), mounts left out. */
  exportRoot(root: string): Promise<Readable>;
  /** Copies the content of `target` inside the root to an empty volume (`-v` on a path that the image has), owners and modes kept. True if anything was copied. */
  populate(root: string, target: string, volumePath: string): Promise<boolean>;
}
