/** The changes of a container whose root is a whole tree of its own (vfs) as a layer. */
import { lstatSync } from 'node:fs';
import { tarHeader } from '../../base/tar/header.ts';
import { enter, leave } from '../../sys/confinement.ts';
import { Ring } from '../ring.ts';
import { findChanges } from './compare.ts';
import { target } from './extractor.ts';
import { baseOf, joinNames, parentOf } from './names.ts';
import { Packer, packInto } from './packer.ts';
import type { Jobs } from './protocol.ts';
import { WHITEOUT_PREFIX } from './whiteouts.ts';

export function packChanges({ tree, compare, sink }: Jobs['packChanges']['input']): null {
  const ring = new Ring(sink);
  return packInto(ring, () => {
    const found = findChanges(compare);
    leave();
    // Contents are read with the container's own root, whose symlinks lead nowhere else.
    enter(tree);
    const packer = new Packer(ring);
    for (const { path, kind } of found) {
      if (kind === 2) {
        packer.header(tarHeader({ name: joinNames(parentOf(path), WHITEOUT_PREFIX + baseOf(path)), mode: 0o600 }));
        continue;
      }
      const stat = lstatSync(target(path), { bigint: true, throwIfNoEntry: false });
      if (stat !== undefined) packer.one({ path, name: path, stat });
    }
    packer.finish();
  });
}
