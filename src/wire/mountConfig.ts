/** `HostConfig.Mounts`: `--mount` as JSON. */
import { invalid } from '../base/errors.ts';
import type { MountRequest, MountType } from '../core/container/config.ts';
import { array, bigInt64, bool, map, mapped, omitEmpty, optional, string, struct, uint32 } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';

const BindOptions = struct('mount.BindOptions', {
  propagation: omitEmpty('Propagation', string),
  nonRecursive: omitEmpty('NonRecursive', bool),
  createMountpoint: omitEmpty('CreateMountpoint', bool),
  readOnlyNonRecursive: omitEmpty('ReadOnlyNonRecursive', bool),
  readOnlyForceRecursive: omitEmpty('ReadOnlyForceRecursive', bool),
});

const DriverConfig = struct('mount.Driver', { name: omitEmpty('Name', string), options: omitEmpty('Options', map(string)) });

const VolumeOptions = struct('mount.VolumeOptions', {
  noCopy: omitEmpty('NoCopy', bool),
  labels: omitEmpty('Labels', map(string)),
  subpath: omitEmpty('Subpath', string),
  driver: optional('DriverConfig', DriverConfig),
});

const ImageOptions = struct('mount.ImageOptions', { subpath: omitEmpty('Subpath', string) });

const TmpfsOptions = struct('mount.TmpfsOptions', {
  sizeBytes: omitEmpty('SizeBytes', bigInt64),
  mode: omitEmpty('Mode', uint32),
  options: omitEmpty('Options', array(array(string))),
});

const Mount = struct('mount.Mount', {
  type: omitEmpty('Type', string),
  source: omitEmpty('Source', string),
  target: omitEmpty('Target', string),
  readOnly: omitEmpty('ReadOnly', bool),
  consistency: omitEmpty('Consistency', string),
  bind: optional('BindOptions', BindOptions),
  volume: optional('VolumeOptions', VolumeOptions),
  image: optional('ImageOptions', ImageOptions),
  tmpfs: optional('TmpfsOptions', TmpfsOptions),
});

const TYPES: readonly MountType[] = ['bind', 'volume', 'tmpfs', 'image', 'npipe', 'cluster'];

function typeOf(text: string): MountType {
  const type = TYPES.find((known) => known === text);
  if (type === undefined) throw invalid(`invalid mount config for type "${text}": mount type unknown`);
  return type;
}

function fromWire(wire: Infer<typeof Mount>): MountRequest {
  const { bind, volume, image, tmpfs } = wire;
  return {
    type: typeOf(wire.type),
    source: wire.source,
    target: wire.target,
    readOnly: wire.readOnly,
    consistency: wire.consistency,
    ...(bind !== undefined && { bind: { ...bind } }),
    ...(volume !== undefined && { volume: volumeFromWire(volume) }),
    ...(image !== undefined && { image: { ...image } }),
    ...(tmpfs !== undefined && { tmpfs: { ...tmpfs, options: tmpfs.options.map((option) => [...option]) } }),
  };
}

function volumeFromWire({ driver, labels, ...rest }: Infer<typeof VolumeOptions>): NonNullable<MountRequest['volume']> {
  return {
    ...rest,
    labels: { ...labels },
    ...(driver !== undefined && { driver: { name: driver.name, options: { ...driver.options } } }),
  };
}

const toWire = (mount: MountRequest): Infer<typeof Mount> => ({
  ...mount,
  bind: mount.bind,
  volume: mount.volume === undefined ? undefined : { ...mount.volume, driver: mount.volume.driver },
  image: mount.image,
  tmpfs: mount.tmpfs,
});

export const mountConfig: Codec<MountRequest> = mapped(Mount, { from: fromWire, to: toWire });
