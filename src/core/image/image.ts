import type { ContainerConfig } from '../container/config.ts';

/** An image as the engine sees it, decoded from its config blob (OCI image spec, "Image Configuration"). */
export interface Image {
  /** `sha256:…` of the config's bytes. */
  id: string;
  architecture: string;
  os: string;
  variant: string;
  /** RFC 3339 as in the config; empty if absent. */
  created: string;
  author: string;
  comment: string;
  config: ContainerConfig;
  /** `sha256:…` of each layer's uncompressed tar, lowest first. */
  diffIds: string[];
  history: { created: string; createdBy: string; author: string; comment: string; emptyLayer: boolean }[];
  /** `docker.io/library/busybox:latest` style references in familiar form (`busybox:latest`). */
  repoTags: string[];
  repoDigests: string[];
  /** Bytes of each layer's own files, lowest first. */
  layerSizes: number[];
  /** Their sum. */
  size: number;
  /** When it came into this store, ns. */
  addedNs: bigint;
  /** Parent image (`docker commit`), or empty. */
  parent: string;
}

/** Chain id of the top layer, or null for an image without layers. */
export type ChainId = string | null;
