/**
 * Starting a process without a copy of this one. Node.js forks: the kernel copies the page tables of everything the
 * daemon has, and each page is copied again when it is next written to. posix_spawn(3) shares the memory until the new
 * program runs. Only for processes that live on by themselves: their streams are files and sockets, nothing is read for them.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { SyscallError, check, prototype } from './libc.ts';

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const O_RDWR = 2;
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const WNOHANG = 1;
/** More than glibc's posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t need on any 64-bit machine. */
const STRUCT_BYTES = 512;
const FIRST = 3;

type OnStruct = (struct: Buffer) => number;
const actionsInit = prototype<OnStruct>('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy = prototype<OnStruct>('int posix_spawn_file_actions_destroy(void *actions)');
const addOpen = prototype<(...args: [actions: Buffer, fd: number, path: string, flags: number, mode: number]) => number>(
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)',
);
const addDup2 = prototype<(actions: Buffer, from: number, to: number) => number>('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)');
const addChdir = prototype<(actions: Buffer, path: string) => number>('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
const attrInit = prototype<OnStruct>('int posix_spawnattr_init(void *attr)');
const attrDestroy = prototype<OnStruct>('int posix_spawnattr_destroy(void *attr)');
const setFlags = prototype<(attr: Buffer, flags: number) => number>('int posix_spawnattr_setflags(void *attr, short flags)');
const setSigDefault = prototype<(attr: Buffer, set: Buffer) => number>('int posix_spawnattr_setsigdefault(void *attr, const void *set)');
const setSigMask = prototype<(attr: Buffer, set: Buffer) => number>('int posix_spawnattr_setsigmask(void *attr, const void *set)');
const spawnp = prototype<(...args: [pid: Buffer, file: string, actions: Buffer, attr: Buffer, argv: (string | null)[], envp: (string | null)[]]) => number>(
  'int posix_spawnp(void *pid, const char *file, void *actions, void *attr, const char **argv, const char **envp)',
);
const socketpair = prototype<(...args: [domain: number, type: number, protocol: number, fds: Buffer]) => number>('int socketpair(int domain, int type, int protocol, void *fds)');
const fcntl = prototype<(fd: number, command: number, from: number) => number>('int fcntl(int fd, int command, int from)');
const waitpid = prototype<(pid: number, status: Buffer, options: number) => number>('int waitpid(int pid, void *status, int options)');

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Spawned {
  readonly pid: number;
  /** Our ends, at the index of their `'pipe'`. */
  readonly pipes: readonly (Socket | undefined)[];
  readonly exited: Promise<Exit>;
}

export interface SpawnRequest {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string | undefined;
  /** From descriptor 3 on: one of ours, or one end of a socket pair. 0, 1 and 2 are /dev/null. */
  readonly fds: readonly (number | 'pipe')[];
}

/** Starts it in a session of its own, with every signal as by default. Throws a SyscallError. */
export function posixSpawn({ argv, env, cwd, fds }: SpawnRequest): Spawned {
  using opened = new Descriptors();
  const pipes: (Socket | undefined)[] = [];
  const theirs = fds.map((fd) => {
    if (fd !== 'pipe') {
      pipes.push(undefined);
      return fd;
    }
    const [ours, their] = opened.pair();
    pipes.push(new Socket({ fd: ours, readable: true, writable: true }));
    return their;
  });
  try {
    // First out of the way: what is to become 4 may be 3 now.
    const moved = theirs.map((fd) => opened.duplicate(fd, FIRST + fds.length));
    return { ...start({ argv, env, cwd, fds: moved }), pipes };
  } catch (error) {
    for (const pipe of pipes) pipe?.destroy();
    throw error;
  }
}

function start({ argv, env, cwd, fds }: Omit<SpawnRequest, 'fds'> & { fds: readonly number[] }): Omit<Spawned, 'pipes'> {
  const actions = Buffer.alloc(STRUCT_BYTES);
  const attr = Buffer.alloc(STRUCT_BYTES);
  using held = new DisposableStack();
  must('posix_spawn_file_actions_init', actionsInit()(actions));
  held.defer(() => void actionsDestroy()(actions));
  must('posix_spawnattr_init', attrInit()(attr));
  held.defer(() => void attrDestroy()(attr));
  for (const fd of [0, 1, 2]) must('posix_spawn_file_actions_addopen', addOpen()(actions, fd, '/dev/null', O_RDWR, 0));
  for (const [index, fd] of fds.entries()) must('posix_spawn_file_actions_adddup2', addDup2()(actions, fd, FIRST + index));
  if (cwd !== undefined) must('posix_spawn_file_actions_addchdir_np', addChdir()(actions, cwd));
  must('posix_spawnattr_setflags', setFlags()(attr, SETSID | SETSIGDEF | SETSIGMASK));
  must('posix_spawnattr_setsigdefault', setSigDefault()(attr, Buffer.alloc(STRUCT_BYTES, 0xff)));
  must('posix_spawnattr_setsigmask', setSigMask()(attr, Buffer.alloc(STRUCT_BYTES)));
  const words = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  const pid = Buffer.alloc(4);
  children.listen();
  must('posix_spawn', spawnp()(pid, argv[0] ?? '', actions, attr, [...argv, null], [...words, null]));
  return { pid: pid.readInt32LE(0), exited: children.add(pid.readInt32LE(0)) };
}

/** These functions give the errno itself. */
function must(what: string, errno: number): void {
  if (errno !== 0) throw new SyscallError(what, errno);
}

/** Descriptors that are only needed until the program runs. */
class Descriptors {
  readonly #open: number[] = [];

  /** The first end is the caller's, the second one is closed with this. */
  pair(): [number, number] {
    const fds = Buffer.alloc(8);
    check('socketpair', socketpair()(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, fds));
    this.#open.push(fds.readInt32LE(4));
    return [fds.readInt32LE(0), fds.readInt32LE(4)];
  }

  duplicate(fd: number, from: number): number {
    const copy = check('fcntl', fcntl()(fd, F_DUPFD_CLOEXEC, from));
    this.#open.push(copy);
    return copy;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.splice(0)) closeSync(fd);
  }
}

/** Our children that Node.js knows nothing of: each is waited for, or it would stay a zombie. */
class Children {
  readonly #running = new Map<number, (exit: Exit) => void>();
  #listening = false;

  /** Before a child is started: it may end at once. */
  listen(): void {
    if (!this.#listening) process.on('SIGCHLD', () => this.#reap());
    this.#listening = true;
  }

  add(pid: number): Promise<Exit> {
    return new Promise((resolve) => this.#running.set(pid, resolve));
  }

  #reap(): void {
    const status = Buffer.alloc(4);
    for (const [pid, resolve] of this.#running) {
      const found = waitpid()(pid, status, WNOHANG);
      if (found === 0) continue;
      this.#running.delete(pid);
      resolve(found === pid ? exitOf(status.readInt32LE(0)) : { code: null, signal: null });
    }
  }
}

const children = new Children();

/** WIFEXITED and its kin. */
function exitOf(status: number): Exit {
  const number = status & 0x7f;
  if (number === 0) return { code: (status >> 8) & 0xff, signal: null };
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? [];
  return { code: null, signal: (name ?? 'SIGKILL') as NodeJS.Signals };
}
