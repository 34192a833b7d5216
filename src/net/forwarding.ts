/**
 * Whether it was us who made this host forward packets since its boot: then what is forwarded for nobody of ours is dropped.
 * Kept in a file, since the rule that says so may be removed by others, and the host must not be left open by that.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { writeFileAtomic } from '../store/record.ts';
import { bootId } from '../sys/hostInfo.ts';

const fileIn = (directory: string): string => join(directory, 'forwarding');

/** `unknown`: an older release did not write it down. */
export function forwardingIsOurs(directory: string): boolean | 'unknown' {
  try {
    return readFileSync(fileIn(directory), 'utf8').trim() === bootId();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'unknown';
    throw error;
  }
}

/** For this boot. */
export const noteForwarding = (directory: string, ours: boolean): Promise<void> =>
  writeFileAtomic(fileIn(directory), `${ours ? bootId() : 'not ours'}\n`, { durable: false, mode: 0o600 });
