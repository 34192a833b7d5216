/** Streams through a program: what it reads on stdin and writes to stdout (decompressors that Node.js does not have). */
import { spawn } from 'node:child_process';
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { invalid, unavailable } from '../base/errors.ts';

const MAX_STDERR = 4096;

/**
 * What the program makes of `input`. An end other than success is an error of the stream, `invalid` with what the
 * program said. Destroying the stream, or an error of the input, ends the program.
 */
export function filterThrough(argv: readonly [string, ...string[]], input: Readable): Readable {
  const [command, ...args] = argv;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const output = new PassThrough();
  // What nobody hears yet is kept for the reader.
  output.on('error', () => {});
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, MAX_STDERR);
  });
  child.on('error', (error) => output.destroy(unavailable(`cannot start ${command}: ${error.message}`, error)));
  child.on('close', (code, signal) => {
    if (code === 0) output.end();
    else output.destroy(invalid(`${command} failed: ${complaint.trim() || (signal ?? `exit code ${code}`)}`));
  });
  child.stdout.pipe(output, { end: false });
  input.on('error', (error) => output.destroy(error));
  // A program that has had enough closes its input; what it says by its exit code counts.
  child.stdin.on('error', () => input.unpipe(child.stdin));
  input.pipe(child.stdin);
  output.once('close', () => {
    input.unpipe(child.stdin);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    if (!output.readableEnded) input.destroy();
  });
  return output;
}
