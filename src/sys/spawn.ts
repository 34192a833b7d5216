/**
 * The one place that starts processes. `run` is for tools that end by themselves, `spawnDetached` for shims, which
 * outlive the daemon. Both put the child in a session of its own, so that no terminal signal of the daemon's reaches
 * it; neither lets it inherit a descriptor that is not named (Node opens everything close-on-exec).
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, IOType } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import { internal, messageOf, unavailable } from '../base/errors.ts';
import { posixSpawn } from './posixSpawn.ts';

export interface RunOptions {
  /** Written to stdin, which is a socket and not a pipe: a tool that opens /dev/stdin again needs a file instead. Default: /dev/null. */
  readonly input?: string | Uint8Array;
  /** Default 60 s. `Infinity` only together with a signal. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** The whole environment of the child. Default: the daemon's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Bytes kept of each of stdout and stderr; what is beyond is read and dropped. Default 16 MiB. */
  readonly maxOutput?: number;
}

export interface RunResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const RUN_TIMEOUT_MS = 60_000;
const RUN_MAX_OUTPUT = 16 * 1024 * 1024;

/**
 * Runs a program to its end. A code other than 0 is a result, not an error. It is an error if the program cannot be
 * started (`internal`), takes too long (`unavailable`) or the signal aborts (its reason): then the whole process group
 * has been killed.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const child = start(argv, [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'], options);
  const stdout = collect(child.stdout, options.maxOutput ?? RUN_MAX_OUTPUT);
  const stderr = collect(child.stderr, options.maxOutput ?? RUN_MAX_OUTPUT);
  // A program may end without reading its input; its exit code says what that means.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input);

  let failure: { error: unknown } | undefined;
  const giveUp = (error: unknown): void => {
    failure ??= { error };
    killGroup(child);
    // A process that left the group may hold our pipes open for ever.
    for (const stream of child.stdio) stream?.destroy();
  };
  const timeoutMs = options.timeoutMs ?? RUN_TIMEOUT_MS;
  const timer = Number.isFinite(timeoutMs)
    ? setTimeout(() => giveUp(unavailable(`${argv[0]} did not finish within ${timeoutMs} ms`)), timeoutMs)
    : undefined;
  const onAbort = (): void => giveUp(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await closed(child, argv);
    if (failure !== undefined) throw failure.error;
    return { code: child.exitCode, signal: child.signalCode, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** Runs a program on our own terminal and streams; gives its exit code, 128+n if a signal ended it. */
export async function passThrough(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, { stdio: 'inherit', env });
  try {
    await once(child, 'exit');
  } catch (error) {
    throw internal(`cannot start ${command}: ${messageOf(error)}`, error);
  }
  return child.exitCode ?? 128 + (child.signalCode === null ? 0 : constants.signals[child.signalCode]);
}

export interface DetachedOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * What the child finds from descriptor 3 on: a descriptor of ours, or `'pipe'` for one end of a socket pair whose other
   * end is ours.
   */
  readonly fds?: readonly (number | 'pipe')[];
}

export interface DetachedProcess {
  readonly pid: number;
  /** Our ends, at the index of their `'pipe'` in `fds`; to be destroyed by the caller. */
  readonly pipes: readonly (Duplex | undefined)[];
  /** When it ended, if we live to see it. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** SIGKILL to it and its group. */
  kill(): void;
}

/** Starts a process that does not keep us alive and that lives on without us; stdio is /dev/null. */
export function spawnDetached(argv: readonly string[], options: DetachedOptions = {}): Promise<DetachedProcess> {
  return Promise.try(() => {
    try {
      const child = posixSpawn({ argv, env: options.env ?? process.env, cwd: options.cwd, fds: options.fds ?? [] });
      let ended = false;
      void child.exited.then(() => {
        ended = true;
      });
      return { ...child, kill: () => (ended ? undefined : killGroupOf(child.pid)) };
    } catch (error) {
      throw internal(`cannot start ${argv[0]}: ${messageOf(error)}`, error);
    }
  });
}

interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

function start(argv: readonly string[], stdio: (IOType | number)[], options: StartOptions): ChildProcess {
  const [command, ...args] = argv;
  if (command === undefined) throw internal('cannot start a program without a name');
  return spawn(command, args, {
    stdio,
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
  });
}

async function started(child: ChildProcess, argv: readonly string[]): Promise<void> {
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw internal(`cannot start ${argv[0]}: ${messageOf(error)}`, error);
  }
}

/** Resolves when the child has ended and its pipes are read to the end. */
async function closed(child: ChildProcess, argv: readonly string[]): Promise<void> {
  const close = once(child, 'close');
  // `once` rejects on 'error', which `started` reports; that rejection must not go unhandled meanwhile.
  close.catch(() => {});
  await started(child, argv);
  await close;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  killGroupOf(child.pid);
}

function killGroupOf(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended between the check and the signal.
  }
}

/** Keeps the first `limit` bytes of a stream; what it returns gives them as text. */
function collect(stream: Readable | null, limit: number): () => string {
  const chunks: Buffer[] = [];
  let room = limit;
  stream?.on('data', (chunk: Buffer) => {
    if (room <= 0) return;
    const kept = chunk.subarray(0, room);
    room -= kept.length;
    chunks.push(kept);
  });
  stream?.on('error', () => {});
  return () => Buffer.concat(chunks).toString('utf8');
}
