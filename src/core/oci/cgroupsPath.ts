/** Where in the cgroup tree a container lies. */
import { invalid } from '../../base/errors.ts';

export interface CgroupPlacement {
  readonly driver: 'cgroupfs' | 'systemd';
  /** The daemon's `cgroup-parent`; empty: `/moored`, or `system.slice`. */
  readonly parent: string;
}

/** `/moored/<id>`, or `slice:moored:<id>` for the systemd driver. The container's own `--cgroup-parent` comes first. */
export function cgroupsPath(id: string, ownParent: string, placement: CgroupPlacement): string {
  const parent = ownParent === '' ? placement.parent : ownParent;
  if (placement.driver === 'systemd') return `${parent === '' ? 'system.slice' : checkSlice(parent)}:moored:${id}`;
  return `${absolute(parent === '' ? '/moored' : parent)}/${id}`;
}

/** invalid `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`. */
export function checkSlice(parent: string): string {
  if (parent.length <= '.slice'.length || !parent.endsWith('.slice') || /[/:]/.test(parent)) {
    throw invalid('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"');
  }
  return parent;
}

/** Without `..` that would lead out of the tree. */
function absolute(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.length === 0 ? '' : `/${parts.join('/')}`;
}
