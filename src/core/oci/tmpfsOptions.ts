/** Options of a tmpfs mount: defaults, the user's over them, the last of each kind wins. */
import { invalid } from '../../base/errors.ts';
import type { MountRequest } from '../container/config.ts';

/** Flags that exclude each other stand under one name. */
const FLAGS: Readonly<Record<string, string>> = {
  ro: 'write', rw: 'write',
  suid: 'suid', nosuid: 'suid',
  dev: 'dev', nodev: 'dev',
  exec: 'exec', noexec: 'exec',
  sync: 'sync', async: 'sync',
  dirsync: 'dirsync', remount: 'remount',
  mand: 'mand', nomand: 'mand',
  atime: 'atime', noatime: 'atime',
  diratime: 'diratime', nodiratime: 'diratime',
  relatime: 'relatime', norelatime: 'relatime',
  strictatime: 'strictatime', nostrictatime: 'strictatime',
  bind: 'bind', rbind: 'rbind',
  private: 'propagation', rprivate: 'propagation', shared: 'propagation', rshared: 'propagation',
  slave: 'propagation', rslave: 'propagation', unbindable: 'propagation', runbindable: 'propagation',
};

const DATA = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol']);

const DEFAULTS = ['noexec', 'nosuid', 'nodev', 'rprivate'];

/** `size=10m,exec` → the whole list; invalid `invalid tmpfs option ["x" …]`. */
export function tmpfsOptions(text: string): string[] {
  const merged = new Map<string, string>();
  for (const option of [...DEFAULTS, ...text.split(',').filter((word) => word !== '')]) {
    if (option === 'defaults') continue;
    const at = option.indexOf('=');
    const key = at < 0 ? option : option.slice(0, at);
    const kind = at < 0 && Object.hasOwn(FLAGS, key) ? FLAGS[key] : DATA.has(key) && at > 0 ? key : undefined;
    if (kind === undefined) throw invalid(`invalid tmpfs option ["${option}"]`);
    merged.set(kind, option);
  }
  return [...merged.values()];
}

const UNITS: readonly [string, bigint][] = [['g', 2n ** 30n], ['m', 2n ** 20n], ['k', 2n ** 10n]];

/** Options of a `--mount type=tmpfs` as mount text: `ro,mode=1777,size=64m`. */
export function tmpfsText(tmpfs: MountRequest['tmpfs'], readOnly: boolean): string {
  const options = readOnly ? ['ro'] : [];
  if (tmpfs === undefined) return options.join(',');
  if (tmpfs.mode !== 0) options.push(`mode=${tmpfs.mode.toString(8)}`);
  if (tmpfs.sizeBytes !== 0n) {
    const [suffix, divisor] = UNITS.find(([, unit]) => tmpfs.sizeBytes % unit === 0n) ?? ['', 1n];
    options.push(`size=${tmpfs.sizeBytes / divisor}${suffix}`);
  }
  for (const option of tmpfs.options) {
    const [name = '', value] = option;
    if (option.length < 1 || option.length > 2) throw invalid('invalid option array length');
    if (name !== 'exec' && name !== 'noexec') throw invalid(`invalid option: ${name}`);
    options.push(value === undefined ? name : `${name}=${value}`);
  }
  return options.join(',');
}
