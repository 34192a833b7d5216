/**
 * What is mounted into a container, from all the ways in which one can ask for it: `--volumes-from`, `-v`, `--mount`,
 * volumes of the image. Pure; texts are Docker's.
 */
import { invalid, messageOf } from '../../base/errors.ts';
import { parseBind, parseVolumesFrom, isReadWrite } from './bind.ts';
import { cleanPath, validateMount } from './mountCheck.ts';
import type { ContainerConfig, HostConfig, MountRequest } from './config.ts';
import type { ReadyMount } from '../oci/mounts.ts';
import { tmpfsText } from '../oci/tmpfsOptions.ts';

export const LOCAL_DRIVER = 'local';

/** One mount as recorded with the container and shown by inspect. */
export interface MountPoint {
  type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Of the volume. */
  name: string;
  /** On the host: the bind's path, the volume's content; the image's reference; empty for tmpfs. */
  source: string;
  destination: string;
  driver: string;
  /** As given with `-v`. */
  mode: string;
  rw: boolean;
  propagation: string;
  /** An empty volume gets what the image has there. */
  copyData: boolean;
  /** A missing bind source is created as a folder (`-v`, or `bind-create-src`). */
  createSource: boolean;
  nonRecursive: boolean;
  readOnlyNonRecursive: boolean;
  readOnlyForceRecursive: boolean;
  /** Inside the volume. */
  subpath: string;
  /** Options of a `--mount type=tmpfs`. */
  tmpfsOptions: string;
  /** Made for this container alone: removed with it by `--rm` and `rm -v`. */
  anonymous: boolean;
}

/** A volume that has to be there before the container is: `VolumePort.create` makes or finds it. */
export interface VolumeRequest {
  name: string;
  driver: string;
  labels: Record<string, string>;
  options: Record<string, string>;
}

export interface MountsContext {
  /** Mounts of the container that `--volumes-from` names; throws not-found. */
  mountsOf(container: string): readonly MountPoint[];
  /** Whether a host path is there. */
  exists(path: string): boolean;
  /** A name for an anonymous volume. */
  newId(): string;
}

export interface ResolvedMounts {
  /** By destination, in the order they were asked for. Sources of volumes are still empty: `withVolume`. */
  mounts: MountPoint[];
  volumes: VolumeRequest[];
}

/** Throws `invalid` with Docker's texts (`Duplicate mount point: /x`, `invalid mount config for type "bind": …`). */
export function resolveMounts(
  config: Pick<ContainerConfig, 'volumes'>,
  host: Pick<HostConfig, 'binds' | 'mounts' | 'volumesFrom' | 'tmpfs' | 'volumeDriver'>,
  context: MountsContext,
): ResolvedMounts {
  const found = new Map<string, Found>();
  for (const inherited of host.volumesFrom.flatMap((spec) => inherit(spec, context))) {
    found.set(inherited.destination, { mount: inherited });
  }
  const explicit = new Set(Object.keys(host.tmpfs).map((path) => cleanPath(path)));
  for (const request of requested(host, context)) {
    const { destination } = request.mount;
    if (explicit.has(destination)) throw invalid(`Duplicate mount point: ${destination}`);
    explicit.add(destination);
    found.set(destination, request);
  }
  for (const path of config.volumes) {
    const destination = cleanPath(path);
    if (explicit.has(destination) || found.has(destination)) continue;
    found.set(destination, anonymousVolume(destination, host.volumeDriver, context.newId()));
  }
  const all = [...found.values()];
  return { mounts: all.map(({ mount }) => mount), volumes: all.flatMap(({ volume }) => (volume === undefined ? [] : [volume])) };
}

interface Found {
  mount: MountPoint;
  volume?: VolumeRequest;
}

function* requested(host: Pick<HostConfig, 'binds' | 'mounts' | 'volumeDriver'>, context: MountsContext): Generator<Found> {
  for (const bind of host.binds) {
    const { request, mode } = parseBind(bind, host.volumeDriver);
    try {
      validateMount(request, () => true);
    } catch (error) {
      throw invalid(`invalid volume specification: '${bind}': ${messageOf(error)}`, error);
    }
    const found = toMount(request, context);
    yield { ...found, mount: { ...found.mount, mode: mode === '' ? found.mount.mode : mode, createSource: request.type === 'bind' } };
  }
  for (const request of host.mounts) {
    validateMount(request, (path) => context.exists(path));
    yield toMount(request, context);
  }
}

/** Inherited ones keep what they are; `ro` can only take away. */
function inherit(spec: string, context: MountsContext): MountPoint[] {
  const { container, mode } = parseVolumesFrom(spec);
  return context.mountsOf(container).map((mount) => ({
    ...mount,
    mode: '',
    rw: mount.rw && isReadWrite(mode),
    copyData: false,
    anonymous: false,
  }));
}

const EMPTY: Omit<MountPoint, 'type' | 'destination'> = {
  name: '',
  source: '',
  driver: '',
  mode: '',
  rw: true,
  propagation: '',
  copyData: false,
  createSource: false,
  nonRecursive: false,
  readOnlyNonRecursive: false,
  readOnlyForceRecursive: false,
  subpath: '',
  tmpfsOptions: '',
  anonymous: false,
};

function toMount(request: MountRequest, context: MountsContext): Found {
  const common = { ...EMPTY, destination: cleanPath(request.target), rw: !request.readOnly };
  switch (request.type) {
    case 'volume': return volumeMount(request, common, context);
    case 'tmpfs': return { mount: { ...common, type: 'tmpfs', tmpfsOptions: tmpfsText(request.tmpfs, request.readOnly) } };
    case 'image': return { mount: { ...common, type: 'image', source: request.source, propagation: 'rprivate', rw: false, subpath: request.image?.subpath ?? '' } };
    default: return {
      mount: {
        ...common,
        type: 'bind',
        source: cleanPath(request.source),
        propagation: request.bind === undefined || request.bind.propagation === '' ? 'rprivate' : request.bind.propagation,
        createSource: request.bind?.createMountpoint ?? false,
        nonRecursive: request.bind?.nonRecursive ?? false,
        readOnlyNonRecursive: request.bind?.readOnlyNonRecursive ?? false,
        readOnlyForceRecursive: request.bind?.readOnlyForceRecursive ?? false,
      },
    };
  }
}

function volumeMount(request: MountRequest, common: Omit<MountPoint, 'type'>, context: MountsContext): Found {
  const anonymous = request.source === '';
  const name = anonymous ? context.newId() : request.source;
  const asked = request.volume?.driver?.name ?? '';
  const driver = asked === '' ? LOCAL_DRIVER : asked;
  return {
    mount: {
      ...common,
      type: 'volume',
      name,
      driver,
      // Docker marks local volumes as to be relabelled and shared.
      mode: driver === LOCAL_DRIVER ? 'z' : '',
      copyData: !(request.volume?.noCopy ?? false),
      subpath: request.volume?.subpath ?? '',
      anonymous,
    },
    volume: {
      name,
      driver,
      labels: { ...request.volume?.labels, ...(anonymous && ANONYMOUS_LABEL) },
      options: { ...request.volume?.driver?.options },
    },
  };
}

/** By which `docker volume prune` knows volumes that nobody named. */
export const ANONYMOUS_LABEL: Readonly<Record<string, string>> = { 'com.docker.volume.anonymous': '' };

function anonymousVolume(destination: string, volumeDriver: string, name: string): Found {
  if (!destination.startsWith('/')) throw invalid(`invalid mount path: '${destination}' mount path must be absolute`);
  if (destination === '/') throw invalid("invalid specification: destination can't be '/'");
  const driver = volumeDriver === '' ? LOCAL_DRIVER : volumeDriver;
  return {
    mount: { ...EMPTY, type: 'volume', destination, name, driver, copyData: true, anonymous: true },
    volume: { name, driver, labels: { ...ANONYMOUS_LABEL }, options: {} },
  };
}

/** The mount with what its volume turned out to be. */
export const withVolume = (mount: MountPoint, volume: { mountpoint: string; driver: string }): MountPoint => ({
  ...mount,
  source: volume.mountpoint,
  driver: volume.driver,
});

/**
 * What the runtime mounts: the mounts, plus `--tmpfs`. `pathOf` gives the host path of a volume or image that is mounted
 * (its subpath included).
 */
export function readyMounts(
  mounts: readonly MountPoint[],
  tmpfs: Readonly<Record<string, string>>,
  pathOf: (mount: MountPoint) => string,
): ReadyMount[] {
  return [
    ...mounts.map((mount): ReadyMount => (mount.type === 'tmpfs'
      ? { kind: 'tmpfs', destination: mount.destination, options: mount.tmpfsOptions }
      : {
          kind: 'bind',
          source: mount.type === 'bind' ? mount.source : pathOf(mount),
          destination: mount.destination,
          readOnly: !mount.rw,
          propagation: mount.propagation,
          nonRecursive: mount.nonRecursive,
          readOnlyNonRecursive: mount.readOnlyNonRecursive,
          readOnlyForceRecursive: mount.readOnlyForceRecursive,
        })),
    ...Object.entries(tmpfs).map(([path, options]): ReadyMount => ({ kind: 'tmpfs', destination: cleanPath(path), options })),
  ];
}
