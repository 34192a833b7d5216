import type { HostDevices } from '../oci/devices.ts';
import type { SysInfo } from '../container/sysInfo.ts';
import type { HostFacts } from '../oci/spec.ts';

/** What the engine asks of the host it runs on, apart from containers. */
export interface HostPort {
  /** At most `maxBytes` of a regular file inside a root, no symlink followed out of it (openat2 RESOLVE_IN_ROOT); undefined if it is not there. */
  readFileInRoot(root: string, path: string, maxBytes: number): Promise<Buffer | undefined>;
  /** A host path inside a root, symlinks resolved within it; not-found if it is not there. */
  pathInRoot(root: string, path: string): Promise<string>;
  /** Whether a path of the host is there, links followed. */
  exists(path: string): boolean;
  /** Creates the folder of a `-v` bind whose source is missing, as Docker does. */
  makeBindSource(path: string): Promise<void>;
  /** The host's resolv.conf (systemd-resolved's real one where the stub is in use). */
  resolvConf(): Promise<string>;
  bootId(): string;
  /** What the kernel can do, read once. */
  facts(): HostFacts;
  devices(): HostDevices;
  /** Which limits the kernel and the cgroups can enforce. */
  sysInfo(): SysInfo;
  /** Where an init for `--init` lies (docker-init or tini); undefined: there is none. */
  initPath(): string | undefined;
  /** A tmpfs for the /dev/shm that containers share; a mounted one is left alone. */
  mountShm(path: string, sizeBytes: bigint): Promise<void>;
  /** Lazily if it is busy; not mounted is fine. */
  unmountShm(path: string): Promise<void>;
  info(): Promise<HostInfo>;
}

export interface HostInfo {
  hostname: string;
  kernelVersion: string;
  operatingSystem: string;
  osVersion: string;
  architecture: string;
  cpus: number;
  memoryBytes: bigint;
}
