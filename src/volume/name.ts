/** Names of volumes and options of the local driver: what is refused, in Docker's words. Pure. */
import { invalid, notFound } from '../base/errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** A folder's name. */
const MAX_LENGTH = 255;

export const isVolumeName = (name: string): boolean => name.length > 1 && name.length <= MAX_LENGTH && NAME.test(name);

/** The folder is named like the volume: nothing may lead out of it. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) throw invalid(`create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  if (!isVolumeName(name)) {
    throw invalid(`create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`);
  }
}

/** Each of these wants the others. */
const REQUIRES: Readonly<Record<string, readonly string[]>> = { type: ['device'], device: ['type'], o: ['device', 'type'] };

export function checkVolumeOptions(name: string, options: Readonly<Record<string, string>>): void {
  for (const option of Object.keys(options)) {
    if (option === 'size') throw invalid(`create ${name}: quota size requested but no quota support`);
    if (!Object.hasOwn(REQUIRES, option)) throw invalid(`create ${name}: invalid option: "${option}"`);
  }
  for (const [option, others] of Object.entries(REQUIRES)) {
    const missing = Object.hasOwn(options, option) ? others.find((other) => !Object.hasOwn(options, other)) : undefined;
    if (missing !== undefined) throw invalid(`create ${name}: missing required option: "${missing}"`);
  }
}

export function checkVolumeDriver(name: string, driver: string): void {
  if (driver !== '' && driver !== 'local') throw notFound(`create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`);
}
