/** Sysctls by their dotted names, of the calling thread's network namespace where they have one each. */
import { readFileSync, writeFileSync } from 'node:fs';

/** A slash in a name stands for a dot within a part (`net.ipv4.conf.eth0/100.forwarding`), as sysctl(8) has it. */
const pathOf = (name: string): string => `/proc/sys/${name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'))}`;

/** The value, trimmed, or undefined if this kernel (or namespace) has no such sysctl. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(pathOf(name), 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export function writeSysctl(name: string, value: string): void {
  writeFileSync(pathOf(name), value);
}

/** Writes a value that is not there yet; false if there is no such sysctl. */
export function ensureSysctl(name: string, value: string): boolean {
  const present = readSysctl(name);
  if (present === undefined) return false;
  if (present !== value) writeSysctl(name, value);
  return true;
}
