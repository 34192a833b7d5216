/** `GET /system/df` at API 1.51; `type` narrows it to some kinds of objects. */
import { invalid } from '../base/errors.ts';
import type { Image } from '../core/image/image.ts';
import type { ContainerSnapshot } from '../core/container/snapshot.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import { listItem } from './containerView.ts';
import { imageSummary } from './image.ts';
import { ApiVersion, MAX_API_VERSION } from './version.ts';
import { volumeView } from './volume.ts';

export interface DiskUsageFacts {
  layersBytes: number;
  images: { image: Image; containers: number; shared: number }[];
  containers: { snapshot: ContainerSnapshot; rw: number; rootFs: number }[];
  volumes: { record: VolumeRecord; size: number; users: number }[];
}

const TYPES = ['container', 'image', 'volume', 'build-cache'];

export function diskUsageView(facts: DiskUsageFacts, options: { types: readonly string[]; nowNs: bigint }): unknown {
  for (const type of options.types) {
    if (!TYPES.includes(type)) throw invalid(`unknown object type: ${type}`);
  }
  const wanted = (type: string): boolean => options.types.length === 0 || options.types.includes(type);
  const apiVersion = new ApiVersion(MAX_API_VERSION);
  return {
    ...(wanted('image') ? {
      LayersSize: facts.layersBytes,
      Images: facts.images.map(({ image, containers, shared }) => ({ ...(imageSummary(image, { apiVersion, sharedSize: shared }) as object), Containers: containers })),
    } : {}),
    ...(wanted('container') ? {
      Containers: facts.containers.map(({ snapshot, rw, rootFs }) =>
        listItem(snapshot, { nowNs: options.nowNs, networkIds: new Map(), image: snapshot.record.config.image, sizes: { rw, rootFs } })),
    } : {}),
    ...(wanted('volume') ? { Volumes: facts.volumes.map(({ record, size, users }) => volumeView(record, { size, users })) } : {}),
    ...(wanted('build-cache') ? { BuildCache: [] } : {}),
  };
}
