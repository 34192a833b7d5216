/** The mounts of a container: what every one has, the files under /etc, and the user's. */
import { invalid } from '../../base/errors.ts';
import type { OciMount } from './types.ts';
import { tmpfsOptions } from './tmpfsOptions.ts';

/** A user's mount, made ready: its source exists on the host. */
export type ReadyMount =
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly destination: string;
      readonly readOnly: boolean;
      /** Empty: rprivate. */
      readonly propagation: string;
      readonly nonRecursive?: boolean;
      readonly readOnlyNonRecursive?: boolean;
      readonly readOnlyForceRecursive?: boolean;
    }
  | { readonly kind: 'tmpfs'; readonly destination: string; readonly options: string };

export interface MountsInput {
  readonly mounts: readonly ReadyMount[];
  /** Host paths of the files that are mounted over /etc; an absent one is not. */
  readonly etc: { readonly hosts?: string; readonly hostname?: string; readonly resolvConf?: string };
  /**
   * /dev/shm: `none`, a tmpfs of the container's own of this size, or a directory of the host (a tmpfs that others share,
   * another container's, the host's own).
   */
  readonly shm: { readonly kind: 'none' } | { readonly kind: 'own'; readonly size: bigint } | { readonly kind: 'bind'; readonly source: string };
  readonly readonlyRootfs: boolean;
  readonly privileged: boolean;
  readonly writableCgroups: boolean;
  /** mount_setattr and a runtime that knows `rro`. */
  readonly recursiveReadOnly: boolean;
  /** The init binary on the host, if there is to be one. */
  readonly initPath?: string | undefined;
}

export const INIT_PATH_INSIDE = '/sbin/docker-init';

export interface ContainerMounts {
  readonly mounts: OciMount[];
  /** What the root's propagation must be for the mounts' own to work; absent: the runtime's default. */
  readonly rootfsPropagation?: string;
}

/** Defaults that no user's mount replaces, then the rest by depth of their destination, so that none hides another. */
export function containerMounts(input: MountsInput): ContainerMounts {
  const user = byDepth([...etcMounts(input), ...shmMount(input), ...input.mounts]);
  const taken = new Set(user.map(({ destination }) => destination));
  const hidden = (destination: string): boolean =>
    taken.has(destination) || (taken.has('/dev') && destination.startsWith('/dev/'));
  const mounts = [
    ...defaultMounts(input).filter(({ destination }) => !hidden(destination)),
    ...user.map((mount) => toOci(mount, input)),
  ];
  if (input.initPath !== undefined) {
    mounts.push({ destination: INIT_PATH_INSIDE, type: 'bind', source: input.initPath, options: ['bind', 'ro'] });
  }
  const rootfsPropagation = rootPropagation(user);
  return { mounts, ...(rootfsPropagation !== undefined && { rootfsPropagation }) };
}

function defaultMounts(input: MountsInput): OciMount[] {
  const sysMode = input.privileged ? 'rw' : 'ro';
  const cgroupMode = input.privileged || input.writableCgroups ? 'rw' : 'ro';
  const mounts: OciMount[] = [
    mount('/proc', 'proc', 'proc', 'nosuid noexec nodev'),
    mount('/dev', 'tmpfs', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
    mount('/dev/pts', 'devpts', 'devpts', 'nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5'),
    mount('/sys', 'sysfs', 'sysfs', `nosuid noexec nodev ${sysMode}`),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', `${cgroupMode} nosuid noexec nodev`),
    mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid noexec nodev'),
  ];
  if (input.shm.kind === 'own') {
    mounts.push(mount('/dev/shm', 'tmpfs', 'shm', `nosuid noexec nodev mode=1777 size=${input.shm.size}`));
  }
  return mounts;
}

const mount = (destination: string, type: string, source: string, options: string): OciMount => ({
  destination,
  type,
  source,
  options: options.split(' '),
});

/** A user's mount on the same path has precedence. */
function etcMounts({ etc, mounts, readonlyRootfs }: MountsInput): ReadyMount[] {
  const taken = new Set(mounts.map(({ destination }) => destination));
  const files: [string, string | undefined][] = [
    ['/etc/resolv.conf', etc.resolvConf],
    ['/etc/hostname', etc.hostname],
    ['/etc/hosts', etc.hosts],
  ];
  return files.flatMap(([destination, source]): ReadyMount[] =>
    source === undefined || taken.has(destination)
      ? []
      : [{ kind: 'bind', source, destination, readOnly: readonlyRootfs, propagation: 'rprivate' }]);
}

function shmMount({ shm, mounts }: MountsInput): ReadyMount[] {
  if (shm.kind !== 'bind' || mounts.some(({ destination }) => destination === '/dev/shm')) return [];
  return [{ kind: 'bind', source: shm.source, destination: '/dev/shm', readOnly: false, propagation: 'rprivate' }];
}

const depth = (path: string): number => path.split('/').length;

const byDepth = (mounts: ReadyMount[]): ReadyMount[] =>
  mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination));

function toOci(ready: ReadyMount, input: MountsInput): OciMount {
  if (ready.kind === 'tmpfs') {
    return { destination: ready.destination, type: 'tmpfs', source: 'tmpfs', options: tmpfsOptions(ready.options) };
  }
  const options = [ready.nonRecursive === true ? 'bind' : 'rbind'];
  if (ready.readOnly) options.push(readOnlyOption(ready, input.recursiveReadOnly));
  options.push(ready.propagation === '' ? 'rprivate' : ready.propagation);
  return { destination: ready.destination, type: 'bind', source: ready.source, options };
}

/** Read-only goes for what is mounted below the source too, where kernel and runtime can do it. */
function readOnlyOption(ready: Extract<ReadyMount, { kind: 'bind' }>, possible: boolean): 'ro' | 'rro' {
  if (ready.readOnlyNonRecursive === true && ready.readOnlyForceRecursive === true) {
    throw invalid('mount options conflict: ReadOnlyNonRecursive and ReadOnlyForceRecursive');
  }
  if (ready.readOnlyForceRecursive === true && !possible) {
    throw invalid('rro is not supported: kernel 5.12 or later and a runtime that supports it are required');
  }
  return possible && ready.readOnlyNonRecursive !== true ? 'rro' : 'ro';
}

function rootPropagation(mounts: readonly ReadyMount[]): string | undefined {
  const used = mounts.map((ready) => (ready.kind === 'bind' ? ready.propagation : ''));
  if (used.some((mode) => mode === 'shared' || mode === 'rshared')) return 'shared';
  if (used.some((mode) => mode === 'slave' || mode === 'rslave')) return 'rslave';
  return undefined;
}
