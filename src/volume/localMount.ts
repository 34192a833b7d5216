/** A volume with mount options: mounted on its content's folder while somebody uses it. The kernel says whether it is. */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { errnoOf, internal, messageOf } from '../base/errors.ts';
import { MNT_DETACH, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, mount, umount } from '../sys/mount.ts';
import { hidePassword, parseMountOptions, resolveServer } from './mountOptions.ts';

export interface VolumeMount {
  readonly name: string;
  readonly target: string;
  readonly options: Readonly<Record<string, string>>;
}

export const hasMount = (options: Readonly<Record<string, string>>): boolean => (options['device'] ?? '') !== '';

/** Throws `failed to mount local volume: …`; after a failure nothing is mounted. */
export async function mountVolume({ name, target, options }: VolumeMount): Promise<void> {
  if (await isMounted(target)) return;
  const asked = await resolveServer(
    { type: options['type'] ?? '', device: options['device'] ?? '', options: options['o'] ?? '' },
    async (host) => (await lookup(host)).address,
  );
  const { flags, propagation, data } = parseMountOptions(asked.options);
  const isBind = (flags & MS_BIND) !== 0;
  try {
    await mount({ source: asked.device, target, type: asked.type, flags, data });
  } catch (error) {
    throw failed(name, error, `mount ${asked.device}:${target}, data: ${data}`);
  }
  try {
    // The kernel ignores all else when it binds.
    const more = flags & ~(MS_BIND | MS_REC);
    if (isBind && more !== 0) await mount({ target, flags: MS_BIND | MS_REMOUNT | (more | (flags & MS_RDONLY)) });
    for (const mode of propagation) await mount({ target, flags: mode });
  } catch (error) {
    await unmountVolume(target);
    throw failed(name, error, `mount options ${asked.options} of ${target}`);
  }
}

const ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory', EPERM: 'operation not permitted', EINVAL: 'invalid argument', ENODEV: 'no such device',
  ENOTDIR: 'not a directory', EACCES: 'permission denied', EBUSY: 'device or resource busy', ECONNREFUSED: 'connection refused',
  ENOTBLK: 'block device required', ETIMEDOUT: 'connection timed out', EHOSTUNREACH: 'no route to host',
};

function failed(name: string, error: unknown, what: string): Error {
  const reason = ERRORS[errnoOf(error) ?? ''] ?? messageOf(error);
  return internal(hidePassword(`error while mounting volume '${name}': failed to mount local volume: ${what}: ${reason}`), error);
}

/** Lazily: somebody may still look at it. One that is not mounted is fine. */
export async function unmountVolume(target: string): Promise<void> {
  while (await isMounted(target)) await umount(target, MNT_DETACH);
}

export async function isMounted(target: string): Promise<boolean> {
  const wanted = escape(target);
  return (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').some((line) => line.split(' ')[4] === wanted);
}

/** As mountinfo writes blanks and backslashes. */
const escape = (path: string): string => path.replaceAll(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
