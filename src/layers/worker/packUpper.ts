/** An overlay's upper directory as a layer: 0/0 devices and opaque directories become whiteouts. */
import { tarHeader } from '../../base/tar/header.ts';
import { enter } from '../../sys/confinement.ts';
import { Ring } from '../ring.ts';
import { target } from './extractor.ts';
import { baseOf, joinNames, parentOf } from './names.ts';
import { Packer, packInto, statHeader } from './packer.ts';
import type { PackItem } from './packer.ts';
import type { Jobs } from './protocol.ts';
import { isOpaque, isWhiteout, OPAQUE_NAME, WHITEOUT_PREFIX } from './whiteouts.ts';

export function packUpper({ root, sink }: Jobs['packUpper']['input']): null {
  const ring = new Ring(sink);
  return packInto(ring, () => {
    enter(root);
    const packer = new Packer(ring, { visit: hideDeleted, entered: markOpaque });
    packer.children('', '');
    packer.finish();
  });
}

function hideDeleted(packer: Packer, { name, stat }: PackItem): 'pack' | 'skip' {
  if (!isWhiteout(stat)) return 'pack';
  packer.header(tarHeader({ ...statHeader(stat), mode: 0o600, name: joinNames(parentOf(name), WHITEOUT_PREFIX + baseOf(name)) }));
  return 'skip';
}

function markOpaque(packer: Packer, { path, name, stat }: PackItem): void {
  if (isOpaque(target(path))) packer.header(tarHeader({ ...statHeader(stat), mode: 0, name: joinNames(name, OPAQUE_NAME) }));
}
