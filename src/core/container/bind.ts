/** `-v source:target[:mode]` and `--volumes-from container[:mode]`. */
import { invalid } from '../../base/errors.ts';
import type { MountRequest } from './config.ts';

const PROPAGATIONS = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];

/** Words of a mode by kind; at most one of each kind may be given. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  write: ['rw', 'ro'],
  label: ['z', 'Z'],
  propagation: PROPAGATIONS,
  copy: ['nocopy'],
  consistency: ['consistent', 'cached', 'delegated'],
};

export const isPropagation = (word: string): boolean => PROPAGATIONS.includes(word);

const kindOf = (word: string): string | undefined => Object.keys(KINDS).find((kind) => KINDS[kind]?.includes(word));

function isMode(mode: string): boolean {
  if (mode === '') return true;
  const kinds = mode.split(',').map(kindOf);
  return kinds.every((kind) => kind !== undefined) && new Set(kinds).size === kinds.length;
}

/** Whether a mode leaves writing possible; one that is none does not. */
export const isReadWrite = (mode: string): boolean => isMode(mode) && !mode.split(',').includes('ro');

const badSpec = (spec: string) => invalid(`invalid volume specification: '${spec}'`);
const badMode = (mode: string) => invalid(`invalid mode: ${mode}`);

export interface ParsedBind {
  request: MountRequest;
  mode: string;
}

/** A bind of `-v` as the `--mount` it stands for. An absolute source is a path, any other a volume's name. */
export function parseBind(spec: string, volumeDriver: string): ParsedBind {
  const parts = spec.split(':');
  const [first = '', second = '', third = ''] = parts;
  if (first === '' || parts.length > 3) throw badSpec(spec);
  // A destination with a mode and no source means nothing.
  if (parts.length === 2 && isMode(second)) throw badSpec(spec);
  const mode = parts.length === 3 ? third : '';
  if (!isMode(mode)) throw badMode(mode);
  const words = mode.split(',');
  const source = parts.length === 1 ? '' : first;
  const type = source.startsWith('/') ? 'bind' : 'volume';
  const propagation = words.find(isPropagation);
  const noCopy = words.includes('nocopy');
  const driver = type === 'volume' && volumeDriver !== '' ? { name: volumeDriver, options: {} } : undefined;
  return {
    mode,
    request: {
      type,
      source,
      target: parts.length === 1 ? first : second,
      readOnly: words.includes('ro'),
      consistency: '',
      ...(propagation !== undefined && {
        bind: { propagation, nonRecursive: false, createMountpoint: false, readOnlyNonRecursive: false, readOnlyForceRecursive: false },
      }),
      ...((noCopy || driver !== undefined) && {
        volume: { noCopy, labels: {}, subpath: '', ...(driver !== undefined && { driver }) },
      }),
    },
  };
}

/** `container[:ro|rw|z|Z]`. */
export function parseVolumesFrom(spec: string): { container: string; mode: string } {
  if (spec === '') throw invalid('volumes-from specification cannot be an empty string');
  const at = spec.indexOf(':');
  const container = at < 0 ? spec : spec.slice(0, at);
  const mode = at < 0 ? '' : spec.slice(at + 1);
  if (mode === '') return { container, mode: 'rw' };
  const words = mode.split(',');
  if (!isMode(mode) || words.some(isPropagation) || words.includes('nocopy')) throw badMode(mode);
  return { container, mode };
}
