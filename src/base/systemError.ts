import { getSystemErrorMap } from 'node:util';
import { errnoOf, messageOf } from './errors.ts';

/** Where libuv's words differ from those of Linux, which Go uses. */
const LINUX_TEXTS: readonly (readonly [string, string])[] = [
  ['EEXIST', 'file exists'],
  ['EISDIR', 'is a directory'],
  ['EBUSY', 'device or resource busy'],
  ['EXDEV', 'invalid cross-device link'],
  ['ELOOP', 'too many levels of symbolic links'],
  ['ENAMETOOLONG', 'file name too long'],
  ['EIO', 'input/output error'],
  ['ENOTSUP', 'operation not supported'],
  ['EDQUOT', 'disk quota exceeded'],
];

let texts: ReadonlyMap<string, string> | undefined;

/** The text of an errno name as Go prints it (`no such file or directory`). */
export function errnoText(code: string): string | undefined {
  texts ??= new Map([...getSystemErrorMap().values(), ...LINUX_TEXTS]);
  return texts.get(code);
}

/** A system error as Go prints it and dockerd passes it on: `open /x: no such file or directory`. Other errors as they are. */
export function systemErrorMessage(error: unknown): string {
  const code = errnoOf(error);
  const text = code === undefined ? undefined : errnoText(code);
  if (text === undefined || !(error instanceof Error) || !('syscall' in error) || typeof error.syscall !== 'string') return messageOf(error);
  const path = 'path' in error && (typeof error.path === 'string' || Buffer.isBuffer(error.path)) ? ` ${error.path.toString()}` : '';
  return `${error.syscall}${path}: ${text}`;
}
