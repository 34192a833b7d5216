/** Namespaces of a container by its modes: its own, the host's, or joined by path. */
import { invalid } from '../../base/errors.ts';
import type { HostConfig } from '../container/config.ts';
import { isContainerMode, isHostMode } from '../container/modes.ts';
import type { OciNamespace, OciNamespaceType } from './types.ts';

/** Paths of namespaces that exist: the pinned network namespace, and those of containers whose namespaces are shared. */
export interface NamespacePaths {
  /** Pinned by the network, or another container's (`container:x`). Absent only with host networking, or if networking is off. */
  readonly network?: string;
  readonly ipc?: string;
  readonly pid?: string;
}

export function containerNamespaces(
  host: Pick<HostConfig, 'networkMode' | 'ipcMode' | 'pidMode' | 'utsMode' | 'cgroupnsMode'>,
  paths: NamespacePaths,
): OciNamespace[] {
  const namespaces: OciNamespace[] = [{ type: 'mount' }];
  const add = (type: OciNamespaceType, mode: string, path: string | undefined): void => {
    if (isHostMode(mode)) return;
    if (isContainerMode(mode) && path === undefined) throw invalid(`cannot join the ${type} namespace of ${mode}: it is not running`);
    namespaces.push(path === undefined ? { type } : { type, path });
  };
  add('network', host.networkMode, paths.network);
  add('uts', host.utsMode, undefined);
  add('pid', host.pidMode, paths.pid);
  add('ipc', host.ipcMode, paths.ipc);
  if (host.cgroupnsMode === 'private') namespaces.push({ type: 'cgroup' });
  return namespaces;
}
