import { workIn } from '../../sys/confinement.ts';
import { mountSync } from '../../sys/mount.ts';
import type { Jobs } from './protocol.ts';

/** Mounts an overlay whose options name everything relative to `root`. */
export function mountOverlay({ root, target, options }: Jobs['mountOverlay']['input']): null {
  workIn(root);
  mountSync({ source: 'overlay', target, type: 'overlay', data: options });
  return null;
}
