/** A container's desired state on disk (`containers/<id>/config.json`): the daemon is its only writer. */
import type { ContainerConfig, EndpointRequest, HostConfig } from './config.ts';
import type { MountPoint } from './mounts.ts';

export const CONTAINER_SCHEMA = 1;

/**
 * What the container is meant to be. `creating` and `removing` are steps that a crash may leave: the next start
 * undoes the first and finishes the second.
 */
export type Desired = 'creating' | 'created' | 'running' | 'stopped' | 'removing';

export interface ContainerRecord {
  schema: typeof CONTAINER_SCHEMA;
  id: string;
  /** Without the leading slash. */
  name: string;
  createdNs: bigint;
  desired: Desired;
  /** `sha256:…`; the reference that the user gave is `config.image`. */
  imageId: string;
  /** Chain id of the image's top layer, null for an image without layers. */
  layerParent: string | null;
  /** Storage driver that holds its writable layer: kept when the daemon's option changes. */
  storageDriver: string;
  /** The resolved command. */
  path: string;
  args: string[];
  config: ContainerConfig;
  hostConfig: HostConfig;
  mounts: MountPoint[];
  /** By network name or id as the user gave it; the network mode's own entry included. */
  networks: Record<string, EndpointRequest>;
  /** Where its last start put it in the cgroup tree, as its OCI spec says: options that change later do not move it. Absent before the first start. */
  cgroupsPath?: string;
  /** When it was last started by an order, not by its policy: the options of that time are in its bundle. Absent before the first start, and in older records. */
  launchedNs?: bigint;
  /** A start was answered at least once. */
  startedBefore: boolean;
  /** The last start failed with this text and exit code, before any process ran. */
  startFailure: { message: string; exitCode: number } | null;
  /** What `docker rm` was asked, kept so that a crash in between finishes the same. */
  removeVolumes: boolean;
}

/** One exec session (`containers/<id>/execs/<exec-id>/exec.json` in the exec root: a reboot voids it). */
export interface ExecRecord {
  schema: 1;
  id: string;
  containerId: string;
  createdNs: bigint;
  cmd: string[];
  env: string[];
  user: string;
  workingDir: string;
  privileged: boolean;
  tty: boolean;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  detachKeys: string;
  consoleSize: [number, number];
}
