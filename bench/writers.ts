/** Containers that write a given amount of lines when they are told to, and wait afterwards. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from './engine.ts';
import { LINE_FILE_MB, lineFiles, scratch } from './files.ts';

export interface WriterOptions {
  readonly kind: 'short' | 'long';
  readonly megabytes: number;
  /** Log options, as of `docker run --log-opt`. */
  readonly log?: Readonly<Record<string, string>>;
}

export interface Writer {
  readonly id: string;
  /** Payload bytes that it writes each time. */
  readonly bytes: number;
  /** Lets it write. */
  go(): void;
  /** Waits until the log on disk ends with what it writes last; `minutes` at most. */
  complete(minutes: number): Promise<void>;
}

const END = 'the end of it';

/** Starts a container that waits for `go`. */
export async function startWriter(engine: Engine, name: string, { kind, megabytes, log = {} }: WriterOptions): Promise<Writer> {
  const times = Math.max(1, Math.round(megabytes / LINE_FILE_MB));
  const control = scratch('control');
  execFileSync('mkfifo', [path.join(control, 'go')]);
  const script = `while :; do read go < /control/go || continue; i=0; while [ $i -lt ${times} ]; do cat /lines/${kind}; i=$((i+1)); done; echo ${END} $go; done`;
  const id = await engine.run(name, ['sh', '-c', script], {
    host: { Binds: [`${lineFiles()}:/lines:ro`, `${control}:/control`], NetworkMode: 'none', LogConfig: { Type: 'json-file', Config: log } },
  });
  const { LogPath: file } = JSON.parse(await engine.api('GET', `/containers/${id}/json`)) as { LogPath: string };
  let order = 0;
  return {
    id,
    bytes: times * LINE_FILE_MB * 1e6,
    go: () => {
      order += 1;
      // Read and write: does not wait for the reader.
      const fifo = openSync(path.join(control, 'go'), constants.O_RDWR);
      writeSync(fifo, `${order}\n`);
      // Closed when the container has certainly read it: with nobody holding the pipe its content is lost.
      setTimeout(() => closeSync(fifo), 30_000).unref();
    },
    complete: async (minutes) => {
      const deadline = performance.now() + minutes * 60_000;
      while (!endOf(file).includes(`${END} ${order}`)) {
        if (performance.now() > deadline) throw new Error(`${engine.name}: the log of ${name} was not complete after ${minutes} minutes`);
        await sleep(4);
      }
    },
  };
}

/** The last bytes of a file that may be replaced at any time. */
function endOf(file: string): string {
  try {
    const handle = openSync(file, 'r');
    try {
      const buffer = Buffer.alloc(300);
      const length = readSync(handle, buffer, 0, buffer.length, Math.max(0, fstatSync(handle).size - buffer.length));
      return buffer.subarray(0, length).toString('utf8');
    } finally {
      closeSync(handle);
    }
  } catch {
    return '';
  }
}
