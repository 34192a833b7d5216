/** Whether a mount that is asked for can be: Docker's checks in their order, with their texts. */
import { invalid, messageOf } from '../../base/errors.ts';
import { tmpfsText } from '../oci/tmpfsOptions.ts';
import { isPropagation } from './bind.ts';
import type { MountRequest } from './config.ts';

/** Go's path.Clean. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (!rooted) parts.push(part);
  }
  const joined = parts.join('/');
  if (rooted) return `/${joined}`;
  return joined === '' ? '.' : joined;
}

/** Throws `invalid mount config for type "bind": …`. `exists` says whether a host path is there. */
export function validateMount(request: MountRequest, exists: (path: string) => boolean): void {
  const problem = problemOf(request, exists);
  if (problem !== undefined) throw invalid(`invalid mount config for type "${request.type}": ${problem}`);
}

const extra = (name: string): string => `field ${name} must not be specified`;
const missing = (name: string): string => `field ${name} must not be empty`;
const notAbsolute = (path: string): string => `invalid mount path: '${path}' mount path must be absolute`;

function problemOf(request: MountRequest, exists: (path: string) => boolean): string | undefined {
  if (request.target === '') return missing('Target');
  if (cleanPath(request.target) === '/') return "invalid specification: destination can't be '/'";
  if (!request.target.startsWith('/')) return notAbsolute(request.target);
  switch (request.type) {
    case 'bind': return bindProblem(request, exists);
    case 'volume': return volumeProblem(request);
    case 'tmpfs': return tmpfsProblem(request);
    case 'image': return request.bind !== undefined ? extra('BindOptions') : request.source === '' ? missing('Source') : undefined;
    default: return 'mount type unknown';
  }
}

function bindProblem(request: MountRequest, exists: (path: string) => boolean): string | undefined {
  const { source, bind } = request;
  if (source === '') return missing('Source');
  if (bind !== undefined && bind.propagation !== '' && !isPropagation(bind.propagation)) {
    return `invalid propagation mode: ${bind.propagation}`;
  }
  if (request.volume !== undefined) return extra('VolumeOptions');
  if (!source.startsWith('/')) return notAbsolute(source);
  if (bind?.createMountpoint !== true && !exists(source)) return `bind source path does not exist: ${source}`;
  return undefined;
}

function volumeProblem({ bind, source, volume, readOnly }: MountRequest): string | undefined {
  if (bind !== undefined) return extra('BindOptions');
  const subpath = volume?.subpath ?? '';
  if (subpath !== '') {
    if (source === '') return 'must not set Subpath when using anonymous volumes';
    if (subpath.startsWith('/') || cleanPath(subpath).split('/')[0] === '..') return 'subpath must be a relative path within the volume';
  }
  if (readOnly && source === '') return 'must not set ReadOnly mode when using anonymous volumes';
  return undefined;
}

function tmpfsProblem({ bind, source, tmpfs, readOnly }: MountRequest): string | undefined {
  if (bind !== undefined) return extra('BindOptions');
  if (source !== '') return extra('Source');
  try {
    tmpfsText(tmpfs, readOnly);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** `--tmpfs` paths. */
export function validateTmpfsDestination(path: string): void {
  if (cleanPath(path) === '/') throw invalid("invalid specification: destination can't be '/'");
  if (!path.startsWith('/')) throw invalid(notAbsolute(path));
}
