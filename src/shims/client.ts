/**
 * One order to a shim (docs/shim-contract.md section 9). Every order has a connection of its own: there is no state to
 * lose, and a shim that hangs holds up nobody but its own callers, and these only for a bounded time.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { conflict, errnoOf, internal, invalid, messageOf, MooredError, unavailable } from '../base/errors.ts';
import { dockerRuntimeError, runtimeMessage, startFailureCode } from '../base/runtimeMessage.ts';
import type { RuntimeAction } from '../base/runtimeMessage.ts';
import { DamagedError, decodePairs, encodePairs } from './codec.ts';
import type { Fields, PairValue } from './codec.ts';
import { isExecDir, shimContainer, shimName } from './naming.ts';
import { connectShim, readLine } from './socket.ts';

/** How long a shim may take for what it does itself. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** A shim takes a limited number of connections; one is free again soon, if it is not attached clients that hold them. */
const BUSY = 'err kind=busy';
const BUSY_PAUSE_MS = 20;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_REQUEST_BYTES = 4096;

export type Pairs = Readonly<Record<string, PairValue | undefined>>;

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** One order on a connection of its own, which is closed after the answer. */
export async function request(dir: string, verb: string, pairs: Pairs = {}, options: CallOptions = {}): Promise<Fields> {
  const { socket, answer } = await call(dir, verb, pairs, options);
  socket.destroy();
  return answer;
}

export interface OpenCall {
  /** To be destroyed by the caller. */
  readonly socket: Socket;
  readonly answer: Fields;
}

/** One order; the connection stays open, positioned after the answer. */
export async function call(dir: string, verb: string, pairs: Pairs = {}, options: CallOptions = {}): Promise<OpenCall> {
  const line = `${verb}${encodePairs(pairs)}\n`;
  if (Buffer.byteLength(line) > MAX_REQUEST_BYTES) throw invalid(`order ${verb} is too long`);
  const timeoutMs = options.timeoutMs ?? ANSWER_TIMEOUT_MS;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  let socket: Socket | undefined;
  let busy = false;
  try {
    for (;;) {
      socket = await connectShim(dir, signal);
      socket.write(line);
      const answer = await firstLine(socket, signal);
      busy = answer.startsWith(BUSY);
      if (!busy) return { socket, answer: decodeAnswer(answer, dir, verb) };
      socket.destroy();
      await sleep(BUSY_PAUSE_MS, undefined, { signal });
    }
  } catch (error) {
    socket?.destroy();
    options.signal?.throwIfAborted();
    if (busy) throw unavailable(`${shimName(dir)} has too many connections`, error);
    if (timeout.aborted) throw unavailable(`${shimName(dir)} did not answer ${verb} within ${timeoutMs} ms`, error);
    if (error instanceof MooredError) throw error;
    if (error instanceof DamagedError) throw internal(`${shimName(dir)} gave an answer to ${verb} that cannot be read`, error);
    throw unavailable(`${shimName(dir)} did not answer ${verb}: ${messageOf(error)}`, error);
  }
}

/** A shim that refuses a connection may have closed it before the order was written: nothing of it was taken then. */
async function firstLine(socket: Socket, signal: AbortSignal): Promise<string> {
  try {
    return await readLine(socket, MAX_ANSWER_BYTES, signal);
  } catch (error) {
    if (errnoOf(error) === 'EPIPE') return BUSY;
    throw error;
  }
}

export function decodeAnswer(line: string, dir: string, verb: string): Fields {
  const [head, ...pairs] = line.split(' ');
  const fields = decodePairs(pairs);
  if (head === 'ok') return fields;
  if (head !== 'err') throw new DamagedError('neither ok nor err');
  throw shimError(fields, dir, verb);
}

/** A shim's `err kind=… message=…` as an error for clients. */
export function shimError(fields: Fields, dir: string, verb: string): MooredError {
  const kind = fields.text('kind', 'system');
  const message = fields.text('message');
  switch (kind) {
    case 'runtime':
      return runtimeError(isExecDir(dir) ? 'exec' : verb === 'start' ? 'start' : 'create', message);
    case 'not-running':
      return conflict(`container ${shimContainer(dir)} is not running`);
    case 'no-terminal':
      return invalid(`container ${shimContainer(dir)} has no terminal`);
    case 'state':
      return conflict(`container ${shimContainer(dir)}: ${message}`);
    default:
      return internal(`${shimName(dir)} refused ${verb}: ${message === '' ? kind : message}`);
  }
}

function runtimeError(action: RuntimeAction, output: string): MooredError {
  const text = runtimeMessage(output);
  const message = dockerRuntimeError(action, text);
  return startFailureCode(text) === 128 ? internal(message) : invalid(message);
}
