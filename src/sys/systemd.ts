/** Asking systemd, where it runs. */
import { existsSync } from 'node:fs';
import { run } from './spawn.ts';

const TIMEOUT_MS = 10_000;

/** Whether systemd is this machine's init. */
export const hasSystemd = (): boolean => existsSync('/run/systemd/system');

/** Properties of a unit by their names; none without systemd. What systemd does not say in time is not there either. */
export async function unitProperties(unit: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (!hasSystemd()) return new Map();
  try {
    const { stdout } = await run(['systemctl', 'show', unit, '-p', names.join(',')], { timeoutMs: TIMEOUT_MS });
    return new Map(stdout.split('\n').map((line): [string, string] => {
      const equals = line.indexOf('=');
      return [line.slice(0, equals), line.slice(equals + 1)];
    }));
  } catch {
    return new Map();
  }
}

/** Starts a unit and waits until it has been started. False if there is no such unit, or it cannot be started. */
export async function startUnit(unit: string): Promise<boolean> {
  if (!hasSystemd()) return false;
  try {
    return (await run(['systemctl', 'start', unit], { timeoutMs: TIMEOUT_MS })).code === 0;
  } catch {
    return false;
  }
}
