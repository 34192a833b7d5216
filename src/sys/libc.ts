/**
 * The C library by FFI. koffi is loaded at the first use and once, so that a process that needs no syscall of its own
 * starts without it. Each file of this room declares the prototypes it needs:
 *
 *     const flock = prototype<(fd: number, operation: number) => number>('int flock(int fd, int operation)');
 *     check('flock', flock()(fd, LOCK_EX));
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import path from 'node:path';
import type * as Koffi from 'koffi';

interface Libc {
  readonly koffi: typeof Koffi;
  readonly library: Koffi.LibraryHandle;
}

let loaded: Libc | undefined;

/** A release has the library alone, beside its bundle: the package's search for it would take longer than all the rest. */
function loadKoffi(): typeof Koffi {
  const alone = path.join(import.meta.dirname, 'koffi.node');
  return createRequire(import.meta.url)(existsSync(alone) ? alone : 'koffi') as typeof Koffi;
}

/** koffi and the handle of libc. */
export function libc(): Libc {
  if (loaded === undefined) {
    const koffi = loadKoffi();
    loaded = { koffi, library: koffi.load('libc.so.6') };
  }
  return loaded;
}

/** A function of libc, bound at its first use; `F` must say in TypeScript what the C declaration says. */
export function prototype<F extends (...args: never[]) => unknown>(declaration: string): () => F {
  let bound: F | undefined;
  return () => (bound ??= libc().library.func(declaration) as unknown as F);
}

/** A system call that failed, with the errno's name as `code`, like Node's own errors. */
export class SyscallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}`);
    this.name = 'SyscallError';
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** The name of an errno (`EPERM`), or `E<number>` if it has none here. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(constants.errno)) if (value === errno) return name;
  return `E${errno}`;
}

/** The errno of the last FFI call on this thread; read it before anything else is called. */
export const lastErrno = (): number => libc().koffi.errno();

/** The result of a call that says -1 on failure; throws a SyscallError then. */
export function check(syscall: string, result: number): number {
  if (result < 0) throw new SyscallError(syscall, lastErrno());
  return result;
}
