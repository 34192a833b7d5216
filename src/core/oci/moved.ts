/** A bundle after the data root was renamed under its running container: the next start by its shim has to find it. */
import { parseJson, plain, stringify } from '../../base/json.ts';

/** From where to where the data root was moved; no slash at the end. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

/** A path of the host where it is now. What lies there already, or never lay in the data root, stays as it is. */
export function movedPath(path: string, { from, to }: Move): string {
  if (isWithin(path, to) || !isWithin(path, from)) return path;
  return to + path.slice(from.length);
}

const isWithin = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);

/** A bundle's config.json with the root filesystem and the sources of its mounts where they are now; all else stays. */
export function movedBundle(configJson: string, move: Move): string {
  const spec = plain(parseJson(configJson)) as { root?: { path?: unknown }; mounts?: { source?: unknown }[] };
  if (typeof spec.root?.path === 'string') spec.root.path = movedPath(spec.root.path, move);
  for (const mount of spec.mounts ?? []) if (typeof mount.source === 'string') mount.source = movedPath(mount.source, move);
  return stringify(spec);
}
