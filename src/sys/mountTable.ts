/** What is mounted where, as this process sees it. */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  readonly mountPoint: string;
  readonly type: string;
  readonly readOnly: boolean;
}

/** Every mount, in the order of the kernel's table: of several at one place the last one counts. */
export function mountTable(mountinfo = '/proc/self/mountinfo'): MountEntry[] {
  return readFileSync(mountinfo, 'utf8').split('\n').filter((line) => line !== '').map((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const fields = before.split(' ');
    const [type = '', , superOptions = ''] = after.split(' ');
    const has = (options: string | undefined): boolean => (options ?? '').split(',').includes('ro');
    return { mountPoint: unescape(fields[4] ?? ''), type, readOnly: has(fields[5]) || has(superOptions) };
  });
}

/** The mount in which an absolute path lies. */
export function mountOf(path: string, table: readonly MountEntry[]): MountEntry | undefined {
  const holds = ({ mountPoint }: MountEntry): boolean => mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
  return table.filter(holds).reduce<MountEntry | undefined>((best, entry) => (best === undefined || entry.mountPoint.length >= best.mountPoint.length ? entry : best), undefined);
}

/** Blanks are written as octal escapes. */
const unescape = (text: string): string => text.replaceAll(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
